"""Rules: the first that fits decides, whatever its neighbours; a tree finds it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.facts import Facts
from gateway.core.http.path import parse_target
from gateway.core.rules.rules import Matched, Policy, Rule, RuleSet
from gateway.core.rules.shadowing import shadowed
from gateway.core.rules.templates import TemplateError, parse_template, split


def facts(method: str, target: str, content_type: str = "", client: str = "") -> Facts:
    fields = (("content-type", content_type),) if content_type else ()
    address = ip_address(client) if client else None
    return Facts(method, target, *parse_target(target), fields=fields, client=address)


def rule(name: str, **condition: object) -> Rule:
    values: dict[str, object] = {"policy": Policy.PASS, **condition}
    for key in ("methods", "content_types"):
        if key in values:
            values[key] = frozenset(str(values[key]).split())
    if "paths" in values:
        values["paths"] = tuple(str(values["paths"]).split())
    if "networks" in values:
        values["networks"] = tuple(ip_network(net) for net in str(values["networks"]).split())
    return Rule(name, **values)  # type: ignore[arg-type]


def form(**fields: str) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((f":{name}", frozenset(values.split())) for name, values in fields.items())


# -- templates ---------------------------------------------------------------------------------

FITS = {
    "root": ("/", "/", True),
    "root is not more": ("/", "/a", False),
    "literal": ("/+login", "/+login", True),
    "literal is the whole path": ("/+login", "/+login/x", False),
    "literal is not a beginning": ("/+login", "/+loginx", False),
    "case counts": ("/+login", "/+Login", False),
    "one segment": ("/{user}", "/alice", True),
    "one segment, not two": ("/{user}", "/alice/dev", False),
    "one segment, not none": ("/{user}", "/", False),
    "a template's last slash": ("/{user}/", "/alice", True),
    "constrained": ("/{user:[a-z]+}", "/alice", True),
    "constrained from end to end": ("/{user:[a-z]+}", "/alice2", False),
    "constrained with braces": ("/{year:[0-9]{4}}", "/2026", True),
    "a dollar is no end": ("/{user:[a-z]+$}", "/alice\n", False),
    "a slash in a regex never fits": ("/{path:a/b}", "/a/b", False),
    "any rest": ("/x/**", "/x/a/b/c", True),
    "any rest, also none": ("/x/**", "/x", True),
    "any rest, after whole segments": ("/x/**", "/xy", False),
    "everything": ("/**", "/a/b", True),
    "everything, the root too": ("/**", "/", True),
    "dots are dots": ("/a.b", "/axb", False),
    "unicode": ("/café", "/café", True),
}


@pytest.mark.parametrize(("template", "path", "fits"), FITS.values(), ids=FITS)
def test_templates_match_from_end_to_end(template: str, path: str, fits: bool) -> None:
    assert parse_template(template).fits(path) is fits
    found = RuleSet([rule("x", paths=template)]).candidates("GET", path)
    assert bool(found) is fits


BAD = {
    "no slash": "login",
    "empty": "",
    "double slash": "/a//b",
    "rest in the middle": "/a/**/b",
    "rest in a segment": "/a/x**",
    "star": "/a/*",
    "text around a placeholder": "/a/v{version}",
    "text behind a placeholder": "/a/{version}.whl",
    "no name": "/{}",
    "bad name": "/{a b}",
    "name twice": "/{a}/{a}",
    "open brace": "/{a",
    "closed brace": "/a}",
    "bad regex": "/{a:[}",
    "empty regex": "/{a:}",
    "back reference": r"/{a:(x)\1}",
    "look-ahead": "/{a:(?=x)x}",
    "dot segment": "/a/../b",
    "escape": "/%2Blogin",
    "query": "/a?b",
    "parameter": "/a;b",
    "control": "/a\x00",
}


@pytest.mark.parametrize("template", BAD.values(), ids=BAD)
def test_templates_that_cannot_be_meant_are_refused(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(template)
    found, _, allowed = str(caught.value).partition("; ")
    assert found
    assert allowed, "the message says what is allowed"


# -- first match -------------------------------------------------------------------------------

RULES = RuleSet(
    [
        rule("login", methods="POST", paths="/+login", policy=Policy.LOGIN),
        rule("inside", paths="/admin/**", networks="10.0.0.0/8 2001:db8::/32"),
        rule("admin", paths="/admin/**", policy=Policy.DENY),
        rule("xml", methods="POST", paths="/{user}", content_types="text/xml"),
        rule("remove", methods="POST", paths="/", form=form(action="remove"), policy=Policy.DENY),
        rule("upload", methods="POST", paths="/", form=form(action="upload verify")),
        rule("files", path_regex=r"/files/[0-9]+"),
        rule("odd", methods="PURGE PUSH", paths="/{user}"),
        rule("read", methods="GET HEAD", paths="/**"),
    ]
)

MATCHES = {
    "literal": (facts("POST", "/+login"), "login"),
    "another spelling": (facts("POST", "/%2Blogin/?x"), "login"),
    "a method in lower case": (facts("post", "/+login"), "login"),
    "the next rule": (facts("GET", "/+login"), "read"),
    "inside a network": (facts("GET", "/admin", client="10.1.2.3"), "inside"),
    "IPv4 in IPv6": (facts("GET", "/admin", client="::ffff:10.1.2.3"), "inside"),
    "IPv6": (facts("GET", "/admin/x", client="2001:db8::1"), "inside"),
    "outside": (facts("GET", "/admin", client="192.0.2.1"), "admin"),
    "no address is outside": (facts("GET", "/admin"), "admin"),
    "content type": (facts("POST", "/alice", "text/xml; charset=utf-8"), "xml"),
    "another content type": (facts("POST", "/alice", "text/html"), ""),
    "no content type": (facts("POST", "/alice"), ""),
    "regex": (facts("DELETE", "/files/17"), "files"),
    "regex from end to end": (facts("DELETE", "/files/17/x"), ""),
    "a method of the upstream's own": (facts("PURGE", "/alice"), "odd"),
    "a method no rule names": (facts("FROBNICATE", "/alice"), ""),
}


@pytest.mark.parametrize(("request_", "name"), MATCHES.values(), ids=MATCHES)
def test_the_first_rule_that_fits_decides(request_: Facts, name: str) -> None:
    matched = RULES.match(request_, {})
    assert (matched.rule.name if matched.rule else "") == name
    assert matched.policy is (matched.rule.policy if matched.rule else Policy.SECOND_FACTOR)
    assert not matched.needs_form


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("otherwise", [p for p in Policy if p is not Policy.LOGIN])
@pytest.mark.parametrize("fields", [None, {":a": ("1",)}], ids=["no form", "form"])
def test_who_could_be_anywhere_meets_the_stricter_rule(
    policy: Policy, otherwise: Policy, fields: Mapping[str, tuple[str, ...]] | None
) -> None:
    rules = RuleSet(
        [
            rule("here", networks="10.0.0.0/8", policy=policy),
            rule("form", methods="POST", form=form(a="2"), policy=Policy.DENY),
        ],
        otherwise,
    )
    request = facts("POST", "/x")
    inside = facts("POST", "/x", client="10.0.0.1")
    outside = facts("POST", "/x", client="192.0.2.1")
    found = rules.match(request, fields)
    if fields is None:
        found = rules.match(request, {}) if found.needs_form else found
        fields = {}
    either = {rules.match(inside, fields).policy, rules.match(outside, fields).policy}
    order = ["pass", "login", "authenticated", "token", "second_factor", "deny"]
    assert found.policy == max(either, key=lambda one: order.index(one.value))


def test_the_query_never_decides() -> None:
    for query in ("/+login", "x=/admin", "?", "%2Blogin"):
        assert RULES.match(facts("POST", f"/none/of/these?{query}")).rule is None


FORMS: dict[str, tuple[Mapping[str, tuple[str, ...]], str]] = {
    "one": ({":action": ("remove",)}, "remove"),
    "another": ({":action": ("upload",)}, "upload"),
    "an unknown value": ({":action": ("other",)}, ""),
    "none": ({}, ""),
    "two that differ": ({":action": ("upload", "remove")}, ""),
    "another field": ({"action": ("upload",)}, ""),
}


@pytest.mark.parametrize(("fields", "name"), FORMS.values(), ids=FORMS)
def test_a_form_decides_once_it_was_read(fields: Mapping[str, tuple[str, ...]], name: str) -> None:
    matched = RULES.match(facts("POST", "/"), fields)
    assert (matched.rule.name if matched.rule else "") == name


def test_a_form_not_read_yet_is_asked_for() -> None:
    matched = RULES.match(facts("POST", "/"))
    assert matched.needs_form
    assert matched.form_names == {":action"}
    assert matched.rule is not None
    assert matched.rule.name == "upload"  # the rule to go on with should the body not tell


def test_a_form_that_cannot_pass_has_no_rule_to_go_on_with() -> None:
    rules = RuleSet([rule("a", form=form(x="1"), policy=Policy.SECOND_FACTOR)], Policy.DENY)
    assert rules.match(facts("POST", "/")) == Matched(None, Policy.DENY, True, frozenset({":x"}))


def test_an_earlier_rule_without_a_form_leaves_the_body_alone() -> None:
    rules = RuleSet([rule("all", paths="/"), rule("late", form=form(x="1"))])
    assert not rules.match(facts("POST", "/")).needs_form


# -- against the plain reading -----------------------------------------------------------------

SEGMENTS = ["a", "b", "+c"]
TEMPLATES = st.builds(
    lambda parts, rest: "/" + "/".join([*parts, *rest]),
    st.lists(st.sampled_from([*SEGMENTS, "{}", "{:[ab]}", "{:[^+].*}"]), max_size=3),
    st.sampled_from([[], ["**"]]),
).map(lambda text: re.sub(r"\{", lambda m: f"{{n{m.start()}", text))
METHODS = st.sampled_from(["GET", "POST", "PUSH", "X"])
RULE = st.builds(
    Rule,
    name=st.sampled_from("abcdefgh"),
    policy=st.sampled_from(Policy),
    methods=st.none() | st.frozensets(METHODS, min_size=1, max_size=2),
    paths=st.just(()) | st.lists(TEMPLATES, min_size=1, max_size=2).map(tuple),
    content_types=st.sampled_from([None, None, frozenset({"a/b"}), frozenset({"a/b", "c/d"})]),
    networks=st.sampled_from([None, None, (ip_network("10.0.0.0/8"),)]),
    form=st.sampled_from([None, None, form(x="1"), form(x="1 2"), form(x="1", y="1")]),
)
REQUEST = st.builds(
    facts,
    METHODS,
    st.lists(st.sampled_from([*SEGMENTS, "d"]), max_size=4).map(
        lambda parts: "/" + "/".join(parts)
    ),
    st.sampled_from(["", "a/b", "c/d"]),
    st.sampled_from(["", "10.0.0.1", "192.0.2.1"]),
)
FIELDS = st.dictionaries(
    st.sampled_from([":x", ":y"]), st.sampled_from([("1",), ("2",), ("1", "2")]), max_size=2
)


def plainly(rules: list[Rule], request: Facts, fields: dict[str, tuple[str, ...]]) -> Rule | None:
    """First match, as a reader of the configuration would say it. Who could be anywhere meets
    the strictest of what meets somebody in a network, or in none."""
    if request.client is None and any(each.networks for each in rules):
        places = [facts(request.method, request.path, request.content_type, where)
                  for where in ("10.0.0.1", "192.0.2.1")]  # fmt: skip
        inside, outside = (plainly(rules, place, fields) for place in places)
        return max(outside, inside, key=strictness)
    for each in rules:
        if each.methods and request.method not in each.methods:
            continue
        if each.paths and not any(template_fits(path, request.path) for path in each.paths):
            continue
        if each.content_types and request.content_type not in each.content_types:
            continue
        if each.networks and (request.client is None or request.client not in each.networks[0]):
            continue
        wanted = each.form or ()
        if any(not fields.get(n) or set(fields[n]) - allowed for n, allowed in wanted):
            continue
        return each
    return None


def strictness(rule: Rule | None) -> int:
    order = ["pass", "login", "authenticated", "token", "second_factor", "deny"]
    return order.index(rule.policy if rule else Policy.SECOND_FACTOR)


def template_fits(template: str, path: str) -> bool:
    """A template as one regular expression."""
    pattern = re.sub(r"\{\w+\}", "[^/]+", template.replace("+c", "[+]c"))
    pattern = re.sub(r"\{\w+:(.*?)\}(?=/|$)", lambda m: f"(?:{m[1].replace('.', '[^/]')})", pattern)
    pattern = pattern.replace("[^+][^/]*", "[^+/][^/]*")
    pattern = re.sub(r"/\*\*$", "(?:/.*)?", pattern)
    return re.fullmatch(pattern or "/", path) is not None or (pattern == "(?:/.*)?" and path == "/")


@given(st.lists(RULE, max_size=8), REQUEST, FIELDS)
def test_the_tree_finds_what_a_plain_reading_finds(
    rules: list[Rule], request: Facts, fields: dict[str, tuple[str, ...]]
) -> None:
    ruleset = RuleSet(rules)
    assert ruleset.match(request, fields).rule is plainly(rules, request, fields)


@given(st.lists(RULE, max_size=8), REQUEST, FIELDS)
def test_candidates_can_be_kept(
    rules: list[Rule], request: Facts, fields: dict[str, tuple[str, ...]]
) -> None:
    """They depend on method and path alone, and matching over them gives the same."""
    ruleset = RuleSet(rules)
    kept = ruleset.candidates(request.method, request.path)
    assert all(each.conditional for each in kept[:-1])
    for one in (fields, None):
        assert ruleset.match(request, one, kept) == ruleset.match(request, one)


@given(st.lists(RULE, max_size=8), REQUEST, FIELDS)
def test_what_is_unread_never_opens_more_than_what_is_read(
    rules: list[Rule], request: Facts, fields: dict[str, tuple[str, ...]]
) -> None:
    """Without a look at the form, either it is asked for or the answer is the final one."""
    ruleset = RuleSet(rules)
    unread = ruleset.match(request)
    if not unread.needs_form:
        assert unread == ruleset.match(request, fields)
    elif unread.rule is not None:
        assert unread.rule.policy is Policy.PASS


@given(st.lists(RULE, max_size=8), REQUEST, FIELDS)
def test_a_shadowed_rule_never_decides(
    rules: list[Rule], request: Facts, fields: dict[str, tuple[str, ...]]
) -> None:
    """No false alarm: what is reported as shadowed decides on no request at all."""
    ruleset = RuleSet(rules)
    matched = ruleset.match(request, fields).rule
    assert all(rules[number] is not matched for number, _ in shadowed(ruleset))


SHADOWED = {
    "same path": ([rule("a", paths="/x"), rule("b", paths="/x")], [1]),
    "more general": ([rule("a", paths="/{n}"), rule("b", paths="/x")], [1]),
    "more special": ([rule("a", paths="/x"), rule("b", paths="/{n}")], []),
    "a rest": ([rule("a", paths="/x/**"), rule("b", paths="/x/y/z")], [1]),
    "everything": ([rule("a", paths="/**"), rule("b", methods="GET")], [1]),
    "a constrained segment": ([rule("a", paths="/{n:[a-z]}"), rule("b", paths="/x")], [1]),
    "two constrained segments": (
        [rule("a", paths="/{n:[a-z]}"), rule("b", paths="/{m:[a-y]}")],
        [],
    ),
    "fewer methods": (
        [rule("a", methods="GET HEAD", paths="/x"), rule("b", methods="GET", paths="/x")],
        [1],
    ),
    "more methods": ([rule("a", methods="GET", paths="/x"), rule("b", paths="/x")], []),
    "by two together": (
        [rule("a", paths="/x"), rule("b", paths="/y"), rule("c", paths="/x /y")],
        [2],
    ),
    "a condition before": (
        [rule("a", paths="/x", content_types="a/b"), rule("b", paths="/x")],
        [],
    ),
    "a condition behind": (
        [rule("a", paths="/x"), rule("b", paths="/x", content_types="a/b")],
        [1],
    ),
    "the same form": (
        [rule("a", paths="/x", form=form(x="1 2")), rule("b", paths="/x", form=form(x="1"))],
        [1],
    ),
    "the same regex": ([rule("a", path_regex="/x+"), rule("b", path_regex="/x+")], [1]),
}


@pytest.mark.parametrize(("rules", "numbers"), SHADOWED.values(), ids=SHADOWED)
def test_shadowed_rules_are_found(rules: list[Rule], numbers: list[int]) -> None:
    assert [number for number, _ in shadowed(RuleSet(rules))] == numbers


@given(st.text(st.characters(exclude_characters="\n"), max_size=30))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        template = parse_template(text)
    except TemplateError:
        return
    assert all(segment.literal is None or segment.literal in text for segment in template.segments)
    assert split("/") == []

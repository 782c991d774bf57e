"""Groups and rights in the configuration: what is read and refused, and the shipped examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.app.domain import reading_of
from gateway.core.http.facts import Facts
from gateway.core.permissions import Permission
from gateway.core.rules.explain import Trial, judge
from gateway.settings import ConfigError, Settings, loads, run_tests
from tests.support.servers import ROOT

HEAD = """\
version: 1
public_url: http://localhost:8080
upstream: {kind: pypiserver, url: "http://127.0.0.1:8081"}
store: sqlite:state.db
"""
LINES = HEAD.count("\n")
RULE = "rules:\n  - name: a\n    match: {path: /a%s}\n    policy: pass\n"


def read(text: str, base: Path = Path("/nowhere")) -> Settings:
    return loads((HEAD + text).encode(), file="gateway.yaml", base=base)


def told(text: str, base: Path = Path("/nowhere")) -> list[str]:
    """The problems, lines counted from behind HEAD."""
    with pytest.raises(ConfigError) as caught:
        read(text, base)
    lines = [str(one).removeprefix("gateway.yaml:") for one in caught.value.problems]
    return [
        re.sub(r"^\d+", lambda match: f"+{int(match[0]) - LINES}", line).replace(f"{base}/", "")
        for line in lines
    ]


HTGROUP = """\
# Apache's
seniors: carol  Dave
others: eve
seniors: frank
"""


def test_members_come_from_names_groups_and_files(tmp_path: Path) -> None:
    (tmp_path / "htgroup").write_text(HTGROUP)
    groups = (
        "groups:\n"
        "  all: {groups: [release, seniors]}\n"
        "  release: {users: Alice, groups: seniors, projects: Billing_*}\n"
        "  seniors: {file: htgroup}\n"
    )
    members = read(groups, tmp_path).members.named
    assert members["seniors"].people == {"carol", "dave", "frank"}
    assert members["release"].people == {"alice", "carol", "dave", "frank"}
    assert members["all"].people == members["release"].people
    assert members["release"].projects.has("billing-core")
    assert not members["all"].projects


MISTAKES = {
    "an unknown group": (
        "groups:\n  a: {groups: [b]}\n",
        ["+2:16: there is no group 'b'; a"],
    ),
    "in a rule": (
        RULE % ", groups: [a]",
        ["+3:32: there is no group 'a'; none; `groups:` of this file has them"],
    ),
    "as owner": (
        "groups:\n  b: {users: x}\n" + RULE % ', projects: ["@a"]',
        ["+5:34: there is no group 'a'; b"],
    ),
    "of new projects": (
        "groups:\n  b: {users: x}\n" + RULE % "" + "    new_projects: [b, c]\n",
        ["+7:23: there is no group 'c'; b"],
    ),
    "a circle": (
        "groups:\n  a: {groups: [b]}\n  b: {groups: [c]}\n  c: {users: x, groups: [b]}\n",
        [
            "+3:16: group 'b': c is in b, which is in c; groups that are not in themselves",
            "+4:26: group 'c': b is in c, which is in b; groups that are not in themselves",
        ],
    ),
    "itself": (
        "groups:\n  a: {groups: [a]}\n",
        ["+2:16: group 'a': a is in a, which is in a; groups that are not in themselves"],
    ),
    "nobody in it": (
        "groups:\n  a: {projects: [x]}\n",
        ["+2:6: a: no members; at least one of users, groups, file"],
    ),
    "no such key": (
        "groups:\n  a: {user: x}\n",
        ["+2:7: unknown key 'user'; 'users' is meant?"],
    ),
    "a name that is none": (
        'groups:\n  a: {users: ["\\u202e"]}\n',
        ["+2:15: users: '\\u202e' cannot be a user name; a name as in a login"],
    ),
    "a project that is none": (
        "groups:\n  a: {users: x, projects: [a/b]}\n",
        [
            "+2:28: projects: 'a/b' cannot be a project; a name, or one with * and ?, such as "
            "billing-*"
        ],
    ),
    "a file that is not there": (
        "groups:\n  a: {file: htgroup}\n",
        [
            "+2:13: group 'a': htgroup cannot be read (No such file or directory); a line "
            "'a: alice bob'"
        ],
    ),
    "people of a denial": (
        RULE.replace("pass", "deny") % ", users: x",
        ["+2:5: rule 1 'a': users or groups with policy deny; one that lets them through"],
    ),
    "new projects by two factors": (
        "groups:\n  b: {users: x}\n"
        + RULE.replace("pass", "second_factor") % ""
        + "    new_projects: b\n",
        ["+4:5: rule 1 'a': new_projects with policy second_factor; pass, token or authenticated"],
    ),
    "nobody to tell of": (
        RULE % "" + "    tell_who: true\n",
        [
            "+2:5: rule 1 'a': tell_who without users, groups and new_projects; there is nobody to "
            "tell of"
        ],
    ),
    "indexes of one index": (
        RULE % ", indexes: a/b",
        ["+3:32: rule 1 'a': indexes, of which only devpi has several; a rule without it"],
    ),
    "a rule behind one for certain people": (
        "groups:\n  b: {users: [x, y]}\n"
        + RULE % ", groups: b"
        + "  - {name: e, match: {path: /a, users: z}, policy: second_factor}\n"
        + "  - {name: c, match: {path: /a}, policy: deny}\n"
        + "  - {name: d, match: {path: /a, users: y}, policy: pass}\n",
        [
            "+8:5: rule 3 'c': it never decides, because rule 1 'a' (line 8) always matches first; "
            "the narrower rule first",
            "+9:5: rule 4 'd': it never decides, because rule 1 'a' (line 8) always matches first; "
            "the narrower rule first",
        ],
    ),
    "projects behind wider ones": (
        RULE % ', projects: ["billing-*", x]'
        + "  - {name: b, match: {path: /a, projects: billing-core}, policy: deny}\n"
        + "  - {name: c, match: {path: /a, projects: [x, z]}, policy: deny}\n",
        [
            "+5:5: rule 2 'b': it never decides, because rule 1 'a' (line 6) always matches first; "
            "the narrower rule first"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_told_with_its_place(text: str, expected: list[str]) -> None:
    assert told(text) == expected


def test_a_file_without_the_group(tmp_path: Path) -> None:
    (tmp_path / "htgroup").write_text(HTGROUP)
    assert told("groups:\n  b: {file: htgroup}\n", tmp_path) == [
        "+2:13: group 'b': htgroup has no line for b; a line 'b: alice bob'"
    ]
    (tmp_path / "htgroup").write_text("no colon\n")
    assert told("groups:\n  b: {file: htgroup}\n", tmp_path) == [
        "+2:13: group 'b': htgroup, line 1 has no 'group:'; a line 'b: alice bob'"
    ]


def test_reading_by_a_name_alone_is_warned_of() -> None:
    (warning,) = read(RULE % ", users: x").warnings
    assert "policy: authenticated" in str(warning)
    assert not read((RULE % ", users: x").replace("path", "methods: [POST], path")).warnings


def test_who_is_in_a_group_of_ten_thousand_is_one_look() -> None:
    names = ", ".join(f"user{number}" for number in range(10_000))
    settings = read(f"groups:\n  all: {{users: [{names}]}}\n" + RULE % ", groups: all")
    (rule,) = settings.ruleset().rules
    assert isinstance(rule.rights, Permission) and rule.rights.people is not None
    (group,) = rule.rights.people.groups
    assert isinstance(group.people, frozenset) and len(group.people) == 10_000


def uncommented(kind: str) -> bytes:
    """A shipped configuration whose examples of rights are in force."""
    lines, inside = [], False
    for line in (ROOT / f"gateway/config/{kind}.yaml").read_text("utf-8").split("\n"):
        begins = re.match(r" *# (groups:|- name: |new_projects: )", line)
        inside = bool(begins or (inside and re.match(r" *#   ", line)))
        lines.append(line.replace("# ", "", 1) if inside else line)
    return "\n".join(lines).encode()


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_the_shipped_examples_hold(kind: str) -> None:
    settings = loads(uncommented(kind), base=Path("/nowhere"))
    assert len(settings.rules) > len(
        loads((ROOT / f"gateway/config/{kind}.yaml").read_bytes()).rules
    )
    assert any(rule.new_projects for rule in settings.rules)
    assert settings.members.named["release"].people == {"alice", "carol"}
    reading, rules = reading_of(settings), settings.ruleset()
    # But for what no name comes with, the tests of the file hold on.
    failed = [str(problem) for problem in run_tests(settings, reading)]
    assert all("project_unclear" in one or "credential_required" in one for one in failed), failed
    target = "/prod/main" if kind == "devpi" else "/"
    said = {}
    for user in ("alice", "carol", "bob", ""):
        for project in ("Billing_Core", "tools"):
            form = {":action": "file_upload", "name": project}
            said[user, project] = judge(
                rules, Trial("POST", target, form, user=user), reading
            ).names[0]
    owned = "uploads of what a group owns"
    assert said == {
        ("alice", "Billing_Core"): owned,
        ("carol", "Billing_Core"): owned,
        ("bob", "Billing_Core"): "not_permitted",
        ("", "Billing_Core"): "credential_required",
        **{(user, "tools"): "uploads" for user in ("alice", "carol", "bob", "")},
    }
    if kind == "devpi":
        for user, name in (("carol", "indexes of the release team"), ("bob", "not_permitted")):
            trial = Trial("GET", "/prod/main/+simple/x/", user=user)
            assert judge(rules, trial, reading).names[0] == name
        pushed = Trial("POST", "/bob/dev", content_type="application/json", user="bob")
        assert judge(rules, pushed, reading).names[0] == "not_permitted"


def test_without_rights_nothing_is_asked_about_people() -> None:
    settings = loads((ROOT / "gateway/config/devpi.yaml").read_bytes())
    rules = settings.ruleset()
    assert not rules.by_rights("POST", "/alice/dev")
    with_some = loads(uncommented("devpi")).ruleset()
    assert with_some.by_rights("POST", "/alice/dev")
    assert not with_some.by_rights("POST", "/+login")
    facts = Facts("POST", "/a/b", "/a/b", "", (("content-type", "multipart/form-data"),), None)
    assert "name" not in rules.match(facts).form_names

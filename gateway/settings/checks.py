"""What one key alone cannot tell: rules against each other, addresses against each other."""

from __future__ import annotations

from typing import Final

from gateway.core.http.facts import Facts
from gateway.core.http.responses import Response
from gateway.core.permissions import OWNED, OWNERS, Groups
from gateway.core.rules.rules import Policy, RuleSet
from gateway.core.rules.shadowing import shadowed
from gateway.core.urls import FRONT, PREFIX, own
from gateway.settings.addresses import is_address
from gateway.settings.groups import MARK, missing
from gateway.settings.model import Settings
from gateway.settings.nodes import Document, Loc
from gateway.settings.problems import Problem
from gateway.settings.publishers import PublisherModel
from gateway.settings.rules import RuleModel

_JSON: Final = (("content-type", "application/json"),)


def check_rules(document: Document, rules: list[tuple[int, RuleModel]], groups: Groups) -> None:
    """Add what is wrong among the rules that hold by themselves (with their numbers)."""
    for number, rule in rules:
        _check_groups(document, number, rule, groups)
    names: dict[str, int] = {}
    for number, rule in rules:
        first = names.setdefault(rule.name, number)
        if first != number:
            line = document.place(("rules", first))[0]
            _add(
                document,
                ("rules", number, "name"),
                rule.name,
                f"the name of rule {first + 1} (line {line}) again",
                "each name once",
            )
        paths = rule.match.path or ()
        if paths and all(own(path.rstrip("/")) for path in paths):
            _add(
                document,
                ("rules", number, "match", "path"),
                rule.name,
                f"a rule for paths under {PREFIX}, which the gateway answers itself",
                "paths of the upstream",
            )
    ruleset = RuleSet([rule.rule(groups=groups) for _, rule in rules])
    for at, by in shadowed(ruleset):
        number, rule = rules[at]
        earlier, covering = rules[by]
        _add(
            document,
            ("rules", number),
            rule.name,
            f"it never decides, because rule {earlier + 1} '{covering.name}' "
            f"(line {document.place(('rules', earlier))[0]}) always matches first",
            "the narrower rule first",
        )


def _check_groups(document: Document, number: int, rule: RuleModel, groups: Groups) -> None:
    """Add names of groups that there are none of."""
    entries: list[tuple[Loc, str]] = []
    for key, names in (("groups", rule.match.groups), ("projects", rule.match.projects)):
        entries += (
            (("rules", number, "match", key, at), name) for at, name in enumerate(names or ())
        )
    entries += (
        (("rules", number, "new_projects", at), name)
        for at, name in enumerate(rule.new_projects or ())
    )
    for loc, name in entries:
        marked = name.startswith(MARK)
        if name in (OWNERS, OWNED) or ("projects" in loc and not marked):
            continue
        if name.removeprefix(MARK) not in groups.named:
            missing(document, loc, name.removeprefix(MARK), groups.named)


def check_settings(document: Document, settings: Settings) -> None:
    """Add what is wrong, and warn of what is odd, in a configuration that is valid by parts."""
    if settings.default == "pass" and not settings.allow_open_default:
        _add(
            document,
            ("default",),
            "",
            "default: pass leaves every route open that no rule names",
            "second_factor or deny (or allow_open_default: true)",
        )
    _check_front_page(document, settings)
    _check_addresses(document, settings)
    _check_publishers(document, settings)
    _check_reporters(document, settings)
    _check_rights(document, settings)
    _check_pushes(document, settings)
    for network in settings.trusted_proxies:
        if network.prefixlen == 0:
            _warn(
                document,
                ("trusted_proxies",),
                f"{network} believes every client what it says of its address",
                "the proxy's own network",
            )
    unix = any(listen.unix for listen in settings.listen)
    if unix and not settings.trusted_proxies:
        _warn(
            document,
            ("listen",),
            "behind a unix socket no client has an address",
            "trusted_proxies, so that X-Forwarded-For is believed",
        )
    smtp = settings.notices.smtp
    if settings.notices.addresses is None and smtp and settings.upstream.kind == "pypiserver":
        _warn(
            document,
            ("notices",),
            "pypiserver knows no mail addresses",
            "addresses: a map of user name to address",
        )


def _check_publishers(document: Document, settings: Settings) -> None:
    upstream = settings.upstream
    for number, one in enumerate(settings.publishers):
        at: Loc = ("publishers", number)

        def add(found: str, allowed: str, at: Loc = at, name: str = one.name) -> None:
            document.problem(
                document.place(at), found, allowed, f"publisher {int(at[1]) + 1} {name!r}"
            )

        earlier = settings.publishers[:number]
        if any(each.name == one.name for each in earlier):
            add("a name that another publisher has", "each name once")
        elif same := [each for each in earlier if _same_jobs(each, one)]:
            add(
                f"it never decides, because it is for the jobs of {same[0].name!r}",
                "one publisher with the projects of both",
            )
        if upstream.kind == "form":
            add("before an index of kind form, which takes no tokens", "devpi or pypiserver")
        elif upstream.kind == "devpi" and not one.index:
            add("index is missing", "the index (USER/INDEX) it uploads to")
        elif upstream.kind != "devpi" and one.index:
            add(f"an index with kind {upstream.kind}, which is one index", "leave it out")
        if upstream.service_account is not None and one.user:
            add("a user beside upstream.service_account, which uploads for all", "one of them")
        elif upstream.service_account is None and not one.user:
            account = " or upstream.service_account" if upstream.kind == "pypiserver" else ""
            add("nobody in whose name it uploads", f"user{account}")


def _check_reporters(document: Document, settings: Settings) -> None:
    named: dict[str, str] = {}
    seen: set[str] = set()
    for number, one in enumerate(settings.tokens.reporters):
        at: Loc = ("tokens", "reporters", number)
        who = f"reporter {number + 1} {one.name!r}"
        if one.name in seen:
            found = "a name that another reporter has"
            document.problem(document.place((*at, "name")), found, "each name once", who)
        seen.add(one.name)
        for id in one.keys:
            if id in named:
                found = f"the key {id!r} of {named[id]!r} again"
                document.problem(document.place((*at, "keys", id)), found, "each key once", who)
            named.setdefault(id, one.name)


def _same_jobs(one: PublisherModel, other: PublisherModel) -> bool:
    """Whether every job that one is for is for another, too."""
    first, second = one.publisher(), other.publisher()
    wanted = {*second.whose, *second.others}
    return first.issuer == second.issuer and wanted >= {*first.whose, *first.others}


def _check_rights(document: Document, settings: Settings) -> None:
    for number, rule in enumerate(settings.rules):
        place: Loc = ("rules", number)
        if rule.match.indexes is not None and settings.upstream.kind != "devpi":
            _add(
                document,
                (*place, "match", "indexes"),
                rule.name,
                "indexes, of which only devpi has several",
                "a rule without it",
            )
        reads = rule.match.methods is None or {"GET", "HEAD"} & set(rule.match.methods)
        passes = rule.policy is Policy.PASS or not rule.enforce
        if passes and rule.match.by_people and reads:
            _warn(
                document,
                place,
                f"rule {number + 1} {rule.name!r} lets people read by the name they give: where "
                "the index lets everybody read, it looks at no password",
                "policy: authenticated, which asks the index about the password",
            )


def _check_pushes(document: Document, settings: Settings) -> None:
    """A rule that is meant for uploads to devpi and says nothing of the body covers more."""
    if settings.upstream.kind != "devpi":
        return
    pushed = Facts("POST", "/user/index", "/user/index", "", _JSON, None)
    rule = settings.ruleset().match(pushed).rule
    if rule is not None and rule.policy is Policy.PASS and rule.content_types is None:
        number = next(at for at, each in enumerate(settings.rules) if each.name == rule.name)
        _warn(
            document,
            ("rules", number),
            f"rule {number + 1} {rule.name!r} lets pushes and documentation through with the "
            "password alone, too",
            'form: {":action": [submit, file_upload]}, as `index-gateway init devpi` writes it',
        )


def _check_front_page(document: Document, settings: Settings) -> None:
    at: Loc = ("appearance", "front_page")
    if not settings.appearance.front_page:
        return
    if settings.upstream.kind != "pypiserver":
        _add(
            document,
            at,
            "",
            f"a front page at {settings.upstream.kind}, which has its own",
            "leave it out (devpi-web has themes: devpi-server --theme, with config/devpi-theme)",
        )
        return
    rule = settings.ruleset().match(Facts("GET", FRONT, FRONT, "", (), None)).rule
    if rule is not None and rule.policy is Policy.DENY:
        _warn(
            document,
            at,
            f"nobody gets it whom rule {rule.name!r} denies {FRONT}",
            "a rule for / that lets browsers in, or no front page",
        )


def _check_addresses(document: Document, settings: Settings) -> None:
    public = settings.public_url
    at: Loc = ("public_url",)
    if not public.secure and not public.local:
        _warn(
            document,
            at,
            f"{public} is not encrypted: passwords and codes can be read on the way",
            "an https address",
        )
    if is_address(public.host):
        _warn(
            document,
            at,
            f"{public} is an IP address, so there can be no passkeys or security keys",
            "a host name (http://localhost:PORT for trying out)",
        )
    if settings.tls is not None and not public.secure:
        _warn(document, at, f"{public} is http, though tls is set", "an https address")
    unix = any(listen.unix for listen in settings.listen)
    if public.secure and settings.tls is None and not settings.trusted_proxies and not unix:
        _warn(
            document,
            at,
            f"{public} is https, but there is neither tls nor a proxy in trusted_proxies: behind a "
            "proxy that is not named, the wrong passwords of one person hold back everybody",
            "trusted_proxies: with the proxy's address, such as 192.0.2.10",
        )
    _check_documentation(document, settings)
    _check_listeners(document, settings)


def _check_listeners(document: Document, settings: Settings) -> None:
    upstream, public = settings.upstream.url, settings.public_url
    for number, listen in enumerate(settings.listen):
        if listen in settings.listen[:number]:
            _add(document, ("listen", number), "", f"{listen} again", "each address once")
        if listen.unix is not None or upstream.unix is not None:
            same = listen.unix is not None and listen.unix == upstream.unix
        else:
            hosts = (listen.host, "localhost", public.host)
            same = upstream.port == listen.port and upstream.host in hosts
        if same:
            _add(
                document,
                ("upstream", "url"),
                "",
                f"{upstream} is where the gateway itself listens",
                "the address of the index server",
            )


def _check_documentation(document: Document, settings: Settings) -> None:
    """Cookies tell hosts apart, not ports, and a host may set them for those above it."""
    public, its = settings.public_url, settings.documentation_url
    if its is None:
        return
    at: Loc = ("documentation_url",)
    if its.host == public.host or its.host.endswith(f".{public.host}"):
        _add(
            document,
            at,
            "",
            f"{its}: scripts of documentation could set cookies of {public}",
            "another host name, not one below it, such as https://docs.example.net",
        )
    elif shared := _shared_domain(public.host, its.host):
        _warn(
            document,
            at,
            f"{its}: scripts of documentation can set cookies for all of {shared}",
            "a domain of its own, such as https://docs.example.net",
        )
    if public.secure and not its.secure:
        _add(document, at, "", f"{its} is http, though public_url is https", "an https address")
    if not any(rule.rule().response is Response.DOCUMENTATION for rule in settings.rules):
        _add(document, at, "", "no rule has response: documentation", "one that has")


def _shared_domain(one: str, other: str) -> str:
    """The domain that two hosts are below, "" for none but a registry's.

    Which are registries' only a long list tells (RFC 6265bis section 5.5); "co.uk" is taken for one
    by its look.
    """
    if is_address(one) or is_address(other):
        return ""
    labels: list[str] = []
    for label, its in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if label != its:
            break
        labels.insert(0, label)
    registry = len(labels) == 2 and len(labels[1]) == 2 and len(labels[0]) <= 3
    return "" if len(labels) < 2 or registry else ".".join(labels)


def _add(document: Document, loc: Loc, rule: str, found: str, allowed: str) -> None:
    where = f"rule {int(loc[1]) + 1} {rule!r}" if rule else ""
    document.problem(document.place(loc), found, allowed, where)


def _warn(document: Document, loc: Loc, found: str, allowed: str) -> None:
    place = document.place(loc)
    document.problems.append(Problem(document.file, *place, "", found, allowed, warning=True))

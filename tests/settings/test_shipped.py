"""The configurations that are shipped, the schema, and that both agree with the reader."""

from __future__ import annotations

import dataclasses
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway.app.domain import reading_of
from gateway.app.listening import listeners_of
from gateway.core.http.facts import Facts
from gateway.core.http.path import parse_target
from gateway.core.http.responses import Response
from gateway.core.rules.rules import Policy
from gateway.settings import (
    ConfigError,
    Settings,
    from_data,
    load,
    loads,
    run_tests,
)
from gateway.settings.addresses import parse_listen, parse_public_url, parse_upstream_url
from gateway.settings.amounts import parse_duration, parse_size, write_duration
from gateway.settings.model import Configuration
from gateway.settings.nodes import read_document
from gateway.settings.schema import json_schema
from gateway.settings.shipped import shipped as shipped_text

KINDS = ("devpi", "pypiserver")
CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(params=KINDS)
def shipped(request: pytest.FixtureRequest) -> Path:
    return CONFIG / f"{request.param}.yaml"


def test_it_holds_without_a_warning(shipped: Path) -> None:
    settings = load(shipped)
    assert not settings.warnings
    assert run_tests(settings, reading_of(settings)) == []


def test_it_is_in_the_package(shipped: Path) -> None:
    packaged = files("gateway") / "config" / shipped.name
    assert packaged.read_bytes() == shipped.read_bytes()


def test_every_rule_has_a_test(shipped: Path) -> None:
    settings = load(shipped)
    expected = {test.expect for test in settings.tests}
    # The two rules that refuse the login in other ways are expected as `denied`.
    named = {rule.name for rule in settings.rules if rule.policy != "deny"}
    assert named <= expected


def test_what_it_sets_by_hand_is_the_default(shipped: Path) -> None:
    """Deleting a line of the file that only repeats a default changes nothing."""
    raw = read_document(shipped.read_bytes(), "x").data
    assert isinstance(raw, dict)
    told = raw.pop("second_factor")
    assert told
    assert from_data(raw).second_factor == load(shipped).second_factor


def test_it_fits_the_schema(shipped: Path) -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(read_document(shipped.read_bytes(), "x").data)


BROKEN = {
    "an unknown key": ("version: 1", "version: 1\nfoo: 1"),
    "a wrong type": ("listen: 127.0.0.1:8080", "listen: 8080"),
    "a key without a value": ("default: second_factor", "default:"),
    "a wrong word": ("enrolment: required", "enrolment: always"),
    "an emptied condition": ("methods: [POST], path", "methods: [], path"),
    "a method in lower case": ("methods: [POST], path", "methods: [post], path"),
    "a path without a root": ("], path: /", "], path: x"),
    "a match of nothing": ("match: {methods", "match: {} #"),
    "no time at all": ("max_age: 12h", "max_age: 0s"),
    "a duration": ("max_age: 12h", "max_age: 12 hours"),
    "an inline secret": ("keys: file:gateway.keys", "keys: hunter2"),
}


@pytest.mark.parametrize(("old", "new"), BROKEN.values(), ids=BROKEN)
def test_the_schema_sees_what_the_reader_refuses(shipped: Path, old: str, new: str) -> None:
    text = shipped.read_text()
    assert old in text
    raw = text.replace(old, new, 1).encode()
    with pytest.raises(ConfigError):
        loads(raw, base=CONFIG)
    data = read_document(raw, "x").data
    assert not Draft202012Validator(json_schema()).is_valid(data)


def test_every_key_is_described() -> None:
    """The schema is what editors show; a key without words is of little use."""
    schema = json_schema()
    for name, each in [("", schema), *schema["$defs"].items()]:
        for key, told in each.get("properties", {}).items():
            assert told.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("kind", KINDS)
def test_changes_need_more_than_a_password(kind: str) -> None:
    """No rule lets a method through that changes something, but for the few that are named."""
    allowed = {
        "devpi": {"uploads", "search", "test results", "mirror refresh", "logout", "reading"},
        "pypiserver": {"uploads", "search"},
    }
    settings = load(CONFIG / f"{kind}.yaml")
    passing = {
        rule.name
        for rule in settings.ruleset().rules
        if rule.policy is Policy.PASS and (rule.methods is None or rule.methods - {"GET", "HEAD"})
    }
    assert passing == allowed[kind]
    assert settings.default == "second_factor"


@pytest.fixture(params=KINDS)
def closed(request: pytest.FixtureRequest) -> Settings:
    """What `init --private` writes."""
    return loads(shipped_text(request.param, private=True).encode(), base=CONFIG)


def test_a_private_one_holds(closed: Settings) -> None:
    assert not closed.warnings
    assert run_tests(closed, reading_of(closed)) == []
    named = {rule.name for rule in closed.rules if rule.policy != "deny"}
    assert named <= {test.expect for test in closed.tests}


def test_a_private_one_lets_nothing_be_read(closed: Settings) -> None:
    """But for what a login needs."""
    passing = {rule.name for rule in closed.rules if rule.policy is Policy.PASS}
    allowed = {"devpi": {"login page", "logout", "look-ups", "styles"}, "pypiserver": set[str]()}
    assert passing == allowed[closed.upstream.kind]
    public = loads(shipped_text(closed.upstream.kind).encode(), base=CONFIG)
    guarded = [rule for rule in public.rules if rule.policy not in (Policy.PASS, Policy.DENY)]
    assert set(map(str, guarded)) <= set(map(str, closed.rules)), "changes as they were"
    assert public.response is closed.response


SHOWN = {
    "devpi": {
        "/u/i/p/1.0/+doc/index.html": Response.DOCUMENTATION,
        "/u/i/p/1.0/+d/index.html": Response.DOCUMENTATION,
        "/u/i/p/1.0/+doc": Response.DOCUMENTATION,
        "/u/i/+f/d1e/2f3/p-1.0.tar.gz": Response.INERT,
        "/u/i/+e/https_files/p-1.0.tar.gz": Response.INERT,
        "/u/i/+simple/p/": Response.INERT,
        "/u/i/p": Response.PAGES,
        "/+login": Response.PAGES,
        "/+something": Response.PAGES,
    },
    "pypiserver": {
        "/": Response.INERT,
        "/simple/p/": Response.INERT,
        "/packages/p-1.0-py3.1-x.html": Response.INERT,
        "/something/else/again": Response.INERT,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_people_upload_runs_nowhere_near_sessions(kind: str) -> None:
    settings = load(CONFIG / f"{kind}.yaml")
    for path, response in SHOWN[kind].items():
        facts = Facts("GET", path, *parse_target(path), fields=(), client=None)
        rule = settings.ruleset().match(facts).rule
        assert ((rule and rule.response) or settings.response) is response, path


def test_the_older_way_to_write_a_sandbox() -> None:
    text = (CONFIG / "devpi.yaml").read_text()
    old = text.replace("response: documentation", "sandbox: true")
    facts = Facts("GET", "/u/i/p/1/+doc/x", *parse_target("/u/i/p/1/+doc/x"), (), None)
    rule = loads(old.encode(), base=CONFIG).ruleset().match(facts).rule
    assert rule is not None and rule.response is Response.DOCUMENTATION
    both = text.replace("response: documentation", "response: documentation\n    sandbox: true")
    with pytest.raises(ConfigError, match="both response and sandbox"):
        loads(both.encode(), base=CONFIG)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9090",  # cookies do not tell ports apart
        "http://docs.localhost:8080",  # it could set cookies for localhost
        "ftp://docs.example.net",
        "http://docs.example.net/path",
    ],
)
def test_a_host_of_documentation_that_would_reach_cookies_is_refused(url: str) -> None:
    text = (CONFIG / "devpi.yaml").read_text()
    changed = text.replace("# documentation_url: https://docs.example.net", "documentation_url: ")
    with pytest.raises(ConfigError, match=r"another host name|has a path|not a valid http"):
        loads(
            changed.replace("documentation_url: ", f"documentation_url: {url}").encode(),
            base=CONFIG,
        )


@pytest.mark.parametrize(
    ("public", "url", "shared"),
    [
        ("pypi.example.org", "docs.example.org", "example.org"),
        ("pypi.example.org", "example.org", "example.org"),
        ("pypi.in.example.org", "docs.example.org", "example.org"),
        ("pypi.example.org", "docs.example.net", ""),
        ("pypi.org", "docs.org", ""),
        ("pypi.co.uk", "docs.co.uk", ""),
        ("pypi.firm.co.uk", "docs.firm.co.uk", "firm.co.uk"),
        ("pypi", "127.0.0.1", ""),
        ("10.0.0.1", "127.0.0.1", ""),
    ],
)
def test_a_host_of_documentation_beside_the_index_is_warned_of(
    public: str, url: str, shared: str
) -> None:
    text = (CONFIG / "devpi.yaml").read_text().replace("http://localhost:8080", f"https://{public}")
    text = text.replace(
        "# documentation_url: https://docs.example.net", f"documentation_url: https://{url}"
    )
    said = [str(one) for one in loads(text.encode(), base=CONFIG).warnings]
    assert [one for one in said if "set cookies for all of" in one] == [
        one for one in said if shared and f"all of {shared};" in one
    ]
    assert any("set cookies" in one for one in said) is bool(shared)


def test_a_host_of_documentation_needs_a_rule() -> None:
    text = (CONFIG / "pypiserver.yaml").read_text()
    with pytest.raises(ConfigError, match="no rule has response: documentation"):
        loads(f"documentation_url: http://docs.example.net\n{text}".encode(), base=CONFIG)


# -- the settings themselves -------------------------------------------------------------------


def test_files_are_found_from_the_configuration(tmp_path: Path) -> None:
    text = (CONFIG / "devpi.yaml").read_text()
    text = text.replace("# tls:", "tls:").replace("unix", "unix")
    (tmp_path / "g.yaml").write_text(text)
    settings = load(tmp_path / "g.yaml")
    assert settings.store == f"sqlite:{tmp_path}/state.db"
    assert str(settings.keys) == f"file:{tmp_path}/gateway.keys"
    assert settings.tls is not None
    assert settings.tls.key == tmp_path / "privkey.pem"


def test_defaults_are_found_from_the_configuration_too(tmp_path: Path) -> None:
    text = (CONFIG / "devpi.yaml").read_text().replace("keys: file:gateway.keys", "")
    settings = loads(text.encode(), base=tmp_path)
    assert settings.keys.path == tmp_path / "gateway.keys"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    text = (CONFIG / "devpi.yaml").read_text()
    for store in ("sqlite:/var/lib/ig/s.db", "sqlite:///var/lib/ig/s.db"):
        settings = loads(text.replace("sqlite:state.db", store).encode(), base=tmp_path)
        assert settings.store == "sqlite:/var/lib/ig/s.db"


def test_rules_say_where_they_stand(shipped: Path) -> None:
    lines = shipped.read_text().splitlines()
    for rule in load(shipped).ruleset().rules:
        name, line, column = rule.position.rsplit(":", 2)
        assert name == str(shipped)
        assert lines[int(line) - 1][int(column) - 1 :].startswith(f"name: {rule.name}")


def test_settings_are_frozen(shipped: Path) -> None:
    settings = load(shipped)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.default = "pass"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.listen[0].port = 1  # type: ignore[misc]


def test_a_gateway_listens_where_the_file_says() -> None:
    text = (CONFIG / "devpi.yaml").read_text("utf-8")
    where = "['[::1]:8080', 'localhost:0', unix:run.sock, unix:/run/ig.sock]"
    text = text.replace("listen: 127.0.0.1:8080", f"listen: {where}")
    text = text.replace("trusted_proxies: []", "trusted_proxies: [127.0.0.1]")
    listeners = listeners_of(loads(text.encode(), base=Path("sub")))
    assert [str(one) for one in listeners] == [
        "[::1]:8080", "localhost:0", "unix:sub/run.sock", "unix:/run/ig.sock",
    ]  # fmt: skip


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml")
    assert "none.yaml: it cannot be read (No such file or directory); " in str(caught.value)


DURATIONS = {"90s": 90, "15m": 900, "12h": 43200, "30d": 2592000, "1h30m": 5400, "500ms": 0.5}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=DURATIONS)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(write_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "1", "s", "1.5h", "-1h", "1h ", " 1h", "1H", "١h", "1h1"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration(text)


def test_sizes() -> None:
    assert [parse_size(text) for text in ("1024B", "64 KiB", "1GiB")] == [1024, 65536, 2**30]
    for text in ("0B", "1KB", "1", "1.5MiB", ""):
        with pytest.raises(ValueError, match="a size such as"):
            parse_size(text)


@pytest.mark.parametrize("text", ["1B", "1023B", "2GiB", "999999999TiB"])
def test_sizes_of_no_use_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1KiB to 1GiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["3651d", "999999999w", "3650d1ms"])
def test_durations_beyond_ten_years_are_refused(text: str) -> None:
    assert parse_duration("3650d")
    with pytest.raises(ValueError, match="at most 3650d"):
        parse_duration(text)


def test_no_part_is_left_out_of_the_schema() -> None:
    told = set(json_schema()["properties"])
    assert told == {each.name for each in dataclasses.fields(Configuration)}
    assert not re.search(r"\bnull\b", str(json_schema()))


NAMES = {
    "https://bücher.example": "https://xn--bcher-kva.example",
    "https://BÜCHER.example:8443": "https://xn--bcher-kva.example:8443",
    "http://straße.example/": "http://xn--strae-oqa.example",  # as browsers do, not "strasse"
    "https://packages.例え.テスト": "https://packages.xn--r8jz45g.xn--zckzah",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
}


@pytest.mark.parametrize(("written", "name"), NAMES.items())
def test_a_host_name_beyond_ascii_becomes_its_a_label(written: str, name: str) -> None:
    assert str(parse_public_url(written)) == name
    assert str(parse_upstream_url(written, Path())) == name
    host = written.partition("//")[2].rstrip("/").partition(":")[0]
    assert parse_listen(f"{host}:80", Path()).host == parse_upstream_url(name, Path()).host

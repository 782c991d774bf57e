"""Every kind of mistake in a configuration: where it is, what was found, what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as patience
from hypothesis import strategies as st

from gateway.app.domain import reading_of
from gateway.settings import ConfigError, Problem, loads, run_tests
from gateway.settings.schema import json_schema
from tests.support.reports import Scanner

HEAD = """\
version: 1
public_url: https://packages.example.org
upstream: {kind: devpi, url: http://127.0.0.1:3141}
store: sqlite:state.db
"""
LINES = HEAD.count("\n")


def problems(text: str | bytes) -> list[Problem]:
    raw = text.encode() if isinstance(text, str) else text
    try:
        settings = loads(raw, file="gateway.yaml", base=Path("/etc/ig"))
    except ConfigError as error:
        return list(error.problems)
    return [*settings.warnings, *run_tests(settings, reading_of(settings))]


def told(text: str | bytes) -> list[str]:
    """The problems, without the file name; lines counted from behind HEAD as +1, +2, …"""
    out = []
    for problem in problems(text):
        line = str(problem).removeprefix("gateway.yaml:")
        number, _, rest = line.partition(":")
        above = number.isdigit() and int(number) > LINES
        out.append(f"+{int(number) - LINES}:{rest}" if above else line)
    return out


def no_proxy(host: str) -> str:
    return (
        f"2:13: https://{host} is https, but there is neither tls nor a proxy in trusted_proxies: "
        "behind a proxy that is not named, the wrong passwords of one person hold back everybody; "
        "trusted_proxies: with the proxy's address, such as 192.0.2.10"
    )


NO_PROXY = no_proxy("packages.example.org")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("trusted_proxies: [192.0.2.10]\n", []),
        ("tls: {certificate: a, key: b}\n", []),
        ("", [NO_PROXY]),
        ("trusted_proxies: []\n", [NO_PROXY]),
    ],
)
def test_a_small_configuration_is_enough(more: str, expected: list[str]) -> None:
    assert told(HEAD + more) == expected
    assert problems(HEAD.replace("https://packages.example.org", "http://localhost")) == []


RULE = "rules:\n  - name: a\n    match: {path: /a}\n    policy: pass\n"

OIDC = "  - {name: a, kind: oidc, issuer: https://ci.example.org, claims: {sub: b}, user: c,\n     "
PUBLISHERS = HEAD + "publishers:\n" + OIDC

PEM = json.dumps(Scanner().pem)

MISTAKES: dict[str, tuple[str | bytes, list[str]]] = {
    "unknown key": (
        HEAD + "public_ulr: x\n",
        ["+1:1: unknown key 'public_ulr'; 'public_url' is meant?"],
    ),
    "unknown key, nothing close": (
        HEAD + "tls: {certificate: a, key: b, zzz: c}\n",
        ["+1:31: unknown key 'zzz'; one of certificate, key"],
    ),
    "a publisher without what its kind needs": (
        HEAD + "publishers:\n"
        "  - {name: a, kind: github, projects: x, repository: a/b, owner_id: 1}\n",
        ["+2:5: publisher 1 'a': kind github without workflow; repository, owner_id, workflow"],
    ),
    "a publisher with keys of another kind": (
        HEAD + "publishers:\n"
        "  - {name: a, kind: google, projects: x, email: a, subject: b, owner_id: 1}\n",
        ["+2:5: publisher 1 'a': owner_id with kind google; email, subject, claims"],
    ),
    "values of a publisher": (
        HEAD + "publishers:\n  - name: a\n    kind: github\n    projects: []\n"
        "    repository: a\n    owner_id: x\n    workflow: a@b\n    claims: {a: 1.5, b: [c]}\n",
        [
            "+4:15: publisher 1 'a': projects: an empty list; at least one entry, or leave the key "
            "out",
            "+5:17: publisher 1 'a': repository: 'a'; OWNER/NAME as on GitHub",
            "+6:15: publisher 1 'a': owner_id: 'x'; a whole number",
            "+7:15: publisher 1 'a': workflow: 'a@b'; the name of a file in the repository",
            "+8:17: publisher 1 'a': a: 1.5; text, a whole number, true or false",
            "+8:25: publisher 1 'a': b: a list; text, a whole number, true or false",
        ],
    ),
    "an issuer in the clear": (
        PUBLISHERS.replace("https://ci", "http://ci") + "projects: x, index: a/b}\n",
        [
            "+2:35: publisher 1 'a': issuer: 'http://ci.example.org' is not encrypted; an address "
            "of https without a query, such as https://gitlab.example.org"
        ],
    ),
    "claims that are looked at anyway": (
        PUBLISHERS.replace("sub", "aud") + "projects: x, index: a/b}\n",
        [
            "+2:5: publisher 1 'a': claims that the gateway looks at itself (iss, aud, exp); others"
        ],
    ),
    "a project that is none": (
        PUBLISHERS + "projects: x y, index: a/b}\n",
        [
            "+3:16: publisher 1 'a': projects: 'x y' is not a valid project; a name, or a pattern "
            "such as acme-*"
        ],
    ),
    "a publisher before devpi without an index and a user": (
        PUBLISHERS.replace(", user: c", "") + "projects: x}\n",
        [
            "+2:5: publisher 1 'a': index is missing; the index (USER/INDEX) it uploads to",
            "+2:5: publisher 1 'a': nobody in whose name it uploads; user",
        ],
    ),
    "a publisher before pypiserver with an index": (
        PUBLISHERS.replace("devpi", "pypiserver") + "projects: x, index: a/b}\n",
        ["+2:5: publisher 1 'a': an index with kind pypiserver, which is one index; leave it out"],
    ),
    "publishers that are the same": (
        PUBLISHERS + "projects: x, index: a/b}\n" + OIDC + "projects: y, index: a/b}\n"
        + OIDC.replace("name: a", "name: b").replace("sub: b", "sub: b, c: d")
        + "projects: z, index: a/b}\n",
        [
            "+4:5: publisher 2 'a': a name that another publisher has; each name once",
            "+6:5: publisher 3 'b': it never decides, because it is for the jobs of 'a'; "
            "one publisher with the projects of both",
        ],
    ),
    "keys of reporters": (
        HEAD + "tokens:\n  reporters:\n    - name: a\n      keys:\n"
        "        one: s3cret\n        two: file:there/is/none\n        t h: |\n"
        "          -----BEGIN PRIVATE KEY-----\n        four: |\n          -----BEGIN\n"
        "    - {name: a, keys: {}}\n",
        [
            "+5:14: one: 's3cret'; a public key in PEM, or file:PATH with one",
            "+6:14: two: /etc/ig/there/is/none cannot be read (No such file or directory); "
            "a public key in PEM, or file:PATH with one",
            "+7:14: [key]: 't h'; the name that reports give the key, without blanks",
            "+7:14: t h: a private key, which nobody else may have; "
            "a public key of the curve P-256 in PEM",
            "+9:15: four: no key that can be read; a public key of the curve P-256 in PEM",
            "+11:23: keys: an empty mapping; at least one entry, or leave the key out",
        ],
    ),
    "the same key of two reporters": (
        HEAD + f"tokens:\n  reporters:\n    - name: a\n      keys: {{one: {PEM}}}\n"
        f"    - name: a\n      keys: {{one: {PEM}}}\n",
        [
            "+5:13: reporter 2 'a': a name that another reporter has; each name once",
            "+6:19: reporter 2 'a': the key 'one' of 'a' again; each key once",
        ],
    ),
    "unknown key in a rule": (
        HEAD + RULE + "    polcy: x\n",
        ["+5:5: rule 1 'a': unknown key 'polcy'; 'policy' is meant?"],
    ),
    "missing keys": (
        "version: 1\nupstream: {kind: devpi}\nstore: sqlite:x\n",
        [
            "1:1: public_url is missing; "
            "The address people use, such as https://packages.example.org",
            "2:11: url is missing; "
            "Where it listens, for the gateway only: http://host:port, https or unix:/path",
        ],
    ),
    "wrong version": (HEAD.replace("1", "2", 1), ["1:10: version: 2; 1"]),
    "version as text": (HEAD.replace("1", "'1'", 1), ["1:10: version: '1'; 1"]),
    "version as a fraction": (
        HEAD.replace("1", "1.0", 1),
        ["1:10: version: 1.0; a whole number"],
    ),
    "version as true": (HEAD.replace("1", "true", 1), ["1:10: version: true; a whole number"]),
    "a number as text": (
        HEAD + "notices: {smtp: {host: m, from: a@b.c, port: '25'}}\n",
        ["+1:46: port: '25'; a whole number"],
    ),
    "a number beyond its bounds": (
        HEAD + "notices: {smtp: {host: m, from: a@b.c, port: 65536}}\n",
        ["+1:46: port: 65536; at most 65535"],
    ),
    "a list of one bad entry": (
        HEAD + "trusted_proxies: [x]\n",
        [
            "+1:19: trusted_proxies: 'x' is not a valid network; "
            "an address or a CIDR, such as 192.0.2.10 or 2001:db8::/32"
        ],
    ),
    "wrong kind": (
        HEAD.replace("devpi", "pypi"),
        ["3:18: kind: 'pypi'; devpi, pypiserver or form"],
    ),
    "key twice": (
        HEAD + "store: sqlite:other.db\n",
        ["+1:1: key 'store' a second time (first in line 4); each key once"],
    ),
    "key twice in a rule": (
        HEAD + RULE + "    policy: deny\n",
        ["+5:5: key 'policy' a second time (first in line 8); each key once"],
    ),
    "no value": (HEAD + "tls:\n", ["+1:1: no value; a value, or leave the key out"]),
    "a number as duration": (
        HEAD + "second_factor: {max_age: 90}\n",
        ["+1:26: max_age: 90; a duration such as 90s, 15m, 12h or 30d"],
    ),
    "a duration without a unit": (
        HEAD + "second_factor: {max_age: '90'}\n",
        ["+1:26: max_age: '90'; a duration such as 90s, 15m, 12h or 30d"],
    ),
    "no duration at all": (
        HEAD + "second_factor: {max_age: 0s}\n",
        ["+1:26: max_age: '0s'; a duration such as 90s, 15m, 12h or 30d"],
    ),
    "a size": (
        HEAD + "limits: {head_size: 32KB}\n",
        ["+1:21: head_size: '32KB'; a size such as 64KiB or 20MiB"],
    ),
    "a date": (
        HEAD + "second_factor: {required_from: 2026-13-01}\n",
        ["+1:32: required_from: '2026-13-01'; a date such as 2026-01-31"],
    ),
    "an enum": (
        HEAD + "second_factor: {enrolment: optinal}\n",
        ["+1:28: enrolment: 'optinal'; required, optional or invite"],
    ),
    "yes is no boolean": (
        HEAD + "allow_open_default: yes\n",
        ["+1:21: allow_open_default: 'yes'; true or false"],
    ),
    "a list for a mapping": (HEAD + "tls: [a]\n", ["+1:6: tls: a list; a mapping"]),
    "text for a mapping": (HEAD + "upstream2: 1\nlimits: fast\n",
        ["+1:1: unknown key 'upstream2'; 'upstream' is meant?", "+2:9: limits: 'fast'; a mapping"],
    ),
    "a list for the file": ("- 1\n", ["1:1: the file: a list; a mapping"]),
    "text for the file": ("x\n", ["1:1: the file: 'x'; a mapping"]),
    "empty file": ("", ["1:1: the file is empty; a mapping with version, public_url, …"]),
    "only comments": (
        "# nothing\n",
        ["1:1: the file is empty; a mapping with version, public_url, …"],
    ),
    "tab": (
        "version: 1\ntls:\n\tkey: a\n",
        ["3:1: a tab character; spaces for indentation"],
    ),
    "syntax": (
        HEAD + "tls: {key: a\n",
        ["+2:1: no YAML: expected ',' or '}', but got '<stream end>'"],
    ),
    "two documents": (HEAD + "---\nversion: 1\n", ["+1:1: no YAML: but found another document"]),
    "not UTF-8": (HEAD.encode() + b"# caf\xe9\n", ["+1:6: byte 0xe9 is not UTF-8; text in UTF-8"]),
    "control character": (HEAD + "# \x07\n", ["+1:3: a control character; printable text"]),
    "anchor": (
        HEAD + "tls: &a {certificate: a, key: b}\n",
        ["+1:6: an anchor (&a); everything written out"],
    ),
    "tag": (HEAD + "audit: {retention: !x 1d}\n", ["+1:20: the tag !x; plain values"]),
    "merge key": (HEAD + "<<: {tls: 1}\n", ["+1:1: a merge key (<<); everything written out"]),
    # -- addresses -------------------------------------------------------------------------------
    "public_url with an odd path": (
        HEAD.replace("example.org", "example.org/a//b"),
        [
            "2:13: public_url: 'https://packages.example.org/a//b' has a path that servers may "
            "read in different ways; letters, digits and .-_~ between single slashes"
        ],
    ),
    "public_url with a query": (
        HEAD.replace("example.org", "example.org?x"),
        [
            "2:13: public_url: 'https://packages.example.org?x' has a query or fragment; "
            "http://host:port or https://host"
        ],
    ),
    "public_url without a scheme": (
        HEAD.replace("https://", ""),
        [
            "2:13: public_url: 'packages.example.org' is not a valid http or https URL; "
            "http://host:port or https://host"
        ],
    ),
    "public_url with a password": (
        HEAD.replace("https://", "https://me:hunter2@"),
        [
            "2:13: public_url: a URL with a user name or password in it; "
            "http://host:port or https://host"
        ],
    ),
    "public_url in the clear": (
        HEAD.replace("https", "http", 1),
        [
            "2:13: http://packages.example.org is not encrypted: passwords and codes can be read "
            "on the way; an https address"
        ],
    ),
    "public_url with an IP address": (
        HEAD.replace("packages.example.org", "192.0.2.1"),
        [
            "2:13: https://192.0.2.1 is an IP address, so there can be no passkeys or security "
            "keys; a host name (http://localhost:PORT for trying out)",
            no_proxy("192.0.2.1"),
        ],
    ),
    "upstream with a path": (
        HEAD.replace("3141", "3141/devpi"),
        [
            "3:30: url: 'http://127.0.0.1:3141/devpi' has a path; scheme, host and port only "
            "(an index below a path of its server cannot stand behind the gateway)"
        ],
    ),
    "upstream with a bad port": (
        HEAD.replace("3141", "99999"),
        [
            "3:30: url: 'http://127.0.0.1:99999' is no URL (Port out of range 0-65535); "
            "http://host:port, https://host or unix:/path"
        ],
    ),
    "upstream without a scheme": (
        HEAD.replace("http://127.0.0.1:3141", "/run/devpi.sock"),
        [
            "3:30: url: '/run/devpi.sock' is not a valid http or https URL; "
            "http://host:port, https://host or unix:/path"
        ],
    ),
    "upstream is one of several the gateway listens on": (
        HEAD.replace("http://127.0.0.1:3141", "unix:/run/ig.sock")
        + "listen: ['127.0.0.1:8080', 'unix:/run/ig.sock']\ntrusted_proxies: [127.0.0.1/32]\n",
        [
            "3:30: unix:/run/ig.sock is where the gateway itself listens; "
            "the address of the index server"
        ],
    ),
    "an address twice": (
        HEAD + "listen: ['[::]:8080', '127.0.0.1:8081', '[::]:8080']\n",
        ["+1:41: [::]:8080 again; each address once"],
    ),
    "no address at all": (
        HEAD + "listen: []\n",
        ["+1:9: listen: an empty list; at least one entry, or leave the key out"],
    ),
    "one bad address of several": (
        HEAD + "listen: ['127.0.0.1:8080', '::1:8080']\n",
        [
            "+1:28: listen: '::1:8080'; host:port such as 127.0.0.1:8080 or [::1]:8080, "
            "or unix:/path"
        ],
    ),
    "a host name that is none": (
        HEAD.replace("packages.example.org", "pack äges.example.org"),
        [
            "2:13: public_url: 'https://pack äges.example.org' names no host; "
            "http://host:port or https://host"
        ],
    ),
    "upstream is the gateway": (
        HEAD.replace("3141", "8080"),
        [
            "3:30: http://127.0.0.1:8080 is where the gateway itself listens; "
            "the address of the index server"
        ],
    ),
    "listen without a port": (
        HEAD + "listen: localhost\n",
        [
            "+1:9: listen: 'localhost'; host:port such as 127.0.0.1:8080 or [::1]:8080, "
            "or unix:/path"
        ],
    ),
    "unix socket without proxies": (
        HEAD + "listen: unix:/run/ig.sock\n",
        [
            "+1:9: behind a unix socket no client has an address; "
            "trusted_proxies, so that X-Forwarded-For is believed"
        ],
    ),
    "uploads to devpi that say nothing of the body": (
        HEAD.replace("https://packages.example.org", "http://localhost")
        + RULE.replace("path: /a", 'methods: [POST], path: "/{user}/{index}"'),
        [
            "+2:5: rule 1 'a' lets pushes and documentation through with the password alone, too; "
            'form: {":action": [submit, file_upload]}, as `index-gateway init devpi` writes it'
        ],
    ),
    "a CIDR with host bits": (
        HEAD + "trusted_proxies: [10.0.0.1/8]\n",
        [
            "+1:19: trusted_proxies: '10.0.0.1/8' is not a valid network (10.0.0.0/8 is meant?); "
            "an address or a CIDR, such as 192.0.2.10 or 2001:db8::/32"
        ],
    ),
    "everybody as a proxy": (
        HEAD + "trusted_proxies: [0.0.0.0/0]\n",
        [
            "+1:18: 0.0.0.0/0 believes every client what it says of its address; "
            "the proxy's own network"
        ],
    ),
    "unknown store": (
        HEAD.replace("sqlite:state.db", "postgres://x"),
        [
            "4:8: store: 'postgres' is not a valid kind of store; sqlite:PATH, redis://, "
            "rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://"
        ],
    ),
    "a store in memory": (
        HEAD.replace("sqlite:state.db", "'sqlite::memory:'"),
        [
            "4:8: store: sqlite: needs the path of a file, as in sqlite:state.db; sqlite:PATH"
        ],
    ),
    # -- secrets ---------------------------------------------------------------------------------
    "inline keys": (
        HEAD + "keys: hunter2\n",
        ["+1:7: keys: a secret is not written into this file; file:PATH or env:NAME"],
    ),
    "inline mail password": (
        HEAD + "notices: {smtp: {host: m, from: a@b.c, user: u, password: hunter2}}\n",
        ["+1:59: password: a secret is not written into this file; file:PATH or env:NAME"],
    ),
    "mail password without a user": (
        HEAD + "notices: {smtp: {host: m, from: a@b.c, password: env:X}}\n",
        ["+1:17: smtp: only one of user and password; both or neither"],
    ),
    "store with a password": (
        HEAD.replace("sqlite:state.db", "redis://:hunter2@localhost/0"),
        [
            "4:8: store: the store's address holds a password; leave it out and add "
            "?password_file=PATH or ?password_env=NAME"
        ],
    ),
    "webhook with a password": (
        HEAD + "notices: {webhook: {url: https://a:hunter2@b/, key: env:X}}\n",
        [
            "+1:26: url: a URL with a user name or password in it; "
            "http://host:port or https://host"
        ],
    ),
    "administrators by a name that is none": (
        HEAD + 'admins: [alice, ""]\n',
        ["+1:17: admins: '' cannot be a user name; a name as in a login"],
    ),
    # -- rules -----------------------------------------------------------------------------------
    "no condition": (
        HEAD + "rules:\n  - {name: a, match: {}, policy: pass}\n",
        [
            "+2:22: rule 1 'a': match: no condition, so it would match everything; at least one of "
            "methods, path, path_regex, content_type, form, networks, users, groups, projects, "
            "indexes"
        ],
    ),
    "an emptied condition": (
        HEAD + "rules:\n  - name: a\n    match: {methods: [], networks: []}\n    policy: pass\n",
        [
            "+3:22: rule 1 'a': methods: an empty list; at least one entry, or leave the key out",
            "+3:36: rule 1 'a': networks: an empty list; at least one entry, or leave the key out",
        ],
    ),
    "a condition without a value": (
        HEAD + "rules:\n  - name: a\n    match:\n      path:\n    policy: pass\n",
        ["+4:7: no value; a value, or leave the key out"],
    ),
    "an empty form": (
        HEAD + "rules:\n  - {name: a, match: {form: {}}, policy: pass}\n",
        [
            "+2:29: rule 1 'a': form: an empty mapping; at least one entry, or leave the key out"
        ],
    ),
    "a form without values": (
        HEAD + 'rules:\n  - {name: a, match: {form: {":action": []}}, policy: pass}\n',
        [
            "+2:41: rule 1 'a': :action: an empty list; "
            "at least one entry, or leave the key out"
        ],
    ),
    "no match": (
        HEAD + "rules:\n  - {name: a, policy: pass}\n",
        ["+2:5: rule 1 'a': match is missing; "
         "Which requests it is for; all conditions must hold"],
    ),
    "no name": (
        HEAD + "rules:\n  - {match: {path: /}, policy: pass}\n",
        ["+2:5: rule 1: name is missing; How messages and the audit trail call this rule"],
    ),
    "unknown policy": (
        HEAD + RULE.replace("pass", "allow"),
        [
            "+4:13: rule 1 'a': policy: 'allow'; "
            "pass, login, second_factor, token, authenticated or deny"
        ],
    ),
    "bad template": (
        HEAD + RULE.replace("/a}", "/a/**/b}"),
        [
            "+3:19: rule 1 'a': path: '**' in '/a/**/b'; "
            "'**' stands only at the end, one segment is {name}"
        ],
    ),
    "bad regex": (
        HEAD + RULE.replace("path: /a", "path_regex: '['"),
        [
            "+3:25: rule 1 'a': path_regex: regex '[' does not compile (missing ]: [); "
            r"the syntax of RE2: no look-around, back references or possessive repeats, "
            r"\z for the end, \d, \w, \s and \b know ASCII only"
        ],
    ),
    "template and regex": (
        HEAD + RULE.replace("path: /a", "path: /a, path_regex: /b"),
        ["+3:12: rule 1 'a': match: both path and path_regex; one of them"],
    ),
    "method in lower case": (
        HEAD + RULE.replace("path: /a", "methods: [get]"),
        ["+3:23: rule 1 'a': methods: 'get'; methods are written in upper case: GET"],
    ),
    "method that is none": (
        HEAD + RULE.replace("path: /a", "methods: 'GET HEAD'"),
        [
            "+3:22: rule 1 'a': methods: 'GET HEAD' is not a valid method; a token such as GET or "
            "PUSH"
        ],
    ),
    "media type with a parameter": (
        HEAD + RULE.replace("path: /a", "content_type: text/xml; x"),
        [
            "+3:27: rule 1 'a': content_type: 'text/xml; x' is not a valid media type; lower case "
            "and without parameters, such as multipart/form-data"
        ],
    ),
    "max_age without a second factor": (
        HEAD + RULE + "    max_age: 5m\n",
        ["+2:5: rule 1 'a': max_age with policy pass; only second_factor has one"],
    ),
    "name twice": (
        HEAD + RULE + "  - {name: a, match: {path: /b}, policy: pass}\n",
        ["+5:12: rule 2 'a': the name of rule 1 (line 6) again; each name once"],
    ),
    "shadowed": (
        HEAD + RULE + "  - {name: b, match: {path: /a/, methods: [GET]}, policy: deny}\n",
        [
            "+5:5: rule 2 'b': it never decides, because rule 1 'a' (line 6) always matches first; "
            "the narrower rule first"
        ],
    ),
    "the gateway's own pages": (
        HEAD + RULE.replace("/a}", "/+auth/**}"),
        [
            "+3:19: rule 1 'a': a rule for paths under /+auth, which the gateway answers itself; "
            "paths of the upstream"
        ],
    ),
    "open default": (
        HEAD + "default: pass\n",
        [
            "+1:10: default: pass leaves every route open that no rule names; "
            "second_factor or deny (or allow_open_default: true)"
        ],
    ),
    # -- tests -----------------------------------------------------------------------------------
    "a test that fails": (
        HEAD + RULE + "tests:\n  - {request: GET /a/, expect: b}\n",
        [NO_PROXY, "+6:5: test 1 'GET /a/': it meets a / pass; expected b"],
    ),
    "a test of a refusal that fails": (
        HEAD + "tests:\n  - {request: GET //a, expect: pass}\n",
        [NO_PROXY, "+2:5: test 1 'GET //a': it meets ambiguous_target; expected pass"],
    ),
    "a test that is no request": (
        HEAD + "tests:\n  - {request: /a, expect: b}\n",
        ["+2:15: test 1 '/a': request: '/a'; METHOD TARGET, as on the request line"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_told_with_its_place(text: str | bytes, expected: list[str]) -> None:
    assert told(text) == expected


@pytest.mark.parametrize("name", ["file", "places", "warnings"])
def test_what_settings_know_beside_the_file_is_no_key(name: str) -> None:
    assert told(f"{HEAD}{name}: x\n")[0].startswith(f"+1:1: unknown key {name!r}; ")


def test_no_message_shows_a_secret() -> None:
    for text, _ in MISTAKES.values():
        assert "hunter2" not in "\n".join(told(text))


def test_all_mistakes_are_told_in_one_run() -> None:
    text = """\
version: 2
public_ulr: https://x.example
upstream: {kind: pypi, url: ftp://x}
store: redis://:hunter2@x/0
listen: 8080
rules:
  - {name: a, match: {path: a}, policy: pass}
  - {name: b, match: {path: /b}, policy: pass}
  - {name: b, match: {path: /b}, policy: allow}
  - {name: b, match: {path: '/b/{x:[}', methods: []}, policy: pass}
  - {name: b, match: {path: /c}, policy: pass}
  - {name: c, match: {path: /c, methods: [GET]}, policy: pass}
store: sqlite:x
"""
    found = told(text)
    assert [line.split(": ")[0] for line in found] == [
        "1:1", "1:10", "2:1", "3:18", "3:29", "4:8", "+1:9", "+3:29", "+5:42", "+6:29", "+6:50",
        "+7:12", "+8:5", "+9:1",
    ]  # fmt: skip
    assert "because rule 5 'b' (line 11) always matches first" in found[-2]


@patience(deadline=None)  # the first example imports what reads
@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_problems(raw: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(raw)
    assert caught.value.problems


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@patience(deadline=None)
@given(st.sampled_from(sorted(json_schema()["properties"])), SHAPES)
def test_any_value_anywhere_is_worded(key: str, value: object) -> None:
    """No mistake ends in a traceback, whatever stands where."""
    import json

    try:
        text = json.dumps(value)
    except ValueError:
        return
    for line in told(HEAD + f"{json.dumps(key)}: {text}\n"):
        assert line

"""Every kind of token that does not do: what a program is told, before both indexes.

Programs show the reason phrase; browsers and people with curl read the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pymacaroons
import pypitoken
import pytest

from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.gate.test_tokens import HERE, make
from tests.support import servers, uploads
from tests.support.http import basic, raw
from tests.support.names import unused


@dataclass(frozen=True)
class Owner:
    """Somebody at an index: what their tokens are made and used with."""

    served: Served
    user: str
    password: str
    upload: str
    simple: str

    def token(self, name: str, **scope: Any) -> str:
        scope.setdefault("actions", ["upload", "read"])
        return make(self.served, self.user, self.password, name, **scope).text


@pytest.fixture(params=["devpi", "pypiserver"])
def owner(request: pytest.FixtureRequest) -> Owner:
    if request.param == "pypiserver":
        served: Served = request.getfixturevalue("simple")
        return Owner(served, "alice", PYPISERVER_USERS["alice"], "/", "/simple/")
    served = request.getfixturevalue("devpi")
    index: servers.Index = request.getfixturevalue("devpi_server")
    user = unused("broken")
    return Owner(served, user, index.person(user), f"/{user}/dev/", f"/{user}/dev/+simple/")


def revoked(owner: Owner) -> str:
    made = make(owner.served, owner.user, owner.password, "revoked", actions=["upload", "read"])
    owner.served.run(owner.served.running.parts.tokens.revoke(owner.user, made.token.id, HERE))
    return made.text


def narrowed(owner: Owner, name: str, caveat: str) -> str:
    token = pymacaroons.Macaroon.deserialize(owner.token(name).removeprefix("pypi-"))
    return f"pypi-{token.add_first_party_caveat(caveat).serialize()}"


def of_another_gateway(owner: Owner) -> str:
    """For this host, as far as it says; with a name and a key of its own."""
    good = pypitoken.Token.load(owner.token("there"))
    return str(pypitoken.Token.create(good.domain, good.identifier, "its key").dump())


KINDS: Mapping[str, tuple[Callable[[Owner], str], Slug, dict[str, str]]] = {
    "expired": (lambda o: narrowed(o, "over", "[0, 2, 1]"), Slug.TOKEN_EXPIRED, {}),
    "not yet": (
        lambda o: narrowed(o, "early", "[0, 9999999999, 9999999998]"),
        Slug.TOKEN_TOO_EARLY,
        {},
    ),
    "revoked": (revoked, Slug.TOKEN_REVOKED, {}),
    "of another project": (
        lambda o: o.token("project", projects=["bar"]),
        Slug.TOKEN_SCOPE,
        {"what": "the project foo"},
    ),
    "of another index": (
        lambda o: narrowed(o, "index", '[1001, ["somebody/else"]]'),
        Slug.TOKEN_SCOPE,
        {},
    ),
    "for other networks": (
        lambda o: o.token("network", networks=["192.0.2.0/24"]),
        Slug.TOKEN_NETWORK,
        {},
    ),
    "not for uploading": (lambda o: o.token("read", actions=["read"]), Slug.TOKEN_SCOPE, {}),
    "not for reading": (lambda o: o.token("upload", actions=["upload"]), Slug.TOKEN_SCOPE, {}),
    "an unknown condition": (lambda o: narrowed(o, "new", "[4711]"), Slug.TOKEN_CONDITION, {}),
    "cut off": (lambda o: o.token("cut")[:-30], Slug.TOKEN_UNREADABLE, {}),
    "no token at all": (lambda o: "pypi-oops", Slug.TOKEN_UNREADABLE, {}),
    "of PyPI": (
        lambda o: pypitoken.Token.create("pypi.org", "0d7a", "key").dump(),
        Slug.TOKEN_ELSEWHERE,
        {"place": "pypi.org"},
    ),
    "of another gateway": (of_another_gateway, Slug.TOKEN_UNKNOWN, {}),
}


def answers(owner: Owner, name: str, text: str) -> bytes:
    """What comes on the wire, to the request that shows it."""
    form = uploads.form({":action": "file_upload", "name": "foo"}, ("foo-1.0.tar.gz", b"x"))
    body = b"" if name == "not for reading" else form
    line = f"GET {owner.simple}" if name == "not for reading" else f"POST {owner.upload}"
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Authorization: {basic('__token__', text)}\r\n"
    if body:
        head += f"Content-Type: multipart/form-data; boundary={uploads._BOUNDARY}\r\n"
        head += f"Content-Length: {len(body)}\r\n"
    return raw(owner.served.port, f"{head}\r\n".encode() + body)


def test_each_kind_of_broken_token_has_its_sentence(owner: Owner) -> None:
    for name, (broken, slug, values) in KINDS.items():
        text = broken(owner)
        head, _, body = answers(owner, name, text).partition(b"\r\n\r\n")
        said = json.loads(body)
        message = MESSAGES[slug]
        line = head.partition(b"\r\n")[0].decode()
        assert said["slug"] == slug, (name, said)
        assert line.startswith(f"HTTP/1.1 {message.status} "), (name, line)
        sentence = line.split(" ", 2)[2]
        assert said["message"].startswith(sentence.rstrip(".…")), (name, line, said)
        known = message.text.partition("{")[0] if not values else message.text.format(**values)
        assert sentence.startswith(known), (name, line)
        assert (b"WWW-Authenticate: Basic" in head) == (message.status == 401), name
        assert text not in head.decode() + body.decode(), name


SHORT = "pypi-AgEIcHlwaS5vcmc"
CARRIED: Mapping[str, tuple[dict[str, str], Slug | None]] = {
    "Bearer": ({"Authorization": f"Bearer {SHORT}"}, Slug.TOKEN_UNREADABLE),
    "token": ({"Authorization": f"token {SHORT}"}, Slug.TOKEN_UNREADABLE),
    "Bearer, in quotes": ({"Authorization": f'Bearer "{SHORT}"'}, Slug.TOKEN_UNREADABLE),
    "Bearer, prefix only": ({"Authorization": "Bearer pypi-"}, Slug.TOKEN_UNREADABLE),
    ":TOKEN": ({"Authorization": basic("", SHORT)}, Slug.TOKEN_UNREADABLE),
    "X-Devpi-Auth :TOKEN": (
        {"X-Devpi-Auth": basic("", SHORT).partition(" ")[2]},
        Slug.TOKEN_UNREADABLE,
    ),
    # Whose these are, the index says.
    "Bearer of devpi-tokens": ({"Authorization": "Bearer devpi-AgEIcHlwaS5vcmc"}, None),
    "Bearer of something else": ({"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, None),
    "a password that begins like one": ({"Authorization": basic("alice", SHORT)}, None),
}


def test_what_is_too_short_for_a_token_has_its_sentence_too(owner: Owner) -> None:
    for name, (fields, slug) in CARRIED.items():
        body = uploads.form({":action": "file_upload", "name": "foo"}, ("foo-1.0.tar.gz", b"x"))
        kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
        answer = owner.served.client().post(
            owner.upload, body=body, fields={"Content-Type": kind, **fields}
        )
        assert answer.status in (401, 403), (name, answer.text)
        assert slug is None or answer.json["slug"] == slug, (name, answer.text)
        assert slug is not None or "slug" not in answer.text, (name, answer.text)

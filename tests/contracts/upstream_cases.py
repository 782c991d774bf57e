"""One case per kind of index server: the adapter, a server that really runs, and a person."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from gateway.core.http.facts import Facts
from gateway.core.upstream import Call, Credential, Upstream
from gateway.upstreams.client import Address, Calls
from tests.gate.recorder import Seen


@dataclass(frozen=True)
class Case:
    """login: whether the server has a login route of its own that the adapter reads."""

    upstream: Upstream
    url: str
    person: Credential
    login: tuple[str, bool] | None = None

    def calls(self) -> Calls:
        return Calls(Address(self.url), answer=20)


def facts_of(call: Call) -> Facts:
    """A call as the request of a client."""
    path, _, query = call.target.partition("?")
    fields = tuple((name.lower(), value) for name, value in call.fields)
    return Facts(call.method, call.target, path, query, fields, None)


def form_server(seen: Seen) -> bytes:
    """A server with a login form: `right` is everybody's password."""
    if seen.line.startswith(b"POST /login"):
        form = parse_qs(seen.body.decode())
        if form.get("password") == ["right"]:
            return (
                b"HTTP/1.1 302 Found\r\nLocation: /home\r\nContent-Length: 0\r\n"
                b"Set-Cookie: sessionid=s3cr3t; Max-Age=600; HttpOnly\r\n\r\n"
            )
    return b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<form>"

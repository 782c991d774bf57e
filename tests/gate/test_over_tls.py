"""What every answer under /+auth/ carries where the address is https, from the running program."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.urls import FRONT
from gateway.web.routes import ROUTES, WITH_TAIL
from tests.conftest import PYPISERVER_USERS
from tests.support.certificates import certificate_for_localhost
from tests.support.gateways import Gateway, configure
from tests.support.http import Answer, Client
from tests.support.pages import SHIELD, form
from tests.support.servers import Index, wait_for

METHODS = ("GET", "HEAD", "POST", "TRACE")
# Refused before the pages are asked: by the grammar, the path, the limits.
ODD = {
    "doubled slash": b"GET /+auth//login HTTP/1.1\r\nHost: a\r\n\r\n",
    "dots": b"GET /+auth/../+auth/login HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded slash": b"GET /+auth%2Flogin HTTP/1.1\r\nHost: a\r\n\r\n",
    "two hosts": b"GET /+auth/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /+auth/ HTTP/1.1\r\n\r\n",
    "two cookie fields": b"GET /+auth/ HTTP/1.1\r\nHost: a\r\n"
    b"Cookie: __Host-ig-session=a\r\nCookie: __Host-ig-session=b\r\n\r\n",
    "an odd expectation": b"POST /+auth/login HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
    "a long head": b"GET /+auth/ HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
    "a long line": b"GET /+auth/" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long body": b"POST /+auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n",
}  # fmt: skip


@dataclass
class TlsClient(Client):
    """trust: the certificate its server shows; None for plain HTTP, as a TLS proxy speaks it."""

    trust: Path | None = None

    def _connection(self) -> http.client.HTTPConnection:
        if self.trust is None:
            return super()._connection()
        context = ssl.create_default_context(cafile=str(self.trust))
        return http.client.HTTPSConnection(
            self.host, self.port, context=context, timeout=self.timeout
        )

    def browse(self, method: str, target: str, **more: Any) -> Answer:
        """As through a TLS proxy: it says whom it speaks for, and the gateway asks nobody else."""
        fields = {"Host": "packages.example.org", "X-Forwarded-For": "203.0.113.7"}
        fields |= {"X-Forwarded-Proto": "https", "Origin": "https://packages.example.org"}
        return super().browse(method, target, fields=fields, **more)


@pytest.fixture(params=["own listener", "behind a proxy"])
def https(
    request: pytest.FixtureRequest, pypiserver: Index, tmp_path: Path
) -> Iterator[tuple[Gateway, TlsClient]]:
    certificate, key = certificate_for_localhost(tmp_path)
    own = request.param == "own listener"
    changes: dict[str, Any] = {"trusted_proxies": ["127.0.0.1/32"]}
    if own:
        changes = {"tls": {"certificate": str(certificate), "key": str(key)}}
    gateway = configure(tmp_path / "gateway", "pypiserver", pypiserver.url, **changes)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace(gateway.url, "https://packages.example.org"))
    gateway.ready_path = ""
    gateway.enrol("alice")
    gateway.start()
    assert gateway.child
    wait_for(gateway.port, gateway.child)
    yield gateway, TlsClient(gateway.port, "localhost", trust=certificate if own else None)
    gateway.stop()


def assert_shielded(answer: Answer, what: object) -> None:
    for name, value in SHIELD.items():
        assert answer.all(name) == [value], (what, answer.status, name, answer.all(name))
    (policy,) = answer.all("content-security-policy")
    assert policy.startswith("default-src 'none'; "), what
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy, what
    assert "camera=()" in answer.first("permissions-policy"), what
    assert answer.all("strict-transport-security") == ["max-age=31536000"], (what, answer.status)
    for line in answer.all("set-cookie"):
        assert line.startswith("__Host-ig-"), what
        assert "; Path=/; HttpOnly; SameSite=Lax; Secure" in line and "Domain" not in line, what


def test_every_answer_of_the_pages_is_shielded(https: tuple[Gateway, TlsClient]) -> None:
    gateway, client = https
    ours = [path for path in ROUTES if path != FRONT]  # which is the index's own here
    paths = [*ours, *(f"{path}/some-tail" for path in WITH_TAIL), "/+auth/nothing"]
    seen = set()
    for path in paths:
        for method in METHODS:
            answer = client.browse(method, path)
            assert_shielded(answer, (method, path))
            seen.add(answer.status)
    assert {200, 303, 404, 405, 415} <= seen, seen
    page = client.browse("GET", "/+auth/login")
    fields = form(page, "/+auth/login") | {"user": "alice", "password": PYPISERVER_USERS["alice"]}
    told = client.browse("POST", "/+auth/login", form=fields)
    assert_shielded(told, "the password")
    assert told.first("location") == "/+auth/verify"
    assert "__Host-ig-pending" in client.cookies
    page = client.browse("GET", "/+auth/verify")
    for code in ("000", gateway.users["alice"].code()):
        fields = form(page, "/+auth/verify") | {"code": code}
        told = client.browse("POST", "/+auth/verify", form=fields)
        assert_shielded(told, code)
    assert told.status == 303 and "__Host-ig-session" in client.cookies
    assert_shielded(client.browse("GET", "/+auth/"), "the overview")


def test_what_is_refused_before_the_pages_is_shielded(https: tuple[Gateway, TlsClient]) -> None:
    _, client = https
    for what, request in ODD.items():
        connection = client._connection()
        connection.connect()
        connection.sock.sendall(request)
        reply = http.client.HTTPResponse(connection.sock, method="GET")
        reply.begin()
        answer = Answer(
            reply.status, tuple((n.lower(), v) for n, v in reply.getheaders()), reply.read()
        )
        connection.close()
        assert 400 <= answer.status < 500, what
        assert_shielded(answer, what)

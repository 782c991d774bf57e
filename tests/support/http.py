"""A small client that sends what it is told: no normalised paths, no followed redirects."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Answer:
    """A whole answer. fields: in order, names lower-cased."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def first(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def unnumbered(self) -> bytes:
        """The body less the id of its request, which every answer of the gateway's has."""
        return re.sub(rb"\b[0-9a-f]{32}\b", b"", self.body)

    @property
    def slug(self) -> str:
        """The reason in a refusal of the gateway, "" in any other answer."""
        if not self.first("content-type").startswith("application/json"):
            return ""
        found = self.json
        return str(found.get("slug", "")) if isinstance(found, dict) else ""


@dataclass
class Client:
    """Talks to one server and keeps its cookies, as a browser would for one host.

    source: the address that it comes from, of 127.0.0.0/8. trust: a certificate; then it
    speaks TLS.
    """

    port: int
    host: str = "127.0.0.1"
    unix: Path | None = None
    source: str = ""
    trust: Path | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    timeout: float = 60.0

    def call(
        self,
        method: str,
        target: str,
        *,
        auth: tuple[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        send: object = None,
        body: bytes = b"",
    ) -> Answer:
        """One request on a connection of its own. send: a body as JSON; form: urlencoded."""
        own = dict(fields or {})
        if auth:
            own["Authorization"] = basic(*auth)
        if self.cookies:
            own["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            body = urlencode(form).encode()
            own["Content-Type"] = "application/x-www-form-urlencoded"
        if send is not None:
            body = json.dumps(send).encode()
            own["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, target, body or None, own)
            reply = connection.getresponse()
            answer = Answer(
                reply.status,
                tuple((name.lower(), value) for name, value in reply.getheaders()),
                reply.read(),
            )
        finally:
            connection.close()
        self._keep(answer)
        return answer

    def get(self, target: str, **more: Any) -> Answer:
        return self.call("GET", target, **more)

    def post(self, target: str, **more: Any) -> Answer:
        return self.call("POST", target, **more)

    def browse(self, method: str, target: str, **more: Any) -> Answer:
        """As a browser asks when a person goes to a page, by the name in `public_url`."""
        fields = {
            "Host": f"localhost:{self.port}",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "same-origin",
            "Accept": "text/html",
            **more.pop("fields", {}),
        }
        return self.call(method, target, fields=fields, **more)

    def _connection(self) -> http.client.HTTPConnection:
        source = (self.source, 0) if self.source else None
        if self.trust is not None:
            context = ssl.create_default_context(cafile=str(self.trust))
            return http.client.HTTPSConnection(
                "localhost", self.port, timeout=self.timeout, context=context
            )
        connection = http.client.HTTPConnection(
            self.host, self.port, timeout=self.timeout, source_address=source
        )
        if self.unix is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(self.timeout)
            connection.sock.connect(str(self.unix))
        return connection

    def _keep(self, answer: Answer) -> None:
        for line in answer.all("set-cookie"):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower() or not value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


def basic(user: str, secret: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{secret}".encode()).decode()


def raw(port: int, sent: bytes, *, timeout: float = 10.0) -> bytes:
    """Send bytes as they are, end the sending side, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))

"""One case per kind of index server: the adapter, a server that really runs, and a person."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gateway.core.http.facts import Facts
from gateway.core.upstream import Call, Credential, Upstream
from gateway.upstreams.client import Address, Calls


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


async def form_server(request: web.BaseRequest) -> web.Response:
    """A server with a login form: `right` is everybody's password."""
    if request.method == "POST" and request.path == "/login":
        form = await request.post()
        if form.getall("password", []) == ["right"]:
            cookie = "sessionid=s3cr3t; Max-Age=600; HttpOnly"
            return web.Response(status=302, headers={"Location": "/home", "Set-Cookie": cookie})
    return web.Response(text="<form>")

"""What issuers answer: as they should, and as none should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.issuers.discovery import LONGEST, Discovery, IssuerFault, allowed

DOCUMENT = "/.well-known/openid-configuration"


@pytest.fixture
async def discovery() -> AsyncIterator[Discovery]:
    made = Discovery(within=60)
    yield made
    await made.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Discovery]:
    made = Discovery(within=0.5)
    yield made
    await made.close()


class Site:
    """A server with two answers. seen: what was asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.document: Any = {}
        self.keys: Any = {"keys": [{"kid": "a"}]}
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path)
        self.headers.append(dict(request.headers))
        said = self.document if request.path.endswith(DOCUMENT) else self.keys
        if callable(said):
            made: web.StreamResponse = await said(request)
            return made
        return web.json_response(said)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", site.answer)
    server = TestServer(app, host="localhost")
    await server.start_server()
    site.url = f"http://localhost:{server.port}"
    site.document = {
        "issuer": site.url,
        "jwks_uri": f"{site.url}/keys",
        "id_token_signing_alg_values_supported": ["RS256", 7, "ES256"],
    }
    yield site
    await server.close()


async def fault(discovery: Discovery, issuer: str) -> str:
    with pytest.raises(IssuerFault) as caught:
        await discovery.ask(issuer)
    return str(caught.value)


async def test_as_it_should_be(discovery: Discovery, site: Site) -> None:
    said = await discovery.ask(site.url)
    assert said.algorithms == ("RS256", "ES256")
    assert said.keys == ({"kid": "a"},)
    assert site.seen == [DOCUMENT, "/keys"]
    sent = {name.lower() for name in site.headers[0]}
    assert not sent & {"cookie", "authorization"}


async def test_an_issuer_with_a_slash_at_its_end(discovery: Discovery, site: Site) -> None:
    site.document["issuer"] = site.url + "/realm/"
    await discovery.ask(site.url + "/realm/")
    assert site.seen[0] == "/realm" + DOCUMENT
    assert "another issuer's" in await fault(discovery, site.url + "/realm")


async def test_it_signs_with_rs256_where_it_says_nothing(discovery: Discovery, site: Site) -> None:
    del site.document["id_token_signing_alg_values_supported"]
    assert (await discovery.ask(site.url)).algorithms == ("RS256",)


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.json_response({})


async def dripping(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(600):
        await answer.write(b" ")
        await asyncio.sleep(0.1)
    return answer


async def huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(LONGEST // 65536 + 1):
        await answer.write(b" " * 65536)
    return answer


async def packed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b" + b"\0" * 20, headers={"Content-Encoding": "gzip"})


async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


async def cut(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return answer


def text(said: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=said)

    return answer


WRONG: dict[str, tuple[Any, str]] = {
    "garbage": (text("<html>"), "not JSON"),
    "a list": ([], "no JSON object"),
    "deep": (text("[" * 100_000), "not JSON"),
    "empty": (text(""), "not JSON"),
    "huge": (huge, "too long"),
    "packed": (packed, "not JSON"),
    "a redirect": (redirect, "it answers 302"),
    "cut off": (cut, "cannot be reached"),
}


@pytest.mark.parametrize("at", ["document", "keys"])
@pytest.mark.parametrize(("said", "why"), WRONG.values(), ids=list(WRONG))
async def test_answers_that_none_should_give(
    discovery: Discovery, site: Site, said: Any, why: str, at: str
) -> None:
    setattr(site, at, said)
    assert why in await fault(discovery, site.url)
    assert "/elsewhere" not in site.seen


@pytest.mark.parametrize("at", ["document", "keys"])
@pytest.mark.parametrize("said", [slow, dripping])
async def test_answers_that_do_not_end(hasty: Discovery, site: Site, said: Any, at: str) -> None:
    setattr(site, at, said)
    assert "no answer within" in await fault(hasty, site.url)


DOCUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example.org"}, "another issuer's"),
    "no issuer": ({"issuer": None}, "another issuer's"),
    "keys in the clear": ({"jwks_uri": "http://keys.example.org/keys"}, "no address of keys"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "no address of keys"),
    "keys in a list": ({"jwks_uri": ["https://a"]}, "no address of keys"),
    "keys with a password": ({"jwks_uri": "https://a:b@example.org/"}, "no address of keys"),
    "no keys": ({"jwks_uri": None}, "no address of keys"),
    "signing as a text": ({"id_token_signing_alg_values_supported": "RS256"}, "how it signs"),
}


@pytest.mark.parametrize(("changes", "why"), DOCUMENTS.values(), ids=list(DOCUMENTS))
async def test_documents(
    discovery: Discovery, site: Site, changes: dict[str, Any], why: str
) -> None:
    site.document |= changes
    assert why in await fault(discovery, site.url)
    assert site.seen == [DOCUMENT]


@pytest.mark.parametrize(
    "keys", [{}, {"keys": {}}, {"keys": [{}] * 101}], ids=["none", "a mapping", "101"]
)
async def test_lists_of_keys(discovery: Discovery, site: Site, keys: Any) -> None:
    site.keys = keys
    assert "list of keys" in await fault(discovery, site.url)


async def test_nobody_is_there(discovery: Discovery) -> None:
    assert await fault(discovery, "http://localhost:1") == "it cannot be reached"
    assert "https only" in await fault(discovery, "http://issuer.example.org")


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://issuer.example.org", True),
        ("https://issuer.example.org:8443/realm", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://issuer.example.org", False),
        ("http://localhost.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@example.org", False),
        ("https://user:pass@example.org", False),
        ("https://", False),
        ("https:///path", False),
        ("https://a b", False),
        ("https://a\n", False),
        ("https://\u24d4xample.org", False),
        ("https://example.org:x", False),
        ("https://example.org/#x", False),
        ("https://example.org/" + "x" * 2000, False),
        ("ftp://localhost", False),
        ("", False),
    ],
)
def test_addresses(address: str, may: bool) -> None:
    assert allowed(address) is may

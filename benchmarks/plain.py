"""What people write when they write it themselves: an aiohttp proxy, and an authorisation
service for nginx's auth_request. Run as `python -m benchmarks.plain KIND PORT [UPSTREAM]`,
where the kind is proxy, auth, or yes.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from benchmarks import session as sessions

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


def proxy(upstream: str) -> web.Application:
    app = web.Application()

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(
            connector=TCPConnector(limit=0), auto_decompress=False, timeout=ClientTimeout(600)
        ) as made:
            app["session"] = made
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        fields = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        url = URL(f"http://127.0.0.1:{upstream}{request.raw_path}", encoded=True)
        data = request.content if request.can_read_body else None
        async with request.app["session"].request(
            request.method, url, headers=fields, data=data, allow_redirects=False
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{rest:.*}", forward)
    return app


def auth() -> web.Application:
    """200 to who brings a signed session cookie, 401 to others."""

    async def judge(request: web.Request) -> web.Response:
        known = sessions.allowed(request.cookies.get(sessions.NAME, ""))
        return web.Response(status=200 if known else 401)

    app = web.Application()
    app.router.add_get("/+auth", judge)
    return app


def yes() -> web.Application:
    """200 to everybody: the least that a service on aiohttp can do."""

    async def nod(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/+auth", nod)
    return app


def main(kind: str, port: str, upstream: str = "") -> None:
    app = {"proxy": lambda: proxy(upstream), "auth": auth, "yes": yes}[kind]()
    if kind != "auth":  # which runs as `web.run_app` does when nobody tunes it
        uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main(*sys.argv[1:])

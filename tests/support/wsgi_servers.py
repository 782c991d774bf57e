"""pypiserver on each server it offers, without passwords; and a way there that knows no reset."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.demo.children import Children, free_port
from tests.support.servers import Index

# What `--server` is called, and what has to be done before pypiserver is imported. `auto` takes
# waitress first, and cheroot for cherrypy, which has no server of its own any more.
SERVERS = {
    "wsgiref": ("wsgiref", ""),
    "waitress": ("auto", ""),
    "gunicorn": ("gunicorn", ""),
    "paste": ("paste", ""),
    "cheroot": (
        "cherrypy",
        "from pypiserver.bottle_wrapper import bottle as b;"
        "b.server_names['cherrypy'] = b.CherootServer",
    ),
    "gevent": ("gevent", "from gevent import monkey; monkey.patch_all()"),
    "twisted": ("twisted", ""),
}


def start_pypiserver_on(server: str, children: Children, place: Path) -> Index:
    """pypiserver without passwords; its packages are in `place / "packages"`."""
    packages = place / "packages"
    packages.mkdir(parents=True)
    name, before = SERVERS[server]
    port = free_port()
    code = f"{before}\nfrom pypiserver.__main__ import main\nmain()"
    argv = [sys.executable, "-c", code, "run", "-i", "127.0.0.1", "-p", str(port)]
    argv += ["-P", ".", "-a", ".", "--disable-fallback", "--health-endpoint", "/health"]
    argv += ["--server", name, str(packages)]
    child = children.start(f"pypiserver-{server}", argv, place / "log")
    child.ready(port, "/health")
    return Index("pypiserver", port, place, child)


@contextmanager
def without_resets(port: int, path: Path) -> Iterator[str]:
    """A unix socket that leads to a loopback port; however a connection ends, it just ends.

    Yields:
        Its address as an upstream's url.
    """
    loop = asyncio.new_event_loop()
    ready, ending = threading.Event(), asyncio.Event()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pump(reader, back), pump(there, writer))
            back.close()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_unix_server(connected, str(path))
        ready.set()
        await ending.wait()
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"unix:{path}"
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()

"""pypiserver on each server it offers, without passwords; and a way there that knows no reset."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.demo.processes import Children
from tests.support.ports import free_port
from tests.support.servers import Index, wait_for

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


# Which speak TLS by themselves, and how they are told to: (before the import, environment).
TLS_SERVERS = {
    "gunicorn": ("", "--certfile={0} --keyfile={1}"),
    "cheroot": (
        "\nclass Secure(b.CherootServer):"
        "\n    def run(self, handler):"
        "\n        self.options.update(certfile={0!r}, keyfile={1!r}); super().run(handler)"
        "\nb.server_names['cherrypy'] = Secure",
        "",
    ),
}


def start_pypiserver_on(
    server: str, children: Children, place: Path, *, tls: tuple[str, str] | None = None
) -> Index:
    """pypiserver without passwords; its packages are in `place / "packages"`.

    Args:
        tls: certificate and key, for one of `TLS_SERVERS`.
    """
    packages = place / "packages"
    packages.mkdir(parents=True)
    name, before = SERVERS[server]
    port = free_port()
    env = {}
    if tls is not None:
        more, arguments = TLS_SERVERS[server]
        before += more.format(*tls)
        env = {"GUNICORN_CMD_ARGS": arguments.format(*tls)}
    code = f"{before}\nfrom pypiserver.__main__ import main\nmain()"
    argv = [sys.executable, "-c", code, "run", "-i", "127.0.0.1", "-p", str(port)]
    argv += ["-P", ".", "-a", ".", "--disable-fallback", "--health-endpoint", "/health"]
    argv += ["--server", name, str(packages)]
    child = children.start(f"pypiserver-{server}", argv, place / "log", env)
    if tls is None:
        child.ready(port, "/health")
    else:
        wait_for(port, child)
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

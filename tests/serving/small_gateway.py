"""A small gateway process for tests: everything passes. It is run as a module, with the arguments
upstream, address to listen on, workers, and for TLS certificate and key.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from gateway.proxy.upstream_pool import UpstreamAddress
from gateway.serving import server, worker
from gateway.serving.deployed import Renewal, Serving
from gateway.serving.reloading import Desk, Reloaded, ReloadRefused
from gateway.serving.server import serve
from gateway.serving.sockets import Listener, ListenError, tls_context
from tests.proxy.passgate import NoPages, PassGate


class Small:
    """A forwarder with nothing behind it; says in each answer which process it is, or `said`."""

    def __init__(self, upstream: str, said: str = "") -> None:
        gate = PassGate()
        gate.own_fields = (("X-Worker", said or str(os.getpid())),)
        self.forwarder = Forwarder(
            gate, UpstreamAddress.parse(upstream), NoPages(), limits=Limits(drain=2.0)
        )

    def refused(self, lines: Sequence[str]) -> None:
        print("refused", *lines, file=sys.stderr, flush=True)

    async def close(self) -> None: ...


class FileRead:
    """A `Reload`: what is said comes from a file; "refuse" and "fail" in it are as they say."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.desk = Desk(self.path)

    def read(self) -> bytes:
        read = self.path.read_bytes()
        if read == b"refuse":
            raise ReloadRefused("it says so")
        return read

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        if first:
            print("told", outcome.ok, flush=True)

    def say(self, outcome: Reloaded) -> None:
        print("said", *outcome.lines, file=sys.stderr, flush=True)


class Files:
    """`Certificates` of this process."""

    def __init__(self, certificate: str, key: str) -> None:
        self.paths = (certificate, key)
        self.tried: object = None

    def state(self) -> object:
        return [Path(path).stat().st_mtime_ns for path in self.paths]

    def read(self) -> ssl.SSLContext:
        self.tried = self.state()
        return tls_context(*self.paths)

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        print("certificate", outcome.ok, flush=True)


def main(upstream: str, listen: str, workers: str = "1", *tls: str) -> int:
    reload = FileRead(os.environ["RELOADED"]) if "RELOADED" in os.environ else None

    def serving(said: str) -> Serving:
        async def start() -> Small:
            if said == "fail":
                raise RuntimeError("as it was told")
            return Small(upstream, said)

        files = Files(*tls) if tls else None
        return Serving(
            start,
            [Listener.parse(listen)],
            files.read() if files else None,
            int(workers),
            lambda where: print(*where, flush=True),
            certificates=files,
            renewal=Renewal(reload=reload, adopted=lambda read: serving(read.decode()))
            if reload
            else None,
        )

    worker.CERTIFICATES_EVERY = 0.05  # type: ignore[misc]
    if "ASYNCIO" in os.environ:
        server._UVLOOP = "uvloop_is_not_there"  # type: ignore[misc]
    return serve(serving(""))


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except ListenError as problem:
        sys.exit(str(problem))

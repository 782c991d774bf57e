"""A small gateway process for tests: everything passes. It is run as a module, with the arguments
upstream, address to listen on, workers, and for TLS certificate and key.
"""

from __future__ import annotations

import os
import sys

from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from gateway.proxy.upstream_pool import UpstreamAddress
from gateway.serving import server
from gateway.serving.server import Serving, serve
from gateway.serving.sockets import Listener, ListenError, tls_context
from tests.proxy.passgate import NoPages, PassGate


class Small:
    """A forwarder with nothing behind it; says in each answer which process it is."""

    def __init__(self, upstream: str) -> None:
        gate = PassGate()
        gate.own_fields = (("X-Worker", str(os.getpid())),)
        self.forwarder = Forwarder(
            gate, UpstreamAddress.parse(upstream), NoPages(), limits=Limits(drain=2.0)
        )

    async def close(self) -> None: ...


def main(upstream: str, listen: str, workers: str = "1", *tls: str) -> int:
    async def start() -> Small:
        return Small(upstream)

    if "ASYNCIO" in os.environ:
        server._UVLOOP = "uvloop_is_not_there"  # type: ignore[misc]
    context = tls_context(*tls) if tls else None
    listeners = [Listener.parse(listen)]
    return serve(
        Serving(start, listeners, context, int(workers), lambda where: print(*where, flush=True))
    )


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except ListenError as problem:
        sys.exit(str(problem))

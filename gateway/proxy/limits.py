"""How long and how much: every limit of the forwarder, once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds.

    head: a request head (and the head of an upstream's answer) at most.
    line: a request line at most.
    fields: header fields at most.
    held: what is kept of bodies that wait to be judged, over all connections.
    pipelined: what is kept of requests sent ahead before reading stops.
    head_time: a request head must be complete this long after its first byte (a new
        connection: after it was made).
    idle: a client's keep-alive connection may wait this long between requests.
    connect: an upstream connection must stand within this time.
    answer: the upstream's answer must begin this long after the last byte moved.
    stall: a transfer may stand still this long.
    linger: what a client still sends after its refusal is read and dropped this long at most.
    half_closed: a client that sends no more and waits for its answer is sent an interim answer
        this often, to find out whether it is still there.
    pool: idle upstream connections kept.
    pool_idle: an idle upstream connection is kept this long: less than upstreams keep it (5 s
        in uvicorn and Apache, 75 s in nginx, 120 s in waitress; a GET that meets the 2 s of
        gunicorn is sent again).
    drain: at a graceful stop running transfers may take this long to finish.
    splice_from: bodies of known length are spliced from this size on.
    """

    head: int = 65536
    line: int = 8192
    fields: int = 128
    held: int = 64 * 2**20
    pipelined: int = 65536
    head_time: float = 30.0
    idle: float = 75.0
    connect: float = 10.0
    answer: float = 300.0
    stall: float = 60.0
    linger: float = 30.0
    half_closed: float = 10.0
    pool: int = 64
    pool_idle: float = 4.0
    drain: float = 30.0
    splice_from: int = 262144

    @property
    def tick(self) -> float:
        """How often the sweeper looks: often enough for the shortest limit."""
        shortest = min(
            self.head_time, self.idle, self.connect, self.answer, self.stall, self.pool_idle
        )  # fmt: skip
        return max(0.02, min(1.0, shortest / 4))

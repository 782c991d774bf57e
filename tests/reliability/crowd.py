"""10,000 idle and 1,000 slow connections beside ordinary traffic."""

from __future__ import annotations

import asyncio
import http.client
import resource
import time
from pathlib import Path

from tests.reliability.world import world

IDLE = 10_000
SLOW = 1_000
REQUESTS = 3_000


def crowd(place: Path) -> dict[str, object]:
    """p50 and p99 of small requests on one connection, alone and with the crowd, milliseconds."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with world(place, "sqlite:state.db", 1) as all_of_it:
        port = all_of_it.gateway.port
        alone = _asked(port)
        beside = asyncio.run(_with_a_crowd(port))
        again = _asked(port)
    return {
        "idle connections": IDLE,
        "slow connections": SLOW,
        "alone": alone,
        "with the crowd": beside,
        "afterwards": again,
        "p99, with / alone": round(beside["p99"] / alone["p99"], 2),
    }


def _asked(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
    took.sort()
    return {
        "p50": round(took[len(took) // 2] * 1000, 2),
        "p99": round(took[len(took) * 99 // 100] * 1000, 2),
    }


async def _with_a_crowd(port: int) -> dict[str, float]:
    """Idle ones have asked once and wait; slow ones send a byte of their head each second."""
    crowd: list[asyncio.StreamWriter] = []
    for number in range(IDLE + SLOW):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        crowd.append(writer)
        if number < IDLE:
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        else:
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    stop = asyncio.Event()

    async def drip() -> None:
        while not stop.is_set():
            for writer in crowd[IDLE:]:
                writer.write(b"x")
            await asyncio.sleep(1)

    dripping = asyncio.create_task(drip())
    try:
        return await asyncio.to_thread(_asked, port)
    finally:
        stop.set()
        await dripping
        for writer in crowd:
            writer.transport.abort()

"""What `/+auth/ready` finds: each part broken in turn, and that many who ask cost one look."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app import readiness
from gateway.app.readiness import Readiness
from gateway.core.crypto.keyring import new_key
from gateway.proxy.upstream_pool import UpstreamAddress
from tests.core.world import Person, World, make_world

FINE = {"store": "ok", "index": "ok", "keys": "ok", "disk": "ok"}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def index(answer: bytes, seen: list[bytes]) -> AsyncIterator[UpstreamAddress]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield UpstreamAddress.at(host, port, secure=False)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = make_world(tmp_path)
    await made.enrol(Person("alice"))
    yield made
    await made.store.close()


def readiness_of(world: World, where: UpstreamAddress, file: Path | None) -> Readiness:
    return Readiness(world.flow.services, where, (("X-Outside", "here"),), file, world.clock)


async def test_all_is_well_and_a_crowd_costs_one_look(world: World, tmp_path: Path) -> None:
    seen: list[bytes] = []
    async with index(ANSWER, seen) as where:
        asked = readiness_of(world, where, tmp_path / "state.db")
        found = await asyncio.gather(*(asked.look() for _ in range(50)))
    assert found == [FINE] * 50
    assert len(seen) == 1 and b"X-Outside: here" in seen[0]


async def close_store(world: World) -> None:
    await world.store.close()


async def change_keys(world: World) -> None:
    world.keys = (new_key([], secrets.token_bytes),)


async def nothing(world: World) -> None: ...


@pytest.mark.parametrize(
    ("spoil", "answer", "wrong"),
    [
        (close_store, ANSWER, {"store": "cannot be written"}),
        (change_keys, ANSWER, {"keys": "do not open the store"}),
        (nothing, ANSWER.replace(b"200", b"502"), {"index": "answers 502"}),
        (nothing, b"garbage\r\n\r\n", {"index": "does not answer"}),
    ],
    ids=["store", "keys", "broken index", "garbage"],
)
async def test_what_is_broken_is_named(
    world: World,
    tmp_path: Path,
    spoil: Callable[[World], Awaitable[None]],
    answer: bytes,
    wrong: dict[str, str],
) -> None:
    await spoil(world)
    async with index(answer, []) as where:
        asked = readiness_of(world, where, tmp_path / "state.db")
        assert await asked.look() == FINE | wrong


async def test_an_index_and_a_directory_that_are_gone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with index(ANSWER, []) as where:
        pass
    asked = readiness_of(world, where, tmp_path / "gone" / "state.db")
    gone = {"index": "does not answer", "disk": "is not there"}
    assert await asked.look() == FINE | gone
    monkeypatch.setattr(readiness, "_ROOM", 1 << 62)
    full = readiness_of(world, where, tmp_path / "state.db")
    assert (await full.look())["disk"] == "nearly full"

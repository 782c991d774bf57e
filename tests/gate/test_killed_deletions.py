"""A guarded deletion that ends at any of its writes: code, entry and act are there in this order.

The store stops at a write, as if the gateway were killed there: what is in it and at the index is
looked at while nothing goes on, and the write fails then.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest

from gateway.app import wiring
from gateway.core.clock import Clock
from gateway.core.store import Append, Key, Store, StoreStep, StoreUnavailable, writes
from gateway.stores import open_store
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.support import servers
from tests.support.http import Answer, basic
from tests.support.names import unused

Serve: TypeAlias = Callable[..., Served]
T = TypeVar("T")

PATIENCE = 20


class Stopping:
    """A store that stops before or behind one of its writes, if it is told to.

    written: the kinds of records and the logs of each write.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.written: list[list[str]] = []
        self.stop: tuple[int, str] | None = None
        self.stopped = threading.Event()
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def put(self, key: Key, value: bytes, **more: Any) -> int | None:
        return await self._write([key.kind], lambda: self.store.put(key, value, **more))

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        if not any(map(writes, steps)):
            return await self.store.transact(steps)
        kinds = [
            one.log if isinstance(one, Append) else one.key.kind for one in steps if writes(one)
        ]
        return await self._write(kinds, lambda: self.store.transact(steps))

    async def _write(self, kinds: list[str], work: Callable[[], Awaitable[T]]) -> T:
        here = len(self.written)
        self.written.append(kinds)
        if self.stop == (here, "before"):
            await self._end()
        done = await work()
        if self.stop == (here, "behind"):
            await self._end()
        return done

    async def _end(self) -> None:
        self.stopped.set()
        await self.go_on.wait()
        raise StoreUnavailable("killed")


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Stopping]:
    opened: list[Stopping] = []

    async def stopping(url: str, clock: Clock) -> Stopping:
        opened.append(Stopping(await open_store(url, clock)))
        return opened[-1]

    monkeypatch.setattr(wiring, "open_store", stopping)
    return opened


class Deletion:
    """Of a release of its own; what there is of it."""

    def __init__(self, gate: Served, store: Stopping, index: servers.Index) -> None:
        self.gate, self.store, self.name = gate, store, unused("killed")
        self.release = index.place / "packages" / f"{self.name}-1.0.tar.gz"
        self.release.write_bytes(b"a release")
        gate.enrol("alice")
        self.store.written.clear()
        self.answer: Answer | None = None

    def ask(self) -> None:
        secret = f"{PYPISERVER_USERS['alice']},{self.gate.code('alice')}"
        self.answer = self.gate.client().post(
            "/",
            body=f":action=remove_pkg&name={self.name}&version=1.0".encode(),
            fields={
                "Authorization": basic("alice", secret),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )

    def state(self) -> tuple[bool, list[str], bool]:
        """Whether the code is used, what the trail says, whether the release is gone."""

        async def look() -> tuple[bool, list[str]]:
            account = await self.store.store.get(Key("user", "alice", ""))
            assert account is not None
            entries = [json.loads(raw) for _, raw in await self.store.store.read("audit")]
            told = [one["event"] for one in entries if one["event"] in ("login", "guarded_act")]
            return json.loads(account.value)["totp"][0]["step"] > 0, told

        return *self.gate.run(look()), not self.release.exists()


def test_at_every_write(stores: list[Stopping], serve: Serve, pypiserver: servers.Index) -> None:
    """One is the password's try, before anything else; one takes the code and records the act."""
    gate = serve("pypiserver", pypiserver.url)
    whole = Deletion(gate, stores[-1], pypiserver)
    whole.ask()
    assert whole.answer is not None and whole.answer.status == 200, whole.answer
    assert whole.state() == (True, ["login", "guarded_act"], True)
    counted, taken = stores[-1].written
    assert counted == ["guesses"]
    assert taken.index("user") < taken.index("audit"), "the code is taken before it is recorded"


@pytest.mark.parametrize(
    ("write", "side", "used", "told"),
    [
        (0, "before", False, []),
        (0, "behind", False, []),
        (1, "before", False, []),
        (1, "behind", True, ["login", "guarded_act"]),
    ],
    ids=["before the try", "behind the try", "before the code", "behind the code"],
)
def test_killed(
    stores: list[Stopping],
    serve: Serve,
    pypiserver: servers.Index,
    write: int,
    side: str,
    used: bool,
    told: list[str],
) -> None:
    """Nothing is deleted that was not recorded, and nothing recorded whose code is not used."""
    gate = serve("pypiserver", pypiserver.url)
    store = stores[-1]
    deletion = Deletion(gate, store, pypiserver)
    store.stop = write, side
    asking = threading.Thread(target=deletion.ask)
    asking.start()
    try:
        assert store.stopped.wait(PATIENCE)
        assert deletion.state() == (used, told, False)
    finally:
        gate.run(_released(store))
        asking.join(PATIENCE)
    assert deletion.answer is not None and deletion.answer.slug == "store_unavailable"
    assert not deletion.state()[2]
    deletion.release.unlink()


async def _released(store: Stopping) -> None:
    store.go_on.set()

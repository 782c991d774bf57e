"""One process of a race on a store; `test_store_processes.py` starts several.

Usage: store_racer.py TASK URL ARGUMENT, with what happened as lines of JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable

from gateway.core.store import Append, Expect, Key, Put, Store, StoreUnavailable
from gateway.stores import open_store

ROUNDS = 30


async def race(store: Store, argument: str) -> None:
    """Everything that only one of many callers may win, all from the same moment on."""
    await store.get(Key("warm", "", ""))
    await asyncio.sleep(max(0.0, float(argument) - time.time()))
    soon = time.time() + 600
    names = [str(number) for number in range(ROUNDS)]
    claimed = [n for n in names if await store.claim(Key("claim", "", n), expires=soon)]
    deleted = [n for n in names if await store.delete(Key("doomed", "", n))]
    created = [n for n in names if await store.put(Key("new", "", n), b"", if_version=0)]
    versions = [await bump(store) for _ in names]
    counted = [await store.count(Key("hits", "u", ""), window=3600) for _ in names]
    numbers = [await chain(store) for _ in names]
    acted = [name for name in names if await act(store, name)]
    say(
        claimed=claimed,
        deleted=deleted,
        created=created,
        versions=versions,
        counted=counted,
        numbers=numbers,
        acted=acted,
    )


async def bump(store: Store) -> int:
    key = Key("sum", "u", "")
    while True:
        record = await store.get(key)
        value, version = (int(record.value), record.version) if record else (0, 0)
        done = await store.put(key, str(value + 1).encode(), if_version=version)
        if done is not None:
            return done


async def chain(store: Store) -> int:
    while True:
        last = await store.last("chain")
        number = last[0] if last else 0
        done = await store.append("chain", str(number).encode(), after=number)
        if done is not None:
            return done


async def act(store: Store, name: str) -> bool:
    """Take a code that all have seen to be free, and do with the same step what it is for."""
    taken = Key("code", "u", name)
    if await store.get(taken) is not None:
        return False
    steps = (Put(taken, b"", if_version=0), Append("acts", name.encode()))
    return len(await store.transact([Expect(Key("tries", "u", ""), 0), *steps])) == 3


async def write(store: Store, argument: str) -> None:
    """Write until killed, telling what has been acknowledged."""
    for number in range(1, 100_000):
        name = str(number)
        await store.put(Key("kept", argument, name), name.encode())
        await store.put(Key("passing", argument, name), name.encode(), durable=False)
        await store.append("kept", name.encode())
        first, last = (Put(Key("both", argument, at), name.encode()) for at in ("first", "last"))
        await store.transact([first, Append("both", name.encode()), last])
        say(number=number)


async def fill(store: Store, argument: str) -> None:
    """Write into a file that may not grow beyond `argument` bytes."""
    await store.put(Key("kept", "", "before"), b"x")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = int(argument)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        for number in range(1000):
            await store.put(Key("kept", "", str(number)), b"x" * 10_000)
    except StoreUnavailable as error:
        kept = await store.get(Key("kept", "", "before"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = await store.put(Key("kept", "", "after"), b"y")
        say(refused=str(error), kept=kept is not None, again=again is not None, number=number)


async def fork(store: Store, argument: str) -> None:
    """Use a store on both sides of a fork, and before it if `argument`."""
    if argument:
        await store.put(Key("fork", "", "parent"), b"1")
        await store.get(Key("fork", "", "parent"))


def after_fork(store: Store, child: bool) -> None:
    async def more() -> None:
        who = "child" if child else "parent"
        await store.get(Key("fork", "", "parent"))
        for number in range(20):
            await store.put(Key("fork", who, str(number)), b"1")
        if not child:
            say(parent=len(await store.items("fork", "parent")))

    try:
        asyncio.run(more())
    except StoreUnavailable as error:
        say(refused=str(error))


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


TASKS: dict[str, Callable[[Store, str], Awaitable[None]]] = {
    "race": race,
    "write": write,
    "fill": fill,
    "fork": fork,
}


def main(task: str, url: str, argument: str) -> None:
    async def run() -> Store:
        store = await open_store(url, time.time)
        await TASKS[task](store, argument)
        return store

    store = asyncio.run(run())
    if task == "fork":
        pid = os.fork()
        after_fork(store, child=pid == 0)
        if pid == 0:
            os._exit(0)
        say(status=os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])

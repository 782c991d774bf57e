"""One of several gateways before which the same name is tried with many passwords at once.

Arguments: the store, a moment to start at, the moment it is for the gateway, a prefix of the
passwords. Prints how many were let through to the index.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from ipaddress import ip_address

from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.throttle.passwords import Guessing
from gateway.stores import open_store

TRIES = 40


async def main(url: str, start: str, now: str, prefix: str) -> int:
    store = await open_store(url, lambda: float(now))
    ring = KeyRing((("k1", bytes(32)),), secrets.token_bytes)
    guessing = Guessing(store, ring, lambda: float(now))
    await store.items("guesses", "")  # connected
    time.sleep(max(0.0, float(start) - time.time()))

    async def guess(number: int) -> bool:
        attempt = guessing.attempt(ip_address("203.0.113.5"), "alice", f"{prefix}{number}")
        try:
            await attempt.begin()
        except Refusal:
            return False
        await asyncio.sleep(0.05)  # the index thinks
        await attempt.wrong()
        return True

    through = await asyncio.gather(*map(guess, range(TRIES)))
    await store.close()
    return sum(through)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

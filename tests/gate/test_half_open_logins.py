"""Somebody with a password opens logins by the thousand and finishes none of them."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis

from gateway.core.throttle.limits import PENDING
from gateway.stores.sqlite import lane
from tests.gate.recorder import Recorder
from tests.gate.served import Served, hidden
from tests.gate.test_hygiene import as_devpi
from tests.support.waiting import eventually

Serve = Callable[..., Served]
MORE = 200
LIFE = 1800 + 3600  # seconds; what a half-open login waits, and is known to have run out
DATABASE = 13


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(as_devpi) as recorder:
        yield recorder


def half_open(served: Served, user: str) -> int:
    """The status of a right password on the gateway's own page."""
    client = served.client()
    form = {**hidden(client.browse("GET", "/+auth/login")), "user": user, "password": "right"}
    return client.browse("POST", "/+auth/login", form=form, fields=served.ours()).status


def at_devpi(served: Served, user: str, agent: str) -> str:
    told = served.client().post(
        "/+login", send={"user": user, "password": "right"}, fields={"User-Agent": agent}
    )
    return told.slug


def flood(served: Served) -> None:
    served.enrol("alice", "bob")
    limit = PENDING[0].limit
    told = Counter(half_open(served, "alice") for _ in range(limit + MORE))
    assert told == {303: limit, 429: MORE}
    slugs = Counter(at_devpi(served, "alice", f"agent {number}") for number in range(limit + 20))
    assert set(slugs) <= {"otp_required", "throttled"}, slugs
    begun = time.monotonic()
    assert half_open(served, "bob") == 303
    assert served.login("bob", "right")
    assert time.monotonic() - begun < 60


def test_they_fill_no_database_and_go_away(
    serve: Serve, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_CHORE_EVERY", 0.05)  # as if more time had gone by
    served = serve("devpi", upstream.url)

    def rows(kind: str) -> int:
        with sqlite3.connect(served.place / "state.db") as file:
            found = file.execute("SELECT count(*) FROM records WHERE kind = ?", (kind,)).fetchone()
        return int(found[0])

    flood(served)
    assert rows("pending") == PENDING[0].limit + 1
    assert rows("approval") <= PENDING[0].limit
    served.offset += LIFE + 60
    fresh = 0

    def cleaned() -> bool:
        nonlocal fresh
        fresh += 1  # what is written cleans up
        assert half_open(served, "bob") == 303
        return rows("pending") <= fresh and rows("approval") == 0

    assert eventually(cleaned)


def test_they_fill_no_redis_and_go_away(serve: Serve, upstream: Recorder, redis_port: int) -> None:
    served = serve("devpi", upstream.url, store=f"redis://127.0.0.1:{redis_port}/{DATABASE}")
    flood(served)
    with redis.Redis(port=redis_port, db=DATABASE) as direct:
        for kind, most in (("pending", PENDING[0].limit + 1), ("approval", PENDING[0].limit)):
            found = direct.keys(f"ig:{{{kind}/*}}:r:*")
            lives = [direct.pttl(key) / 1000 for key in found]
            assert len(found) <= most and all(0 < life <= LIFE + 60 for life in lives), kind
        direct.flushdb()

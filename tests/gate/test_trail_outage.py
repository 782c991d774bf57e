"""The audit trail cannot be written for a while: what needs it is refused, the rest goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.demo.processes import Children
from gateway.core.audit.verify import verify
from tests.gate.counting import Count
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import carried, patch
from tests.gate.test_devpi_login import json_login
from tests.support import servers

LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
db.execute("ROLLBACK")
"""


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[None]:
    """Another process holds the database for a while."""
    argv = [sys.executable, "-c", LOCK, str(file), str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        yield
        process.terminate()


@pytest.fixture
def actor(devpi_server: servers.Index) -> Callable[[Served, str], tuple[str, str, str]]:
    def enrolled(served: Served, user: str) -> tuple[str, str, str]:
        password = devpi_server.person(user)
        served.enrol(user)
        return user, password, served.login(user, password)

    return enrolled


def closed_but_open_for_downloads(
    served: Served, count: Count, user: str, password: str, token: str
) -> None:
    store = count(served)
    assert served.client().get(f"/{user}/dev/+simple/").status == 200
    assert store.taken() == (0, 0), "downloads ask nothing of it, so they wait for nothing"
    told = patch(served.client(), user, **carried("x-devpi-auth", user, token))
    assert (told.status, told.slug) == (503, "store_unavailable")
    assert served.client().get(f"/{user}/dev/+simple/").status == 200


def test_a_lock_of_seconds_is_waited_for_and_a_long_one_closes(
    count: Count, devpi: Served, actor: Callable[[Served, str], tuple[str, str, str]]
) -> None:
    user, password, token = actor(devpi, "locked")
    file = devpi.place / "state.db"
    with locked(file, 2):
        told = patch(devpi.client(), user, **carried("x-devpi-auth", user, token))
        assert told.status == 200, told.text
    with locked(file, 60):
        closed_but_open_for_downloads(devpi, count, user, password, token)
    told = json_login(devpi, user, f"{password},{devpi.code(user)}")
    assert told.status == 200, told.text
    assert devpi.run(verify(devpi.running.parts.audit)).sound


def test_a_redis_that_hangs_and_comes_back(
    count: Count,
    serve: Callable[..., Served],
    devpi_server: servers.Index,
    actor: Callable[[Served, str], tuple[str, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.stores.redis.store.PATIENCE", 3.0)  # as it is shipped
    with Children() as children:
        port = servers.start_redis(children, tmp_path / "redis")
        redis = children._children[-1].process
        served = serve("devpi", devpi_server.url, store=f"redis://127.0.0.1:{port}/0")
        user, password, token = actor(served, "hanging")
        redis.send_signal(signal.SIGSTOP)
        closed_but_open_for_downloads(served, count, user, password, token)
        redis.send_signal(signal.SIGCONT)
        told = json_login(served, user, f"{password},{served.code(user)}")
        assert told.status == 200, told.text
        assert served.run(verify(served.running.parts.audit)).sound

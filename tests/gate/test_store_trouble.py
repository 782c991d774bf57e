"""Stores and key files that are exchanged under a running gateway: closed, said, and back again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from gateway import keystore
from gateway.cli.demo.processes import Children
from gateway.keystore import create_key_file
from tests.gate.served import Served, hidden
from tests.gate.test_devpi_evidence import carried, patch
from tests.gate.test_devpi_login import json_login
from tests.support import servers
from tests.support.http import Answer
from tests.support.waiting import eventually

Serve = Callable[..., Served]


def browser_login(served: Served, user: str, password: str) -> Answer:
    client = served.client()
    page = client.browse("GET", "/+auth/login")
    form = {**hidden(page), "user": user, "password": password}
    return client.browse("POST", "/+auth/login", form=form, fields=served.ours())


def closed(served: Served, user: str, password: str, token: str) -> None:
    """Nobody counts as a person without a factor, whatever way they come."""
    for told in (
        json_login(served, user, password),
        json_login(served, user, f"{password},{served.code(user)}"),
        patch(served.client(), user, **carried("x-devpi-auth", user, token)),
    ):
        assert (told.status, told.slug) == (503, "store_unavailable")
    assert browser_login(served, user, password).status == 503
    assert served.client().get(f"/{user}/dev/+simple/").status == 200


def said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    assert eventually(lambda: words in caplog.text), caplog.text
    return caplog.text.count(words)


def test_a_redis_emptied_under_a_running_gateway(
    serve: Serve,
    devpi_server: servers.Index,
    redis_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An empty store would let anybody with a password enrol a factor of their own."""
    password = devpi_server.person("emptied")
    served = serve("devpi", devpi_server.url, store=f"redis://127.0.0.1:{redis_port}/11")
    served.enrol("emptied")
    token = served.login("emptied", password)
    with redis.Redis(port=redis_port, db=11) as direct:
        kept = {key: direct.dump(key) for key in direct.keys()}  # noqa: SIM118 - no mapping
        direct.flushdb()
        closed(served, "emptied", password, token)
        # Another gateway that begins anew there does not open this one.
        other = serve("devpi", devpi_server.url, store=f"redis://127.0.0.1:{redis_port}/11")
        assert json_login(other, "emptied", password).slug == "not_enrolled"
        closed(served, "emptied", password, token)
        assert said(caplog, "it was emptied or exchanged") == 1
        direct.flushdb()
        for key, value in kept.items():
            direct.restore(key, 0, value)
        told = patch(served.client(), "emptied", **carried("x-devpi-auth", "emptied", token))
        assert told.status == 200
        direct.flushdb()


def test_a_database_exchanged_for_an_empty_file(
    devpi: Served, devpi_server: servers.Index, caplog: pytest.LogCaptureFixture
) -> None:
    password = devpi_server.person("exchanged")
    devpi.enrol("exchanged")
    token = devpi.login("exchanged", password)
    database = devpi.place / "state.db"
    away = database.rename(devpi.place / "away.db")
    for suffix in ("-wal", "-shm"):
        database.with_name(f"state.db{suffix}").rename(f"{away}{suffix}")
    database.touch(0o600)
    closed(devpi, "exchanged", password, token)
    assert said(caplog, "it was emptied")
    away.rename(database)
    for suffix in ("-wal", "-shm"):
        Path(f"{away}{suffix}").rename(f"{database}{suffix}")
    told = patch(devpi.client(), "exchanged", **carried("x-devpi-auth", "exchanged", token))
    assert told.status == 200


def test_other_keys_than_the_stores(
    devpi: Served,
    devpi_server: servers.Index,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No traceback and no page of aiohttp's own, but what to do; the right keys put it right."""
    monkeypatch.setattr(keystore, "LOOK_EVERY", 0.0)
    password = devpi_server.person("keys")
    devpi.enrol("keys")
    file = devpi.place / "gateway.keys"
    right = file.rename(devpi.place / "away.keys")
    create_key_file(file, (("k1", b"x" * 32),))
    told = json_login(devpi, "keys", f"{password},{devpi.code('keys')}")
    assert (told.status, told.slug) == (503, "store_unavailable")
    client = devpi.client()
    page = client.browse("GET", "/+auth/login")
    form = {**hidden(page), "user": "keys", "password": password}
    assert client.browse("POST", "/+auth/login", form=form, fields=devpi.ours()).status == 303
    page = client.browse("GET", "/+auth/verify")
    form = {**hidden(page), "kind": "totp", "code": devpi.code("keys")}
    told = client.browse("POST", "/+auth/verify", form=form, fields=devpi.ours())
    assert told.status == 503 and "default-src 'none'" in told.first("content-security-policy")
    assert said(caplog, "put back those it was used with") == 1
    assert "Traceback" not in caplog.text
    right.replace(file)
    assert devpi.login("keys", password)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.chmod(0o644), "can be read by others"),
        (lambda file: file.write_bytes(b""), "there is no key in it"),
        (lambda file: file.write_bytes(file.read_bytes()[:-10]), "is not base64"),
    ],
    ids=["readable by all", "emptied", "cut off"],
)
def test_a_key_file_that_became_unusable_is_said_and_changes_nothing(
    devpi: Served,
    devpi_server: servers.Index,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    person: Callable[[], tuple[str, str]],
    spoil: Callable[[Path], object],
    words: str,
) -> None:
    monkeypatch.setattr(keystore, "LOOK_EVERY", 0.0)
    user, password = person()
    file = devpi.place / "gateway.keys"
    spoil(file)
    file.touch()
    assert devpi.login(user, password)
    assert devpi.login(user, password)
    assert said(caplog, words) == 1


def test_a_page_that_fails_is_a_page_of_ours(
    devpi: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(devpi.running.parts.flow.services), "reachable", broken)
    told = devpi.client().browse("GET", "/+auth/health")
    assert told.status == 500 and "default-src 'none'" in told.first("content-security-policy")
    assert "a defect" in caplog.text and "a defect" not in told.text


def test_a_redis_that_may_drop_records_is_warned_of_at_the_start(
    serve: Serve, children: Children, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    port = servers.start_redis(
        children, tmp_path / "redis", "--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru"
    )
    serve("pypiserver", "http://127.0.0.1:1", store=f"redis://127.0.0.1:{port}/0")
    said(caplog, "may drop records when memory is short (maxmemory-policy allkeys-lru)")

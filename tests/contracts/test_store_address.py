"""Addresses of stores: what each form means, what is refused, and that no password shows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.stores import BadStoreAddress, open_store
from gateway.stores.address import RedisAddress, read_redis, read_sqlite


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:state.db", "state.db"),
        ("sqlite:/var/lib/index gateway/state.db", "/var/lib/index gateway/state.db"),
        ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
    ],
)
def test_sqlite(url: str, path: str) -> None:
    assert read_sqlite(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress("single", False, (("h", 6379),))),
        ("redis://h:1/2", RedisAddress("single", False, (("h", 1),), db=2)),
        ("redis://[::1]:1", RedisAddress("single", False, (("::1", 1),))),
        ("redis://[::1]", RedisAddress("single", False, (("::1", 6379),))),
        (
            "rediss://u:p%40@h?ca=/ca.pem",
            RedisAddress("single", True, (("h", 6379),), user="u", password="p@", ca="/ca.pem"),
        ),
        (
            "redis+sentinel://:p@a:1,b/name/3",
            RedisAddress(
                "sentinel", False, (("a", 1), ("b", 26379)), db=3, service="name", password="p"
            ),
        ),
        ("redis+cluster://a:1,b:2", RedisAddress("cluster", False, (("a", 1), ("b", 2)))),
    ],
)
def test_redis(url: str, address: RedisAddress) -> None:
    assert read_redis(url) == address


def test_passwords_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from file\n")
    monkeypatch.setenv("PW", "from env")
    url = f"redis+sentinel://h/s?password_file={tmp_path}/pw&sentinel_password_env=PW"
    address = read_redis(url)
    assert (address.password, address.sentinel_password) == ("from file", "from env")
    assert "from" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state.db",
        "mysql://u:hidden@h/db",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:dir/",
        "redis:",
        "redis://",
        "redis://u:hidden@",
        "redis://u:hidden@h:port",
        "redis://u:hidden@h:0",
        "redis://u:hidden@h:70000",
        "redis://u:hidden@h:１",
        "redis://u:hidden@h/one",
        "redis://u:hidden@h/1/2",
        "redis://u:hidden@h/#1",
        "redis://u:hidden@h?db=1",
        "redis://u:hidden@h?ca",
        "redis://u:hidden@[::1",
        "redis://u:hidden@h?password_file=/no/such/file",
        "redis://u:hidden@h?password_env=NO_SUCH_VARIABLE",
        "redis+sentinel://u:hidden@h",
        "redis+cluster://u:hidden@h/1",
    ],
)
async def test_refused(url: str) -> None:
    with pytest.raises(BadStoreAddress) as caught:
        await open_store(url, time.time)
    assert "hidden" not in str(caught.value) and str(caught.value)

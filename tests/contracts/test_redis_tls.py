"""Redis behind TLS: who is trusted, and that nothing goes to anybody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.store import Key, StoreUnavailable
from gateway.stores import open_store
from tests.contracts.conftest import Server
from tests.support.certificates import certificate_for_localhost
from tests.support.ports import free_port

KEY = Key("kind", "alice", "name")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate the server shows, which is its own authority."""
    place = tmp_path_factory.mktemp("authority")
    certificate_for_localhost(place)
    return place / "certificate.pem"


@pytest.fixture(scope="module")
def tls_port(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    server = Server(
        tmp_path_factory.mktemp("redis-tls"),
        *("--save", "", "--appendonly", "no", "--requirepass", "secret word"),
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(authority), "--tls-key-file", str(authority.with_name("key.pem"))),
        *("--tls-ca-cert-file", str(authority)),
    )
    server.start()
    yield port
    server.kill()


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "secret word")


async def written_and_read(url: str) -> bytes | None:
    store = await open_store(url, time.time)
    try:
        await store.put(KEY, b"sealed")
        record = await store.get(KEY)
        return record.value if record else None
    finally:
        await store.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_server_with_a_trusted_certificate(
    host: str, tls_port: int, authority: Path
) -> None:
    url = f"rediss://{host}:{tls_port}/0?password_env=REDIS_PASSWORD&ca={authority}"
    assert await written_and_read(url) == b"sealed"


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("rediss://127.0.0.1:{port}/0", id="an unknown authority"),
        pytest.param("rediss://0.0.0.0:{port}/0?ca={authority}", id="another name"),
        pytest.param("redis://127.0.0.1:{port}/0", id="plain where TLS is spoken"),
    ],
)
async def test_any_other_server_is_refused(address: str, tls_port: int, authority: Path) -> None:
    url = address.format(port=tls_port, authority=authority)
    url += f"{'&' if '?' in url else '?'}password_env=REDIS_PASSWORD"
    with pytest.raises(StoreUnavailable, match=r"certificate|reset|closed") as refused:
        await written_and_read(url)
    assert "secret word" not in str(refused.value)

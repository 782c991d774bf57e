"""A proxy that nobody named makes all people one network: the log and `check` say so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.unnamed_proxies import noted
from tests.gate.conftest import Serve
from tests.gate.recorder import Recorder
from tests.gate.served import Served
from tests.support.gateways import configure
from tests.support.servers import Index
from tests.support.waiting import eventually


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "trusted_proxies" in one.getMessage()]


@pytest.mark.parametrize(
    ("trusted", "fields", "says"),
    [
        ([], {"X-Forwarded-For": "192.0.2.1"}, "127.0.0.1 sends X-Forwarded-For but is not in"),
        ([], {"forwarded": "for=192.0.2.1"}, "127.0.0.1 sends Forwarded but is not in"),
        (["192.0.2.10"], {"X-Forwarded-For": "192.0.2.1"}, "but is not in trusted_proxies"),
        (["127.0.0.1"], {"Forwarded": "for=192.0.2.1"}, "which is not read"),
        (["127.0.0.1"], {"X-Forwarded-For": "192.0.2.1"}, ""),
        (["127.0.0.1"], {"X-Forwarded-For": "127.0.0.1"}, ""),
        (["127.0.0.1"], {}, ""),
        ([], {}, ""),
    ],
)
def test_it_is_said_once(
    serve: Serve,
    upstream: Recorder,
    caplog: pytest.LogCaptureFixture,
    trusted: list[str],
    fields: dict[str, str],
    says: str,
) -> None:
    served = serve("pypiserver", upstream.url, trusted_proxies=trusted)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert served.client().get("/simple/", fields=fields).status == 200
    found = told(caplog)
    assert len(found) == bool(says), found
    assert not says or says in found[0]
    if says.endswith(("not in", "trusted_proxies")):
        assert wait_for_strangers(served) == ["127.0.0.1"]


def wait_for_strangers(served: Served) -> list[str]:
    assert eventually(lambda: served.run(noted(served.running.store)))
    return served.run(noted(served.running.store))


def test_check_says_what_the_gateway_has_seen(tmp_path: Path, pypiserver: Index) -> None:
    gateway = configure(tmp_path / "one", "pypiserver", pypiserver.url)
    try:
        gateway.start()
        seen = "127.0.0.1 sends X-Forwarded-For or Forwarded and is not named here"
        assert seen not in gateway.command("check").stderr
        gateway.client().get("/simple/", fields={"X-Forwarded-For": "192.0.2.1"})
        assert eventually(lambda: seen in gateway.command("check").stderr)
        assert "trusted_proxies: [127.0.0.1]" in gateway.logged()
        text = gateway.config.read_text("utf-8")
        assert "trusted_proxies: []" in text
        gateway.config.write_text(
            text.replace("trusted_proxies: []", "trusted_proxies: [127.0.0.1]")
        )
        assert seen not in gateway.command("check").stderr
    finally:
        gateway.stop()

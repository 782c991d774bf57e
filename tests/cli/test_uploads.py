"""`check --uploads` over a real store, without a gateway."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateway.app.domain import open_domain
from gateway.cli import run
from gateway.core.tokens.raw_uploads import RawUpload, RawUploadLedger, day_of
from gateway.settings import load
from tests.cli.shell import written

CONFIG = """\
version: 1
public_url: http://localhost:8080
upstream: {kind: devpi, url: "http://127.0.0.1:9"}
store: sqlite:state.db
rules:
  - {name: uploads, match: {methods: [POST]}, policy: token, enforce: false}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, CONFIG)


def upload(user: str, client: str, carried: str, now: float) -> RawUpload:
    place = ("192.0.2.7", client, "uploads", carried, "second_factor_required")
    return RawUpload(user, "alice/dev", day_of(now), 1, now, now, *place)


def seen(config: Path, *found: RawUpload) -> None:
    async def work() -> None:
        async with open_domain(load(config)) as parts:
            ledger = RawUploadLedger(parts.store, parts.audit, time.time)
            await ledger.begin(["uploads"])
            for one in found:
                await ledger.add(one)

    asyncio.run(work())


def check(config: Path, *words: str) -> int:
    return run(["check", "-c", str(config), *words])


def test_who_would_be_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    seen(
        config,
        upload("alice", "twine/7.0.0 \x1b[2J", "password", now - 60),
        upload("alice", "uv/0.13.9", "password", now),
        upload("", "curl/8", "nothing", now - 86400),
        upload("bob", "devpi-client/7", "index_token", now),
    )
    assert check(config, "--uploads") == 1
    out, err = capsys.readouterr()
    assert "'uploads' enforced would have refused 4 uploads of 3 people since 2" in out
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == ["alice", "(nobody)", "bob"]
    assert "2 with a password to alice/dev   " in lines[0] and "  last 2" in lines[0]
    assert lines[0].endswith("from 192.0.2.7  uv/0.13.9")
    assert "without any credential" in lines[1]
    assert "a token of the index, made without a second factor" in lines[2]
    assert "/+auth/tokens" in err and "\x1b" not in out
    assert check(config, "--uploads", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["days"] == 30 and told["rules"] == ["uploads"]
    assert [one["with"] for one in told["refused"]] == ["password", "nothing", "index_token"]
    assert told["refused"][0]["count"] == 2 and told["refused"][0]["client"] == "uv/0.13.9"


def test_nothing_counted_is_not_nobody(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(config, "--uploads") == 1
    assert "no gateway runs with 'uploads' yet" in capsys.readouterr().err
    seen(config)
    assert check(config, "--uploads") == 0
    assert "enforced would have refused nothing since 2" in capsys.readouterr().out
    config.write_text(CONFIG.replace(", enforce: false", ""))
    assert check(config, "--uploads") == 1
    assert "No rule counts" in capsys.readouterr().err
    assert check(config, "--json") == 2
    assert check(config, "--live", "--uploads", "--json") == 2


def test_what_explain_says_of_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "-c", str(config), "POST", "/alice/dev"]) == 0
    out = capsys.readouterr().out
    assert "policy: token (not enforced)\n" in out
    assert "needs: nothing yet; uploads without a token are counted\n" in out

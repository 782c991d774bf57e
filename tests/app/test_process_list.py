"""What a neighbour on the machine sees of the gateway's processes, and what they log of a login."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo import stage
from tests.conftest import PYPISERVER_USERS
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway, configure
from tests.support.http import raw
from tests.support.pages import form, log_in
from tests.support.servers import Index
from tests.support.traces import Traces

ALL_LEVELS = "import logging\nlogging.basicConfig(level=1)\nlogging.debug('all levels')\n"
PASSWORD = PYPISERVER_USERS["bob"]


def shown(process_id: int) -> bytes:
    place = Path(f"/proc/{process_id}")
    try:
        return (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    except OSError:  # it has ended
        return b""


def family(process_id: int) -> list[int]:
    """A process and its children."""
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    return [process_id, *(int(child) for task in tasks for child in task.read_text().split())]


def enrol(gateway: Gateway, user: str, traces: Traces) -> Authenticator:
    """By the command line, watched while it runs."""
    argv = [*stage.PROGRAM, "user", "enrol", "-c", str(gateway.config), user, "--json"]
    seen = set()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            seen.add(shown(running.pid))
            time.sleep(0.01)
        assert running.stdout is not None
        made = json.loads(running.stdout.read())
    phone = Authenticator.from_uri(made["uri"], tuple(made["recovery_codes"]))
    traces.add("TOTP secret", phone.secret)
    traces.add("recovery code", *phone.recovery)
    assert len(b"".join(seen)) > 100 and not traces.found(b"".join(seen))
    return phone


@pytest.fixture
def gateway(pypiserver: Index, tmp_path: Path) -> Iterator[Gateway]:
    configured = configure(tmp_path / "gateway", "pypiserver", pypiserver.url, workers=2)
    yield configured
    configured.stop()


def test_no_process_shows_a_secret_and_none_is_logged(gateway: Gateway, tmp_path: Path) -> None:
    traces = Traces()
    traces.add("password", PASSWORD, "a wr0ng password")
    for line in (gateway.place / "gateway.keys").read_text().split():
        traces.add("key", *[word for word in line.split(":") if len(word) > 20])
    assert "key" in traces.kinds
    (tmp_path / "sitecustomize.py").write_text(ALL_LEVELS)
    gateway.start({"PYTHONPATH": str(tmp_path), "PYTHONASYNCIODEBUG": "1"})
    phone = enrol(gateway, "bob", traces)
    browser = log_in(gateway, "bob", PASSWORD, phone)
    for name, value in browser.cookies.items():
        traces.add(f"cookie {name}", value)
    removal = {":action": "remove_pkg", "name": "nothing", "version": "1"}
    code = phone.code()
    for secret in (f"{PASSWORD},{code}", f"{PASSWORD},{code}", "a wr0ng password,123456"):
        gateway.client().post("/", auth=("bob", secret), form=removal)
    stranger = gateway.client()
    page = stranger.browse("GET", "/+auth/login")
    given = form(page, "/+auth/login") | {"user": "bob", "password": PASSWORD}
    fields = {"Origin": gateway.url, "Host": gateway.url.partition("//")[2]}
    assert stranger.browse("POST", "/+auth/login", form=given, fields=fields).status == 303
    for field in (b"Cookie: %s", b"User-Agent: %s", b"Referer: %s", b"Sec-WebSocket-Key1: %s"):
        session = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        filled = field % (session.encode() + b"x" * 12_000)
        host = b"Host: %s\r\n" % fields["Host"].encode()
        told = raw(gateway.port, b"GET /+auth/ HTTP/1.1\r\n%s%s\r\n\r\n" % (host, filled))
        assert told.startswith(b"HTTP/1.1 ") and b"index-gateway" in told
    traces.add("code", code)
    processes = family(gateway.process_id)
    assert len(processes) == 3
    assert not traces.found(b"".join(shown(one) for one in processes))
    assert "DEBUG:root:all levels" in gateway.logged()
    assert not traces.found(gateway.logged())
    for command in ("export", "tail"):
        assert not traces.found(gateway.command("audit", command).stdout)

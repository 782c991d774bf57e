"""`check --live` says of each part whether it works, and what to do where it does not; `serve`
says at start what of it fails; the demo proves itself."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app import live_check
from gateway.cli.demo import indexes, proof
from gateway.cli.demo.processes import Children
from gateway.cli.demo.stage import Demo
from gateway.cli.output import CommandFailed
from gateway.settings import load
from tests.support.gateways import Gateway, running
from tests.support.ports import free_port
from tests.support.servers import Index

ALL = ["index", "passwords", "store", "keys", "public_url"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("live")
    with running(place, "pypiserver", pypiserver.url) as started:
        started.enrol("alice")
        yield started


def looked(config: Path, **changes: str) -> dict[str, live_check.Finding]:
    """What is found with some values of the configuration changed."""
    text = config.read_text()
    for name, value in changes.items():
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{name}:"))
        text = text.replace(line, line.partition(":")[0] + f": {value}", 1)
    changed = config.with_name("changed.yaml")
    changed.write_text(text)
    return {finding.what: finding for finding in asyncio.run(live_check.look(load(changed)))}


def failed(found: dict[str, live_check.Finding]) -> list[str]:
    assert list(found) == ALL
    assert all(finding.ok or finding.fix for finding in found.values())
    return [finding.what for finding in found.values() if not finding.ok]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that sends the same bytes to everybody."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.connection.recv(65536)
            self.connection.sendall(answer)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def reply(status: str, body: bytes = b"", *more: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in [*more, f"Content-Length: {len(body)}"])
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


def test_all_is_well_before_pypiserver(gateway: Gateway) -> None:
    done = gateway.command("check", "--live")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["ok", w] for w in ALL]
    assert "pypiserver refuses a wrong one (403)" in done.stdout
    assert "opens what is sealed (1 looked at)" in done.stdout
    assert f"{gateway.url} leads here" in done.stdout
    quiet = gateway.command("check", "--live", "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_all_is_well_before_devpi(tmp_path: Path, devpi_plain: Index) -> None:
    with running(tmp_path, "devpi", devpi_plain.url) as gateway:
        settings = replace(load(gateway.config), admins=("root", "nobody-of-that-name"))
        told = {one.what: one for one in asyncio.run(live_check.look(settings))}["admins"]
        assert not told.ok and told.fix
        assert "devpi has no user nobody-of-that-name: whoever takes" in told.said
        settings = replace(settings, admins=("root",))
        told = {one.what: one for one in asyncio.run(live_check.look(settings))}["admins"]
        assert (told.ok, told.said) == (True, "devpi has an account for each")
        found = json.loads(gateway.command("check", "--live", "--json").stdout)
    assert [(each["what"], each["ok"], each["fix"]) for each in found] == [
        (what, True, "") for what in ALL
    ]
    assert found[1]["said"] == "devpi refuses a wrong one (401)"


def test_a_root_without_a_password(tmp_path: Path, children: Children) -> None:
    """As devpi-init leaves it, and devpi's own first steps show it."""
    place, port = tmp_path / "devpi", free_port()
    indexes.init_devpi(place, "")
    indexes.start_devpi(children, port, place, tmp_path / "devpi.log")
    with running(tmp_path, "devpi", f"http://127.0.0.1:{port}") as gateway:
        assert failed(looked(gateway.config)) == ["passwords"]
        told = gateway.client().post("/+login", body=b'{"user": "root", "password": ""}')
    assert (told.status, told.slug) == (400, "unreadable_login")
    assert "neither empty" in told.json["message"]


def test_a_public_address_with_a_path(gateway: Gateway, tmp_path: Path) -> None:
    found = looked(gateway.config, public_url=f"{gateway.url}/elsewhere")
    assert failed(found) == ["public_url"], "the gateway that runs has no path"
    with running(tmp_path, "pypiserver", found["index"].said.split()[0]) as other:
        text = other.config.read_text()
        other.stop()
        other.config.write_text(text.replace(other.url, f"{other.url}/packages"))
        other.ready_path = "/packages/+auth/health"
        other.start()
        assert other.command("check", "--live", "--quiet").stderr == ""


def test_an_index_that_does_not_run(gateway: Gateway) -> None:
    found = looked(gateway.config, url=f"http://127.0.0.1:{free_port()}")
    assert failed(found) == ["index", "passwords"]
    assert "cannot be reached (Connection refused)" in found["index"].said
    assert "Start pypiserver" in found["index"].fix


def test_an_index_that_asks_for_no_password(
    gateway: Gateway, children: Children, tmp_path: Path
) -> None:
    (tmp_path / "packages").mkdir()
    indexes.write_htpasswd(tmp_path / "htpasswd", {"alice": "right"})
    port = free_port()
    indexes.start_pypiserver(
        children, port, tmp_path / "packages", tmp_path / "htpasswd", tmp_path / "log",
        protected="list",
    )  # fmt: skip
    found = looked(gateway.config, url=f"http://127.0.0.1:{port}")
    assert failed(found) == ["passwords"]
    assert "takes a wrong password for a right one" in found["passwords"].said
    assert "`update`" in found["passwords"].fix


def test_another_kind_of_index(gateway: Gateway, devpi_plain: Index) -> None:
    found = looked(gateway.config, url=devpi_plain.url)
    assert failed(found) == ["passwords"]
    assert "neither yes nor no" in found["passwords"].said


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
        b"220 mail.example.org ESMTP\r\n",
        b"",
    ],
)
def test_an_index_whose_answers_cannot_be_read(gateway: Gateway, answer: bytes) -> None:
    with answering(answer) as url:
        found = looked(gateway.config, url=url)
    assert failed(found) == ["index", "passwords"]
    assert "cannot be read in exactly one way" in found["index"].said


def test_keys_that_do_not_fit(gateway: Gateway, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(gateway.config.read_text().replace("gateway.keys", f"{tmp_path}/other.keys"))
    subprocess.run(
        [sys.executable, "-m", "gateway", "keys", "new", "-c", str(other)], check=True, timeout=60
    )
    found = looked(gateway.config, keys=f"file:{tmp_path}/other.keys")
    assert failed(found) == ["keys", "public_url"]
    assert "does not open what is in the store" in found["keys"].said
    assert "leads to another gateway" in found["public_url"].said
    found = looked(gateway.config, keys="file:none.keys")
    assert failed(found) == ["keys", "public_url"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply("200 OK", b"{}"), "leads to something else (200)"),
        (reply("200 OK", b'{"proof": "guessed"}'), "leads to another gateway"),
        (reply("200 OK", b'{"proof": 7}'), "leads to another gateway"),
        (reply("404 Not Found", b"<html>"), "leads to something else (404)"),
        (reply("301 Moved", b"", "Location: http://localhost/"), "sends elsewhere (301)"),
        (b"SSH-2.0-OpenSSH\r\n", "not as a gateway does"),
    ],
)
def test_a_public_address_that_leads_elsewhere(gateway: Gateway, answer: bytes, said: str) -> None:
    with answering(answer) as url:
        found = looked(gateway.config, public_url=url.replace("127.0.0.1", "localhost"))
    assert failed(found) == ["public_url"]
    assert said in found["public_url"].said


def test_nothing_waits_for_ever(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.app.probe.WITHIN", 0.3)
    with answering(b"") as url, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        began = time.monotonic()
        found = looked(gateway.config, url=f"http://127.0.0.1:{port}")
        assert time.monotonic() - began < 60, url
    assert failed(found) == ["index", "passwords"]
    assert "does not answer within" in found["index"].said


def test_a_store_that_this_user_cannot_write(gateway: Gateway, tmp_path: Path) -> None:
    """As somebody whom the modes of files bind, which they do not bind root."""
    place = tmp_path / "copied"
    shutil.copytree(gateway.place, place)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "check",
        "--live",
        "-c",
        str(place / "gateway.yaml"),
    ]
    if os.getuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command]
    for path, mode in ((place / "state.db", 0o444), (place, 0o555)):
        path.chmod(mode)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        path.chmod(0o755)
        assert done.returncode == 1
        assert re.search(r"FAILED +store +this user cannot write .* \(as \w+\)", done.stdout)


def test_serve_says_what_fails_and_serves(gateway: Gateway, tmp_path: Path) -> None:
    """With one worker and with several; none is started anew for it."""
    for workers in ("1", "2"):
        port = free_port()
        config = tmp_path / "gateway.yaml"
        config.write_text(
            gateway.config.read_text()
            .replace(f"127.0.0.1:{gateway.port}", f"127.0.0.1:{port}")
            .replace("gateway.keys", f"{gateway.place}/gateway.keys")
            .replace("url: http", "url: http", 1)
        )
        text = config.read_text()
        upstream = next(line for line in text.splitlines() if line.strip().startswith("url:"))
        config.write_text(text.replace(upstream, f"  url: http://127.0.0.1:{free_port()}"))
        argv = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--workers", workers]
        with (tmp_path / "log").open("wb") as log:
            serving = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while "warning: passwords:" not in (said := (tmp_path / "log").read_text()):
                assert time.monotonic() < end and serving.poll() is None, said
                time.sleep(0.1)
            assert "warning: index: http://127.0.0.1:" in said
            assert "hint: Start pypiserver" in said
        finally:
            serving.terminate()
            assert serving.wait(60) == 0
        assert "starting another" not in (tmp_path / "log").read_text()


# -- the demo's proof -------------------------------------------------------------------------


def stage(url: str) -> Demo:
    return Demo("pypiserver", url, url, f"{url}/simple/", Path(), Path("none.yaml"), "", "")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply("502 Bad Gateway", b'{"error": "upstream_broken"}'), "with 502:\n.*upstream_broken"),
        (reply("200 OK", b"<html>"), "names no file"),
        (reply("200 OK", b'<a href="x.whl#md5=00">'), "arrived otherwise"),
        (b"", "did not answer"),
    ],
)
def test_the_demo_stops_where_its_download_fails(answer: bytes, said: str) -> None:
    with answering(answer) as url, pytest.raises(CommandFailed, match=said):
        proof.prove(stage(url))

"""The emergency stop with the programs people have: what each of them says; downloads go on."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from gateway.cli.demo.indexes import Package, write
from tests.conftest import PYPISERVER_USERS, StartGateway
from tests.support.clients import DevpiClient, pip, twine, uv
from tests.support.gateways import Gateway, configure
from tests.support.http import Client
from tests.support.servers import Index

REASON = "the signing key leaked"
SAID = f"Downloads go on. The administrator says: {REASON}"


def obeys(gateway: Gateway, target: str, slug: str, within: float = 30) -> None:
    """Wait until a gateway refuses an upload, or does so no more: it looks twice a second."""
    end = time.monotonic() + within
    form = {":action": "submit", "name": "x", "version": "1"}
    while (told := Client(gateway.port).post(target, form=form).slug) != slug:
        assert time.monotonic() < end, told
        time.sleep(0.05)


def download(home: Path, url: str, package: str) -> None:
    options = ("--no-deps", "--no-cache-dir", "-d", str(home), "--index-url", url)
    done = pip(home, "download", *options, f"{package}==1.0")
    assert done.code == 0, done.said


def test_two_gateways_before_pypiserver(
    start_gateway: StartGateway, pypiserver: Index, redis_port: int, tmp_path: Path
) -> None:
    store = f"redis://127.0.0.1:{redis_port}/11"
    one = start_gateway(pypiserver, store=store)
    two = configure(tmp_path / "two", "pypiserver", pypiserver.url, store=store, public_url=one.url)
    shutil.copy(one.place / "gateway.keys", two.place / "gateway.keys")
    two.start()
    try:
        (file, *_) = write(tmp_path / "dist", Package("frozen_one", "1.0"))
        user, password = "alice", PYPISERVER_USERS["alice"]
        place = f"http://127.0.0.1:{two.port}/"
        one.command("freeze", "uploads", "--for", "2h", "--reason", REASON)
        for gateway in (one, two):
            obeys(gateway, "/", "frozen")
        done = twine(tmp_path, place, user, password, file)
        assert done.code != 0
        assert "403" in done.words and "Uploads are stopped here until" in done.words
        assert SAID in done.words
        login = ("--username", user, "--password", password)
        done = uv(tmp_path, "publish", "--publish-url", place, *login, str(file))
        assert done.code != 0 and SAID in done.words
        download(tmp_path / "got", f"{place}simple/", "hello")
        assert "uploads is stopped until" in two.command("freeze", "list").stdout
        two.command("unfreeze", "uploads")
        for gateway in (one, two):
            obeys(gateway, "/", "")
        done = twine(tmp_path, place, user, password, file)
        assert done.code == 0, done.said
        trail = one.command("audit", "tail", "-n", "50").stdout
        assert "upload " in trail and "of frozen-one 1.0" in trail
        assert "frozen" in trail and "unfrozen" in trail
    finally:
        two.stop()
        for left in (pypiserver.place / "packages").glob("frozen_one*"):
            left.unlink()


def test_before_devpi(start_gateway: StartGateway, devpi_server: Index, tmp_path: Path) -> None:
    name = "standing-still"
    gateway = start_gateway(devpi_server)
    password = devpi_server.person(name, Package("hello", "1.0"))
    phone = gateway.enrol(name)
    devpi = DevpiClient(tmp_path / name)
    assert devpi("use", f"{gateway.url}/{name}/dev").code == 0
    done = devpi("login", name, f"--password={password},{phone.code()}")
    assert done.code == 0, done.said
    (file, *_) = write(tmp_path / "dist", Package("frozen_two", "1.0"))
    place = f"{gateway.url}/{name}/dev/"
    gateway.command("freeze", "all", "--for", "2h", "--reason", REASON)
    obeys(gateway, f"/{name}/dev", "frozen")
    done = devpi("upload", str(file))
    assert done.code != 0 and SAID in done.words
    done = devpi("remove", "-y", "hello==1.0")
    assert SAID in done.words
    done = devpi("login", name, f"--password={password},{phone.code()}")
    assert done.code != 0 and SAID in done.words
    done = twine(tmp_path, place, name, password, file)
    assert done.code != 0 and SAID in done.words
    done = uv(
        *(tmp_path, "publish", "--publish-url", place, "--username", name),
        *("--password", password, str(file)),
    )
    assert done.code != 0 and SAID in done.words
    download(tmp_path / "got", f"{place}+simple/", "hello")
    gateway.command("unfreeze", "all")
    obeys(gateway, f"/{name}/dev", "")
    done = devpi("upload", str(file))
    assert done.code == 0, done.said

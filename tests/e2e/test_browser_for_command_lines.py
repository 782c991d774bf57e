"""A login of a command line by a word in the browser, and what pip and uv then find in the keyring:
the real `keyring` with our backend, and with none of ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.cli.demo import stage
from gateway.cli.demo.indexes import Package, script, write
from gateway.client.login import LoginFailed, start
from gateway.core.audit.events import Event
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.gate.test_other_policies import only
from tests.gate.test_tokens import entries
from tests.support.clients import environment, pip, run, uv
from tests.support.pages import form
from tests.support.servers import ROOT, Index

OURS = "gateway.client.backend.GatewayKeyring"
FILE = "tests.support.file_keyring.FileKeyring"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Served]:
    """An index on which everything takes a credential."""
    place = tmp_path_factory.mktemp("private")
    served = Served(place, "pypiserver", pypiserver.url, only("authenticated"))
    served.start()
    served.enrol("alice")
    yield served
    served.stop()


class Machine:
    """Somebody's own: a home, a keyring in a file, `keyring` outside of pip's environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        tools = home / "bin"
        tools.mkdir(parents=True)
        (tools / "keyring").symlink_to(script("keyring"))
        self.env = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FILE_KEYRING": str(home / "keyring.json"),
            "INDEX_GATEWAY_KEYRING": FILE,
            "PYTHON_KEYRING_BACKEND": OURS,
            "XDG_STATE_HOME": str(home / "state"),
        }

    def login(self, url: str, *options: str) -> subprocess.Popen[str]:
        argv = [*stage.PROGRAM, "login", url, "--no-browser", *options]
        return subprocess.Popen(
            argv,
            env=environment(self.home) | self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def kept(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "keyring.json").read_text())
        return found


def asked(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The page to open, and the number to type there."""
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"Open (\S+/\+auth/connect/\S+) and type ([0-9]{2}) there", line)
    assert found, line
    return found[1], found[2]


async def test_pip_and_uv_find_what_a_browser_gave(
    private: Served, pypiserver: Index, tab: Page, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "home")
    simple = f"{private.url}/simple/"
    process = await asyncio.to_thread(machine.login, simple, "--upload")
    address, number = await asyncio.to_thread(asked, process)
    await tab.goto(address)
    await tab.get_by_label("User name").fill("alice")
    await tab.get_by_label("Password").fill(PYPISERVER_USERS["alice"])
    await tab.get_by_role("button", name="Continue", exact=True).click()
    await tab.get_by_label("One-time code").fill(private.code("alice"))
    await tab.get_by_role("button", name="Log in", exact=True).click()
    await expect(tab.get_by_role("heading", name="Let this command line in?")).to_be_visible()
    main = tab.locator("main")
    await expect(main).to_contain_text("read and upload as alice for 12 hours")
    await expect(main).to_contain_text("127.0.0.1")
    assert number not in (await main.inner_text()).split()
    await tab.get_by_label("Number in your terminal").fill(number)
    await tab.get_by_role("button", name="Approve", exact=True).click()
    await expect(tab.get_by_role("heading", name="Login approved")).to_be_visible()
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert "Logged in as alice, until " in err
    host = f"localhost:{private.port}"
    assert list(machine.kept) == [f"{host} __token__"]
    token = machine.kept[f"{host} __token__"]
    assert token.startswith("pypi-AgE")
    logins = (tmp_path / "home/state/index-gateway/logins.json").read_text()
    assert token not in logins + err
    await asyncio.to_thread(programs, machine, private, pypiserver, simple, token)


def programs(machine: Machine, served: Served, index: Index, simple: str, token: str) -> None:
    download = ["download", "--no-deps", "--no-cache-dir", "--no-input", "--dest", "got"]
    wanted = ["--keyring-provider", "subprocess", "--index-url"]
    done = pip(machine.home, *download, *wanted, simple, "hello", **machine.env)
    assert done.code == 0, done.said
    named = simple.replace("://", "://__token__@")
    plain = machine.env | {"PYTHON_KEYRING_BACKEND": FILE}  # none of ours
    for env in (machine.env, plain):
        install = ["pip", "install", "--no-cache", "--target", "lib", *wanted, named, "world"]
        done = uv(machine.home, *install, **env)
        assert done.code == 0, done.said
    wheel, _ = write(machine.home / "dist", Package("granted", "1.0"))
    publish = ["publish", "--keyring-provider", "subprocess", "--username", "__token__"]
    done = uv(machine.home, *publish, "--publish-url", f"{served.url}/", str(wheel), **machine.env)
    assert done.code == 0, done.said
    assert (index.place / "packages" / wheel.name).exists()
    (index.place / "packages" / wheel.name).unlink()

    # Nothing for other hosts and other people, and nothing where nobody is there.
    def ask(*words: str, **env: str) -> str:
        argv = [sys.executable, "-m", "keyring", *words]
        return run(machine.home, *argv, env=machine.env | env).said.strip()

    assert ask("get", simple, "__token__") == token
    assert ask("get", f"localhost:{served.port}", "alice") == token
    assert ask("get", simple, "bob") == ""
    assert ask("get", "http://localhost:1/simple/", "__token__") == ""
    assert ask("get", f"https://localhost:{served.port}/", "__token__") == ""
    assert ask("get", "some service", "__token__") == ""
    file = machine.home / "state/index-gateway/logins.json"
    known = json.loads(file.read_text())
    known[f"localhost:{served.port}"]["expires"] = 1
    file.write_text(json.dumps(known))
    assert ask("get", simple, "__token__", INDEX_GATEWAY_NO_LOGIN="1") == ""
    made = [one for one in entries(served, Event.TOKEN_MADE) if one["user"] == "alice"]
    assert "upload, read, for 12 hours; for 127.0.0.1" in made[-1]["detail"]

    again(machine, served, simple)
    process = machine.login(simple, "--forget")
    assert process.communicate(timeout=60)[1] == "Removed.\n"
    assert machine.kept == {}


def again(machine: Machine, served: Served, simple: str) -> None:
    """The token is over; what asks for it on a terminal waits there for a word in the browser."""
    browser = served.browse_in("alice", PYPISERVER_USERS["alice"])
    argv = [script("keyring"), "get", simple, "__token__"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(machine.home)
        os.execve(argv[0], argv, environment(machine.home) | machine.env)
    said = b""
    while not (found := re.search(rb"open \S+(/\+auth/connect/\S+) and type ([0-9]+) th", said)):
        said += os.read(terminal, 65536)
    here = found[1].decode()
    fields = form(browser.browse("GET", here), here) | {"number": found[2].decode()}
    assert browser.browse("POST", here, form=fields, fields=served.ours()).status == 303
    with contextlib.suppress(OSError):  # Linux: the other side is closed
        while data := os.read(terminal, 65536):
            said += data
    assert os.waitpid(child, 0)[1] == 0, said
    os.close(terminal)
    (token,) = machine.kept.values()
    assert b"logged in as alice" in said and token.encode() in said


def test_over_plain_http(private: Served) -> None:
    client = private.client()
    begun = client.post("/+auth/api/login", send={"actions": ["read"], "hours": 1})
    assert begun.status == 201, begun.text
    assert set(begun.json) == {"approve", "number", "poll", "secret", "expires"}
    at = "/+auth/api/login/poll"
    waits = client.post(at, send={"secret": begun.json["secret"]})
    assert (waits.status, waits.first("retry-after")) == (202, "2")
    for wrong in ({}, {"secret": 7}, {"secret": "x.y"}):
        assert client.post(at, send=wrong).slug == "approval_gone"
    wrongs: tuple[object, ...] = (
        {"actions": ["manage"]},
        {"actions": "read"},
        {"actions": []},
        {"hours": 13},
        {"hours": True},
        {"hours": 0},
        [],
    )
    for asked_for in wrongs:
        assert client.post("/+auth/api/login", send=asked_for).slug == "token_request", asked_for
    assert client.get("/+auth/api/login").status == 405
    foreign = {"Origin": "https://evil.example.org"}
    assert client.post("/+auth/api/login", send={}, fields=foreign).slug == "cross_site"


def test_what_no_login_is_sent_to(pypiserver: Index) -> None:
    for url, why in (
        ("http://packages.example.org/simple/", "is not encrypted"),
        ("ftp://packages.example.org", "is no address of an index"),
        ("https://", "is no address of an index"),
        ("https://packages.example.org:x", "is no address"),
        (pypiserver.url, "is not behind an index-gateway"),
        ("http://localhost:1", "cannot be reached"),
    ):
        with pytest.raises(LoginFailed) as caught:
            start(url, ("read",), 1)
        assert why in str(caught.value), url

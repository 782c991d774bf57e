"""The plugin in the real devpi-client on a terminal, and beside servers that are no gateway."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path

import devpi_client_otp
import pytest
from devpi import hookspecs
from pluggy import HookimplMarker, PluginManager

from gateway import NAME
from gateway.core.errors import MESSAGES, Slug
from gateway.core.urls import HEALTH
from tests.e2e.conftest import NewPerson
from tests.support.gateways import Gateway
from tests.support.servers import Index

PLUGIN = Path(__file__).parents[2] / "plugins" / "devpi-client-otp"

# -- devpi-client on a terminal ----------------------------------------------------------------


def test_a_login_asks_for_password_and_code(before_devpi: Gateway, person: NewPerson) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    code = alice.phone.code()
    done = alice.devpi.on_terminal("login", alice.name, answers=[alice.password, code])
    assert f"logged in '{alice.name}'" in done.said, done.said
    assert f"one-time code for user {alice.name}" in done.said
    assert alice.password not in done.said
    assert alice.devpi.logged_in
    assert "user modified" in alice.devpi("user", "-m", alice.name, "email=a@example.net").said


def test_a_recovery_code_does_as_well(before_devpi: Gateway, person: NewPerson) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    answers = [alice.password, alice.phone.recovery[0]]
    assert "logged in" in alice.devpi.on_terminal("login", alice.name, answers=answers).said


def test_without_a_code_the_gateway_says_what_is_missing(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    done = alice.devpi.on_terminal("login", alice.name, answers=[alice.password, ""])
    assert done.code != 0
    assert MESSAGES[Slug.OTP_REQUIRED].text in done.words, done.said
    assert not alice.devpi.logged_in


def test_a_code_typed_with_the_password_is_not_asked_for_again(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    done = alice.devpi.on_terminal("login", alice.name, answers=[alice.with_code()])
    assert "logged in" in done.said, done.said
    assert "one-time code" not in done.said


def test_straight_at_devpi_nothing_changes(devpi_server: Index, person: NewPerson) -> None:
    alice = person("alice")
    alice.devpi("use", devpi_server.url)
    done = alice.devpi.on_terminal("login", alice.name, answers=[alice.password])
    assert "logged in" in done.said, done.said
    assert "one-time code" not in done.said


# -- other servers -------------------------------------------------------------------------------

GATEWAY = b'{"name": "index-gateway", "status": "ok", "store": "failed"}'


@contextmanager
def server(
    status: int, body: bytes, *fields: tuple[str, str], only: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Answers everything alike, or all but one path with 404; its address, and the head of every
    request it was sent."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.requestline}\n{self.headers}")
            self.send_response(404 if only and self.path != only else status)
            for name, value in fields:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/", asked
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class Keyring:
    """Another plugin, which knows a password (or none)."""

    def __init__(self, password: str | None) -> None:
        self.password = password

    @HookimplMarker("devpiclient")
    def devpiclient_get_password(self, url: str, username: str) -> str | None:
        return self.password


def ask(url: str, password: str | None = "secret") -> str | None:
    """What devpi-client would send as password."""
    plugins = PluginManager("devpiclient")
    plugins.add_hookspecs(hookspecs)
    plugins.register(devpi_client_otp)
    plugins.register(Keyring(password))
    found = plugins.hook.devpiclient_get_password(url=url, username="alice")
    assert found is None or isinstance(found, str)
    return found


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody at a terminal who types 123 456 whenever asked; what they were asked."""
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return "123 456"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    return prompts


def test_the_code_goes_behind_what_another_plugin_knows(typed: list[str]) -> None:
    with server(200, GATEWAY) as (url, asked):
        assert ask(url) == "secret,123456"
    assert typed == ["one-time code for user alice (Enter for none): "]
    assert [head.partition("\n")[0] for head in asked] == ["GET /+auth/health HTTP/1.1"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, GATEWAY),
        (401, GATEWAY),
        (500, b""),
        (200, b""),
        (200, b"<!doctype html>"),
        (200, b"\xff\xfe"),
        (200, b"[]"),
        (200, b'{"status": "ok"}'),
        (200, b'{"name": ["index-gateway"]}'),
        (200, b" " * 4096 + GATEWAY),
    ],
    ids=["absent", "closed", "broken", "empty", "page", "bytes", "list", "other", "odd", "long"],
)
def test_another_server_gets_one_question_and_the_plain_password(
    status: int, body: bytes, typed: list[str]
) -> None:
    with server(status, body) as (url, asked):
        assert ask(url) == "secret"
    assert (typed, len(asked)) == ([], 1)


def test_a_redirect_is_not_followed(typed: list[str]) -> None:
    with (
        server(200, GATEWAY) as (gateway, asked),
        server(302, b"", ("Location", gateway)) as (url, _),
    ):
        assert ask(url) == "secret"
    assert (typed, asked) == ([], [])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://[::1/",
        "http://",
        "ftp://127.0.0.1/",
        "http://a b/",
        "https://upload.example.invalid/legacy/",
        "",
    ],
)
def test_an_address_nobody_answers_at_changes_nothing(url: str, typed: list[str]) -> None:
    assert ask(url) == "secret"
    assert typed == []


def test_a_push_to_another_index_asks_for_no_code(typed: list[str]) -> None:
    with server(200, GATEWAY, only=HEALTH) as (url, _):
        assert ask(url + "legacy/") == "secret"
        assert ask(url + "alice/dev/") == "secret"
    assert typed == []


def test_a_gateway_under_a_path_is_found(typed: list[str]) -> None:
    with server(200, GATEWAY, only=f"/devpi{HEALTH}") as (url, asked):
        assert ask(url + "devpi/") == "secret,123456"
        assert ask(url) == "secret"
    assert len(asked) == 2


def test_a_server_that_hangs_holds_up_only_for_a_moment(
    typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devpi_client_otp, "WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ask(f"http://127.0.0.1:{silent.getsockname()[1]}/") == "secret"
    assert typed == []


def test_no_password_travels_with_the_question(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one in the address nor one in ~/.netrc."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with server(200, GATEWAY) as (url, asked):
        assert ask(url.replace("//", "//alice:address-secret@")) == "secret,123456"
    assert "authorization" not in asked[0].lower()


@pytest.mark.parametrize("password", [None, ""], ids=["none", "empty"])
def test_without_a_password_nothing_is_asked(password: str | None, typed: list[str]) -> None:
    with server(200, GATEWAY) as (url, asked):
        assert ask(url, password) == password
    assert (typed, asked) == ([], [])


def test_without_a_terminal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with server(200, GATEWAY) as (url, asked):
        assert ask(url) == "secret"
    assert asked == []


# -- how it is installed -------------------------------------------------------------------------


def test_it_knows_a_gateway_by_the_name_and_address_that_gateways_have() -> None:
    assert devpi_client_otp.GATEWAY == NAME
    assert devpi_client_otp.HEALTH == HEALTH


def test_devpi_client_finds_it_by_its_entry_point() -> None:
    (found,) = [one for one in entry_points(group="devpi_client") if one.name == "otp"]
    assert found.load() is devpi_client_otp


def test_it_is_a_small_wheel_that_needs_nothing_of_the_gateway(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("*.egg-info", "build"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("devpi_client_otp-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        needed = re.findall(r"^Requires-Dist: ([\w-]+)", archive.read(metadata).decode(), re.M)
    assert sorted(names) == ["devpi_client_otp/__init__.py", "devpi_client_otp/py.typed"]
    assert sorted(needed) == ["devpi-client", "pluggy"]
    script = (
        "import sys, devpi_client_otp;"
        "print(*sorted(m for m in sys.modules if m.partition('.')[0] in ('gateway', 'aiohttp')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, [])

"""`index-gateway user` and `keys` on a real configuration, key file and store."""

from __future__ import annotations

import io
import json
import re
import secrets
import threading
import time
from pathlib import Path

import pyotp
import pytest

from gateway.cli import keys as keys_command
from gateway.cli.users import _as_dict, _JsonList
from gateway.core.accounts.repository import Accounts
from gateway.core.administration import Person
from gateway.core.crypto.keyring import KeyRing, parse_keys
from gateway.core.login.self_service import FactorRow
from gateway.keystore import KeySource
from tests.cli.shell import CONFIG as BASE
from tests.cli.shell import Shell, written

CONFIG = BASE + "second_factor: {issuer: Example packages}\n"


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = written(tmp_path, CONFIG)
    capsys.readouterr()
    return file


FACTORS = (
    FactorRow("totp", "a1", "phone 📱", 1e9, 0.0),
    FactorRow("webauthn", "b2", "\u2028", 1, 2.5, passkey=True, model="A key"),
)
PEOPLE = [
    Person("zoë", 'Z"o\\ë\n', (), 0, 0.0, 0.0, 0, 1.5e9, 0, 0),
    Person("bob", "Bob", FACTORS, 9, 1e9, 2.5, 3, 0.0, 2, 1),
]


def test_the_list_for_scripts_is_plain_json() -> None:
    wanted = [_as_dict(person) for person in PEOPLE]
    spelled = json.dumps(wanted, ensure_ascii=False, separators=(",\n", ": "))
    form = _JsonList()
    assert form.page(PEOPLE) + form.end() == spelled + "\n"
    form = _JsonList()
    pages = [form.page(PEOPLE[:1]), form.page(PEOPLE[1:]), form.end()]
    assert json.loads("\n".join(pages)) == wanted
    assert json.loads(_JsonList().end()) == []


@pytest.fixture
def shell(config: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(config, capsys)


def test_enrol_for_scripts(shell: Shell) -> None:
    made = shell.json("user", "enrol", "Alice")
    app = pyotp.parse_uri(str(made["uri"]))
    assert isinstance(app, pyotp.TOTP)
    assert (app.issuer, app.name, app.secret) == ("Example packages", "Alice", made["secret"])
    assert isinstance(made["recovery_codes"], list)
    assert len(made["recovery_codes"]) == 10
    assert shell.err == ""
    seen = shell.json("user", "show", "ALICE")
    assert (seen["id"], seen["recovery_left"]) == ("alice", 10)
    assert str(made["secret"]) not in json.dumps(seen)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_enrol_in_a_terminal_draws_the_code(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    assert shell("user", "enrol", "alice", "--device", "old phone") == 0
    text = screen.getvalue()
    assert "█" in text
    assert "otpauth://totp/Example%20packages:alice?secret=" in text
    assert sum(line.startswith("  ") and line.count("-") == 3 for line in text.splitlines()) == 10


@pytest.mark.parametrize("command", ["enrol", "invite"])
def test_no_secret_goes_into_a_pipe_unasked(shell: Shell, command: str) -> None:
    assert shell("user", command, "alice") == 1
    assert shell.out == ""
    assert "--json" in shell.err
    assert shell("user", "list") == 0
    assert "alice" not in shell.out, "and nothing was done"
    assert shell("user", command, "alice", "--force") == 0
    assert shell.out


def test_an_invitation_is_a_link(shell: Shell) -> None:
    made = shell.json("user", "invite", "bob")
    assert str(made["link"]).startswith("http://localhost:8080/+auth/invite/")
    assert isinstance(made["expires"], float)
    assert abs(made["expires"] - time.time() - 86400) < 60
    assert shell("user", "list") == 0
    assert "invited until" in shell.out


def test_list_is_a_table(shell: Shell) -> None:
    assert shell("user", "list") == 0
    assert shell.out == "Nobody has logged in here yet.\n"
    shell.json("user", "enrol", "alice")
    assert shell("user", "list") == 0
    head, row = shell.out.splitlines()
    assert head.split() == [
        "USER",
        "FACTORS",
        "RECOVERY",
        "CODES",
        "LAST",
        "USED",
        "WRONG",
        "CODES",
    ]
    assert row.split() == ["alice", "totp", "phone", "10", "never", "0"]


def test_a_long_list_comes_in_pages(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell("user", "list", "--json") == 0
    assert json.loads(shell.out) == []
    names = ["bob", "alice", "é", "a much longer name", "carol"]
    for name in names:
        shell.json("user", "enrol", name)
    for limit in (2, 5, 1000):
        monkeypatch.setattr(Accounts.pages, "__defaults__", (limit,))
        assert shell("user", "list", "--json") == 0
        listed = json.loads(shell.out)
        assert [one["id"] for one in listed] == sorted(names)
        shown = [shell.json("user", "show", name) for name in sorted(names)]
        assert listed == shown
        assert shell("user", "list") == 0
        head, *rows = shell.out.splitlines()
        assert head.startswith("USER ")
        assert [row.partition("  ")[0] for row in rows] == sorted(names)
        ends = {row.index("totp phone") for row in rows[names.index("bob") :]}
        assert len(ends) == 1, "columns stay where they are"


def test_reset_needs_a_reason_and_records_it(shell: Shell) -> None:
    shell.json("user", "enrol", "alice")
    assert shell("user", "reset", "alice") == 2
    assert shell("user", "reset", "alice", "--reason", "  ") == 2
    assert shell("user", "reset", "alice", "--reason", "phone in\nthe lake") == 0
    command = f"index-gateway user invite -c {shell.config} alice"
    assert shell.err.splitlines()[-1].endswith(f" pipe: {command}")
    assert "/+auth/invite/" not in shell.out + shell.err
    assert shell("audit", "export") == 0
    entries = [json.loads(line) for line in shell.out.splitlines()]
    last = [entry for entry in entries if entry.get("event") == "reset"]
    assert [entry["detail"] for entry in last] == ["phone in the lake"]


def test_reset_hands_out_the_invitation_of_the_same_write(shell: Shell) -> None:
    shell.json("user", "enrol", "alice")
    done = shell.json("user", "reset", "alice", "--reason", "lost")
    assert done["removed"] == 1
    assert re.search(r"/\+auth/invite/[\w-]{20,}$", str(done["link"]))
    assert shell.json("user", "show", "alice")["invited_until"] == done["expires"]
    assert shell("user", "reset", "alice", "--reason", "again", "--force") == 0
    link = re.search(r"\S+/\+auth/invite/\S+", shell.out)
    assert link, shell.out
    assert link[0] != done["link"], "the earlier one is void"


def test_unlock(shell: Shell) -> None:
    assert shell("user", "unlock", "alice") == 0
    assert shell.out == "alice was not held back.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("user", "show", "nobody"), "Nobody called nobody"),
        (("user", "reset", "nobody", "--reason", "x"), "Nobody called nobody"),
        (("user", "show", "a\x00b"), "characters that cannot be used"),
        (("user", "enrol", "alice", "--json", "--device", ""), "1 to 60 visible characters"),
    ],
)
def test_what_cannot_be_done_is_said(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert shell(*words) == 1
    assert said in shell.err
    assert shell.err.startswith("index-gateway: error: ")


def test_without_keys_the_command_that_makes_them_is_named(shell: Shell) -> None:
    (shell.config.parent / "gateway.keys").unlink()
    assert shell("user", "list") == 1
    assert "index-gateway keys new -o" in shell.err


# -- keys ------------------------------------------------------------------------------------


def test_a_key_file_is_made_once(shell: Shell) -> None:
    before = (shell.config.parent / "gateway.keys").read_bytes()
    assert shell("keys", "new") == 1
    assert "is there already" in shell.err
    assert (shell.config.parent / "gateway.keys").read_bytes() == before
    assert shell.out == ""


def test_a_rotation_keeps_everything_working(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, each with its own look at the file, seal for each other all the while."""
    monkeypatch.setattr("gateway.keystore.LOOK_EVERY", 0.1)
    monkeypatch.setattr(keys_command, "_UNTIL_SEEN", 0.4)
    path = shell.config.parent / "gateway.keys"
    shell.json("user", "enrol", "alice")
    workers = [KeyRing(KeySource("file", str(path)), secrets.token_bytes) for _ in range(2)]
    stop, failed, seen = threading.Event(), [], set()

    def work() -> None:
        while not stop.is_set():
            for one, other in (workers, workers[::-1]):
                try:
                    sealed = one.seal("p", "i", b"plain")
                    seen.add(other.sealed_under(sealed))
                    assert other.open("p", "i", sealed) == b"plain"
                    assert one.digest("p", "x") in other.digests("p", "x")
                except Exception as trouble:
                    failed.append(trouble)
            time.sleep(0.002)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert shell("keys", "rotate") == 0
    finally:
        stop.set()
        thread.join()
    assert failed == []
    active, old = parse_keys(path.read_text())
    assert seen == {active[0], old[0]}
    assert "Sealed 1 of 1 people's secrets anew." in shell.err
    assert shell("keys", "rotate", "--reseal-only") == 0
    assert "Sealed 0 of 1" in shell.err
    assert len(parse_keys(path.read_text())) == 2
    # The older key is not needed for the secrets any more.
    path.write_text(f"{active[0]} {path.read_text().split(active[0] + ' ')[1].split()[0]}\n")
    assert shell("user", "show", "alice") == 0


def test_keys_in_the_environment_are_not_rotated(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (shell.config.parent / "gateway.keys").read_text()
    monkeypatch.setenv("GATEWAY_KEYS", text)
    shell.config.write_text(CONFIG.replace("file:gateway.keys", "env:GATEWAY_KEYS"))
    assert shell("user", "list") == 0
    assert shell("keys", "rotate") == 1
    assert "GATEWAY_KEYS" in shell.err
    assert parse_keys(text)[0][0] in text

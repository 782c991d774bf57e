"""`check --who` in front of real index servers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.indexes import write_htpasswd
from tests.support.gateways import Gateway, configure
from tests.support.ports import free_port
from tests.support.servers import Index


def told(gateway: Gateway, *more: str, code: int = 1) -> tuple[list[str], str]:
    """The lines after the one that `check` prints in any case, and what went to stderr."""
    done = gateway.command("check", "--who", *more, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout.splitlines()[1:], done.stderr


def line_of(lines: list[str], name: str) -> str:
    return next((" ".join(one.split()) for one in lines if one.split()[0] == name), "")


def test_devpi_tells_its_users_and_the_store_who_has_a_factor(
    tmp_path: Path, devpi_server: Index
) -> None:
    for name in ("who-alice", "who-bob", "who-carol"):
        devpi_server.root().add_user(name, "password", email=f"{name}@example.org")
    gateway = configure(tmp_path, "devpi", devpi_server.url)
    lines, said = told(gateway)
    assert not (tmp_path / "state.db").exists()
    assert line_of(lines, "who-alice") == "who-alice has never logged in here"
    gateway.command("user", "enrol", "--json", "Who-Alice")
    gateway.command("user", "invite", "--json", "who-bob")
    lines, said = told(gateway)
    assert lines[0].startswith("Refused today: ")
    assert line_of(lines, "who-alice") == ""
    assert line_of(lines, "who-bob").startswith("who-bob invited until 20")
    assert line_of(lines, "who-carol") == "who-carol has never logged in here"
    assert line_of(lines, "root") == "root has never logged in here"
    assert "warning" not in said
    assert f"hint: index-gateway user enrol -c {gateway.config} USER" in said


@pytest.mark.parametrize("act", ["enrol", "invite"])
def test_a_name_that_devpi_does_not_know_is_asked_about(
    tmp_path: Path, devpi_server: Index, act: str
) -> None:
    devpi_server.root().add_user(f"known-{act}", "password")
    gateway = configure(tmp_path, "devpi", devpi_server.url)
    gateway.command("user", act, "--json", f"Known-{act.upper()}")
    done = gateway.command("user", act, "--json", f"unknwon-{act}", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: devpi has no user 'unknwon-{act}'." in done.stderr
    assert "add --anyway" in done.stderr
    assert "unknwon" not in gateway.command("user", "list").stdout
    gateway.command("user", act, "--json", "--anyway", f"unknwon-{act}")


def test_a_devpi_that_is_away_holds_no_administrator_up(tmp_path: Path) -> None:
    gateway = configure(tmp_path, "devpi", f"http://127.0.0.1:{free_port()}")
    done = gateway.command("user", "enrol", "--json", "alice")
    assert "devpi did not tell whether it knows 'alice'" in done.stderr


def test_pypiserver_has_no_list_and_that_is_said(tmp_path: Path, pypiserver: Index) -> None:
    gateway = configure(tmp_path, "pypiserver", pypiserver.url, second_factor__enrolment="invite")
    lines, said = told(gateway, code=0)
    assert lines == ["Nobody is refused today: everybody who is known has a second factor."]
    assert "hint: Name the others in a file: --users" in said
    assert "pypiserver lists no users: only people who have come here are known." in said
    gateway.command("user", "enrol", "--json", "alice")
    gateway.command("user", "enrol", "--json", "bob")
    gateway.command("user", "reset", "--reason", "lost", "bob")
    lines, said = told(gateway)
    assert lines[0] == "Refused today: 1 person has no second factor."
    assert re.fullmatch(r"  bob  factors reset, invited until \S+ \S+ UTC", lines[1]), lines
    assert f"hint: index-gateway user invite -c {gateway.config} USER" in said


def test_an_htpasswd_file_names_the_users_of_pypiserver(tmp_path: Path, pypiserver: Index) -> None:
    gateway = configure(tmp_path, "pypiserver", pypiserver.url)
    table = tmp_path / "htpasswd"
    write_htpasswd(table, {"alice": "one", "Bob": "two"})
    table.write_text(f"# who may upload\n\n{table.read_text()}")
    gateway.command("user", "enrol", "--json", "bob")
    lines, said = told(gateway, "--users", str(table))
    assert lines == [
        "Refused today: 1 person has no second factor.",
        "  alice  has never logged in here",
    ]
    assert "warning" not in said
    assert "sha256" not in said
    gateway.command("user", "enrol", "--json", "alice")
    lines, _ = told(gateway, "--users", str(table), code=0)
    assert lines == ["Nobody is refused today: everybody who is known has a second factor."]


def test_an_index_that_cannot_be_asked_is_said_to_be(tmp_path: Path) -> None:
    gateway = configure(tmp_path, "devpi", f"http://127.0.0.1:{free_port()}")
    lines, said = told(gateway)
    assert lines == ["Nobody is refused today: everybody who is known has a second factor."]
    assert "warning: devpi did not tell its users (" in said


@pytest.mark.parametrize(
    ("enrolment", "days", "heading"),
    [
        ("optional", None, "Nobody is refused, because enrolment is optional; 1 person has no"),
        ("required", 2, "Nobody is refused before {day}; 1 person has no second factor yet."),
        ("required", 0, "Refused today: 1 person has no second factor."),
        ("optional", -2, "Nobody is refused, because enrolment is optional; 1 person has no"),
    ],
    ids=["optional", "in two days", "from today on", "optional wins over a date"],
)
def test_the_heading_says_from_when_on(
    enrolment: str, days: int | None, heading: str, tmp_path: Path, pypiserver: Index
) -> None:
    changes: dict[str, Any] = {"second_factor__enrolment": enrolment}
    day = ""
    if days is not None:
        when = datetime.now(UTC).date() + timedelta(days)
        day, changes["second_factor__required_from"] = when.isoformat(), when
    gateway = configure(tmp_path, "pypiserver", pypiserver.url, **changes)
    gateway.command("user", "invite", "--json", "bob")
    lines, _ = told(gateway, code=int(heading.startswith("Refused today")))
    assert lines[0].startswith(heading.format(day=day))
    assert lines[1].split()[:2] == ["bob", "invited"]


@pytest.mark.parametrize(
    ("days", "rest"),
    [
        (None, "Nobody else is refused, because enrolment is optional; 1 person has no second"),
        (2, "Nobody else is refused before {day}; 1 person has no second factor yet."),
    ],
    ids=["optional", "in two days"],
)
def test_whose_factors_were_reset_is_refused_in_any_case(
    days: int | None, rest: str, tmp_path: Path, pypiserver: Index
) -> None:
    day = (datetime.now(UTC).date() + timedelta(days or 0)).isoformat()
    changes: dict[str, Any] = {"second_factor__enrolment": "optional"}
    if days is not None:
        changes = {"second_factor__required_from": datetime.fromisoformat(day).date()}
    gateway = configure(tmp_path, "pypiserver", pypiserver.url, **changes)
    gateway.command("user", "invite", "--json", "alice")
    gateway.command("user", "enrol", "--json", "bob")
    gateway.command("user", "reset", "--reason", "lost", "bob")
    lines, said = told(gateway)
    heading = f"Refused today: 1 person has had their factors reset. {rest.format(day=day)}"
    assert lines[0].startswith(heading)
    assert line_of(lines, "alice").startswith("alice invited until")
    assert line_of(lines, "bob").startswith("bob factors reset, invited until")
    assert f"hint: Whose factors were reset: index-gateway user invite -c {gateway.config}" in said

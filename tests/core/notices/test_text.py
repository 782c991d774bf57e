"""The words of notices."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gateway.core.audit.events import Origin
from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.core.notices.text import subject, text

INDEX = "https://packages.example.org"


@pytest.mark.parametrize("notice", Notice)
def test_every_notice_says_what_when_where_and_what_to_do(notice: Notice) -> None:
    origin = Origin("192.0.2.7", "pip/26.0")
    letter = Letter("id", "mail", notice, "alice", origin, "detail", 1_767_322_800.0)
    said = text(letter, INDEX)
    for words in ("Hello alice,", "(detail).", "2026-01-02 03:00 UTC", "192.0.2.7, pip", INDEX):
        assert words in said
    assert "If it wasn't you:\n" in said and "administrator" in said
    assert "{" not in said and max(map(len, said.splitlines())) <= 100
    assert len(said) < 700 and "\n" not in subject(letter)


def test_what_others_wrote_stays_on_its_line() -> None:
    origin = Origin("a\r\nBcc: b", "x\r\ny")
    letter = Letter("id", "mail", Notice.NEW_DEVICE, "a\nb", origin, "c\x1b[2J\nd", 0.0)
    said, usual = text(letter, INDEX), text(replace(letter, user="alice"), INDEX)
    assert len(said.splitlines()) == len(usual.splitlines()) and "\x1b" not in said


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("totp phone", "totp phone"),
        ("totp Pixel 8.1", "totp Pixel 8.1"),
        ("totp https://evil.example/+auth/", "totp https:  evil. example +auth "),
        ("totp www.evil.example", "totp www. evil. example"),
        ("totp help@evil.example", "totp help at evil. example"),
        ("totp 1.2.3.evil.4x", "totp 1.2.3. evil. 4x"),
    ],
)
def test_the_only_address_in_it_is_ours(named: str, shown: str) -> None:
    """Whoever has a session may name a device, and the notice is one a person trusts."""
    letter = Letter("id", "mail", Notice.FACTOR_ADDED, "alice", Origin(), named, 0.0)
    said = text(letter, INDEX)
    assert f"({shown})." in said
    assert set(re.findall(r"\S*://\S*", said)) == {INDEX, f"{INDEX}/+auth/,"}


def test_a_reset_by_the_administrator_names_the_command_line() -> None:
    letter = Letter("id", "mail", Notice.RESET, "alice", Origin(), "lost phone", 0.0)
    assert "From:  the command line of the gateway" in text(letter, INDEX)


def test_a_report_to_the_administrator_says_whose_password_it_is_about() -> None:
    origin = Origin("192.0.2.7", "Firefox/140.0 Linux")
    letter = Letter("id", "mail", Notice.LOGIN_REPORTED, "alice", origin, "devpi-client", 0.0)
    person, admin = text(letter, INDEX), text(replace(letter, address="root@example.org"), INDEX)
    assert "Change it now, at\nhttps://packages.example.org/+auth/" in person
    assert admin.startswith("alice denied a command-line login that gave their right password")
    assert "index-gateway audit export --user alice" in admin
    assert "index-gateway" not in person, "commands are for administrators"
    asked = replace(letter, notice=Notice.GRANT_REPORTED)
    person, admin = text(asked, INDEX), text(replace(asked, address="root@example.org"), INDEX)
    assert "If that was you, there is nothing to do" in person
    assert admin.startswith("alice was asked to let a command line in, denied it, and reported it")
    assert "index-gateway audit export --user alice" in admin
    assert "password" not in admin, "none was given"

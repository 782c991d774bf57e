"""Recovery codes: 80 bits each, stored as keyed hashes, good once."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import replace

import pytest

from gateway.core.accounts.factor import WrongAnswer
from gateway.core.accounts.records import Account, Recovery, dump
from gateway.core.crypto.keyring import KeyRing
from gateway.factors.recovery import RecoveryCodes

OLD = ("k1", bytes(32))
NEW = ("k2", bytes([1]) * 32)
recovery = RecoveryCodes(KeyRing((OLD,), secrets.token_bytes))


def issued(user: str = "alice") -> tuple[tuple[str, ...], Account]:
    codes = recovery.issue(user, secrets.token_bytes)
    return codes, Account(user, user, recovery=Recovery(recovery.digests(user, codes), 1.0))


def use(account: Account, answer: str) -> Account | None:
    try:
        return recovery.check(account, answer, challenge=b"", now=2.0).account
    except WrongAnswer:
        return None


def test_ten_codes_of_80_bits_in_groups() -> None:
    codes, account = issued()
    assert len(set(codes)) == 10
    for code in codes:
        assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", code)
        assert len(base64.b32decode(code.replace("-", ""))) == 10
    stored = dump(account)
    assert not any(code.encode() in stored for code in codes)
    assert not any(code.replace("-", "").encode() in stored for code in codes)


def test_each_code_works_once() -> None:
    codes, account = issued()
    left = account
    for count, code in enumerate(codes, 1):
        after = use(left, code)
        assert after
        assert len(after.recovery.codes) == 10 - count
        assert use(after, code) is None
        left = after


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(str.lower, id="small letters"),
        pytest.param(lambda code: code.replace("-", ""), id="no hyphens"),
        pytest.param(lambda code: code.replace("-", " "), id="blanks"),
        pytest.param(lambda code: f" {code} ", id="blanks around"),
    ],
)
def test_a_code_may_be_typed_freely_but_only_once(spell: object) -> None:
    assert callable(spell)
    codes, account = issued()
    after = use(account, spell(codes[3]))
    assert after
    assert use(after, codes[3]) is None
    assert use(after, spell(codes[3])) is None


@pytest.mark.parametrize(
    "answer",
    ["", " ", "123456", "AAAA-AAAA-AAAA-AAAA", "ＡＡＡＡ-AAAA-AAAA-AAAA", "x" * 1000, "AAAA-AAAA"],
)
def test_anything_else_is_wrong(answer: str) -> None:
    _, account = issued()
    assert use(account, answer) is None


def test_another_persons_code_is_wrong() -> None:
    codes, account = issued("bob")
    assert use(replace(account, id="alice"), codes[0]) is None


def test_codes_of_before_a_rotation_still_work() -> None:
    codes, account = issued()
    rotated = RecoveryCodes(KeyRing((NEW, OLD), secrets.token_bytes))
    after = rotated.check(account, codes[0], challenge=b"", now=2.0).account
    assert len(after.recovery.codes) == 9

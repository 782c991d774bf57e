"""What every kind of second factor keeps to, whichever it is. A new kind is picked up here."""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Callable

import pyotp
import pytest

from gateway.core.accounts.factor import Enrollable, Factor, Issuable, Sealing, WrongAnswer
from gateway.core.accounts.records import Account, Recovery
from gateway.core.crypto.keyring import KeyRing
from gateway.core.login.models import FlowLimits
from gateway.factors import KINDS, make_factors
from tests.factors.authenticator import SecurityKey

LIMITS = FlowLimits(public_url="https://packages.example.org")
RING = KeyRing((("k1", bytes(32)),), secrets.token_bytes)
NOW = 1_800_000_000.0
CHALLENGE = bytes(range(32))
BARE = Account("alice", "Alice")
FACTORS = make_factors(RING, LIMITS)


def enrolled_totp(factor: Factor) -> tuple[Account, Callable[[], str]]:
    assert isinstance(factor, Enrollable)
    offer = factor.offer(BARE, "phone", secrets.token_bytes)
    app = pyotp.parse_uri(offer.shown)
    assert isinstance(app, pyotp.TOTP)
    device = factor.confirm(
        BARE, "phone", offer.state, app.at(int(NOW - 30)), now=NOW - 30, id="d1"
    )
    return BARE.with_device(device), lambda: app.at(int(NOW))


def enrolled_webauthn(factor: Factor) -> tuple[Account, Callable[[], str]]:
    assert isinstance(factor, Enrollable)
    key = SecurityKey()
    offer = factor.offer(BARE, "key", secrets.token_bytes)
    device = factor.confirm(
        BARE, "key", offer.state, key.create(offer.shown), now=NOW - 30, id="d1"
    )
    account = BARE.with_device(device)
    return account, lambda: key.get(factor.ask(account, CHALLENGE))


def enrolled_recovery(factor: Factor) -> tuple[Account, Callable[[], str]]:
    assert isinstance(factor, Issuable)
    codes = factor.issue(BARE.id, secrets.token_bytes)
    account = Account("alice", "Alice", recovery=Recovery(factor.digests(BARE.id, codes), NOW))
    return account, lambda: codes[0]


# How a person gets each kind, and gives one right answer. A new kind adds a line.
ENROL: dict[str, Callable[[Factor], tuple[Account, Callable[[], str]]]] = {
    "totp": enrolled_totp,
    "webauthn": enrolled_webauthn,
    "recovery": enrolled_recovery,
}

every_kind = pytest.mark.parametrize("kind", list(KINDS))


@every_kind
def test_it_is_known_by_its_name(kind: str) -> None:
    assert FACTORS[kind].kind == kind
    assert kind in ENROL


@every_kind
def test_an_account_without_it_has_it_not_and_no_answer_fits(kind: str) -> None:
    factor = FACTORS[kind]
    assert not factor.has(BARE)
    _, answer = ENROL[kind](factor)
    with pytest.raises(WrongAnswer):
        factor.check(BARE, answer(), challenge=CHALLENGE, now=NOW)


@every_kind
def test_a_right_answer_changes_the_account_so_that_it_works_once(kind: str) -> None:
    factor = FACTORS[kind]
    account, answer = ENROL[kind](factor)
    right = answer()
    assert factor.has(account)
    proof = factor.check(account, right, challenge=CHALLENGE, now=NOW)
    assert proof.account != account, "storing an unchanged account could not stop a replay"
    with pytest.raises(WrongAnswer):
        factor.check(proof.account, right, challenge=CHALLENGE, now=NOW)


@every_kind
def test_checking_does_not_touch_what_it_is_given(kind: str) -> None:
    factor = FACTORS[kind]
    account, answer = ENROL[kind](factor)
    right = answer()
    one = factor.check(account, right, challenge=CHALLENGE, now=NOW)
    two = factor.check(account, right, challenge=CHALLENGE, now=NOW)
    assert one == two
    assert not inspect.iscoroutinefunction(factor.check)


@every_kind
@pytest.mark.parametrize("junk", ["", " ", "0", "null", "{}", "\x00", "é" * 400, "9" * 10_000])
def test_junk_is_wrong_and_nothing_worse(kind: str, junk: str) -> None:
    factor = FACTORS[kind]
    account, _ = ENROL[kind](factor)
    with pytest.raises(WrongAnswer):
        factor.check(account, junk, challenge=CHALLENGE, now=NOW)
    assert factor.whose(junk) == ""
    factor.fits(junk)


@every_kind
def test_it_asks_with_json_or_not_at_all(kind: str) -> None:
    factor = FACTORS[kind]
    account, _ = ENROL[kind](factor)
    asked = factor.ask(account, CHALLENGE)
    assert bool(asked) is factor.asks
    if asked:
        assert isinstance(json.loads(asked), dict)


@every_kind
def test_what_can_be_guessed_says_so(kind: str) -> None:
    """A kind whose answers are short texts must be counted per person."""
    factor = FACTORS[kind]
    _, answer = ENROL[kind](factor)
    assert factor.guessable is (len(answer()) < 12)


@every_kind
def test_secrets_it_keeps_can_be_sealed_anew(kind: str) -> None:
    factor = FACTORS[kind]
    account, _ = ENROL[kind](factor)
    if isinstance(factor, Sealing):
        assert factor.resealed(account) == account


@every_kind
def test_at_most_one_kind_takes_a_typed_text(kind: str) -> None:
    _, answer = ENROL[kind](FACTORS[kind])
    typed = answer()
    fitting = [name for name, factor in FACTORS.items() if factor.fits(typed)]
    assert fitting == ([] if FACTORS[kind].asks else [kind])

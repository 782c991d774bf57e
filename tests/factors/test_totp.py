"""One-time codes: RFC 6238, the window, one use for each step, and clocks that are off."""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.accounts.factor import ClockOff, WrongAnswer
from gateway.core.accounts.records import Account
from gateway.core.crypto.keyring import KeyRing
from gateway.core.store import StoreUnavailable
from gateway.core.typed import plain
from gateway.factors.totp import Totp, otpauth

KEY = ("k1", bytes(32))
RING = KeyRing((KEY,), secrets.token_bytes)
totp = Totp(RING, "Example packages")

# RFC 6238 appendix B: SHA-1, the secret is these 20 ASCII characters, 8 digits; a code of
# 6 digits is the last six of them.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NOW = 1_800_000_000.0


def with_device(secret: str, account: Account | None = None, id: str = "d1") -> Account:
    bare = account or Account("alice", "alice")
    return bare.with_device(totp.adopt(bare, f"phone {id}", secret, now=0.0, id=id))


def code(secret: str, at: float) -> str:
    return pyotp.TOTP(secret).at(int(at))


def accepts(account: Account, answer: str, now: float = NOW) -> Account | None:
    try:
        return totp.check(account, answer, challenge=b"", now=now).account
    except WrongAnswer:
        return None


@pytest.mark.parametrize(("at", "expected"), RFC_VECTORS, ids=lambda value: str(value))
def test_rfc_6238_vector(at: int, expected: str) -> None:
    assert accepts(with_device(RFC_SECRET), expected[-6:], float(at))


@pytest.mark.parametrize(
    ("steps", "taken"),
    [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (3, False)],
)
def test_the_window_is_one_step_either_way(steps: int, taken: bool) -> None:
    account = with_device(RFC_SECRET)
    assert bool(accepts(account, code(RFC_SECRET, NOW + 30 * steps))) is taken


def test_a_code_is_taken_once_and_so_are_all_before_it() -> None:
    account = accepts(with_device(RFC_SECRET), code(RFC_SECRET, NOW))
    assert account
    assert not accepts(account, code(RFC_SECRET, NOW))
    assert not accepts(account, code(RFC_SECRET, NOW - 30))
    assert accepts(account, code(RFC_SECRET, NOW + 30))


def test_a_clock_set_back_brings_no_code_back() -> None:
    account = accepts(with_device(RFC_SECRET), code(RFC_SECRET, NOW))
    assert account
    assert not accepts(account, code(RFC_SECRET, NOW - 3600), NOW - 3600)


SPELLINGS = [
    pytest.param("{0}{1}", True, id="plain"),
    pytest.param("{0} {1}", True, id="in groups"),
    pytest.param(" {0}{1} ", True, id="blanks around"),
    pytest.param("{0}{1}\n", True, id="a line end"),
    pytest.param("{0}-{1}", True, id="a hyphen"),
    pytest.param("{0}\u00a0{1}", True, id="a no-break space"),
    pytest.param("{0}\u2013{1}", True, id="a dash"),
    pytest.param("{0}\u3000{1}\ufeff", True, id="an ideographic space, a mark"),
    pytest.param("{0},{1}", False, id="a comma"),
    pytest.param("{0}.{1}", False, id="a full stop"),
    pytest.param(" " * 58 + "{0}{1}", True, id="just not too long"),
    pytest.param(" " * 59 + "{0}{1}", False, id="too long"),
    pytest.param("+{0}{1}", False, id="a sign"),
    pytest.param("0{0}{1}", False, id="a digit too many"),
    pytest.param("{0}", False, id="half of it"),
    pytest.param("", False, id="empty"),
    pytest.param("      ", False, id="blanks"),
]


@pytest.mark.parametrize(("pattern", "fits"), SPELLINGS)
def test_spellings(pattern: str, fits: bool) -> None:
    right = code(RFC_SECRET, NOW)
    answer = pattern.format(right[:3], right[3:])
    assert totp.fits(answer) is fits
    assert bool(accepts(with_device(RFC_SECRET), answer)) is fits


@pytest.mark.parametrize("pattern", [one.values[0] for one in SPELLINGS], ids=repr)
def test_no_spelling_brings_a_used_code_back(pattern: object) -> None:
    right = code(RFC_SECRET, NOW)
    account = accepts(with_device(RFC_SECRET), right)
    assert account
    assert not accepts(account, str(pattern).format(right[:3], right[3:]))


def test_full_width_digits_are_read_and_spend_the_code_like_any_others() -> None:
    right = code(RFC_SECRET, NOW)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in right)
    account = accepts(with_device(RFC_SECRET), f"{wide[:3]}－{wide[3:]}")
    assert account
    assert not accepts(account, right)


@pytest.mark.parametrize("zero", ["٠", "०", "𝟎", "⓪"], ids=["arabic", "deva", "bold", "circled"])
def test_digits_of_other_scripts_are_no_digits(zero: str) -> None:
    # str.isdigit() and int() take them all; pyotp alone would too.
    right = "".join(chr(ord(zero) + int(digit)) for digit in code(RFC_SECRET, NOW))
    assert not totp.fits(right)
    assert not accepts(with_device(RFC_SECRET), right)


@given(st.text(max_size=12))
def test_only_the_right_text_passes(text: str) -> None:
    right = {code(RFC_SECRET, NOW + 30 * away) for away in (-1, 0, 1)}
    assert bool(accepts(with_device(RFC_SECRET), text)) is (plain(text) in right)


def test_each_device_counts_its_own_steps() -> None:
    other = pyotp.random_base32()
    account = with_device(other, with_device(RFC_SECRET), "d2")
    after = accepts(account, code(RFC_SECRET, NOW))
    assert after
    assert [device.used for device in after.totp] == [NOW, 0.0]
    assert accepts(after, code(other, NOW))
    assert not accepts(after, code(RFC_SECRET, NOW))


def test_a_secret_opens_only_in_its_own_record() -> None:
    account = with_device(RFC_SECRET)
    moved = replace(account, id="mallory")
    with pytest.raises(StoreUnavailable):
        totp.check(moved, code(RFC_SECRET, NOW), challenge=b"", now=NOW)
    assert RFC_SECRET not in repr(account)
    assert base64.b32decode(RFC_SECRET) not in base64.b64decode(account.totp[0].secret)


# -- enrolment -------------------------------------------------------------------------------


def test_an_offer_is_an_otpauth_uri_with_160_bits() -> None:
    offer = totp.offer(Account("alice", "Alice & Bob"), "phone", secrets.token_bytes)
    parts = urlsplit(offer.shown)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/Example%20packages:Alice%20%26%20Bob"
    secret = parse_qs(parts.query)["secret"][0]
    assert len(base64.b32decode(secret)) == 20
    assert parse_qs(parts.query)["issuer"] == ["Example packages"]
    assert isinstance(pyotp.parse_uri(offer.shown), pyotp.TOTP)
    assert secret not in repr(offer)


def test_the_uri_escapes_what_would_break_it() -> None:
    uri = otpauth("A/B", "x:y?secret=Z#é", "S")
    assert uri == ("otpauth://totp/A%2FB:x%3Ay%3Fsecret%3DZ%23%C3%A9?secret=S&issuer=A%2FB")


@pytest.mark.parametrize("steps", [-20, -4, -2, 2, 4, 20])
def test_a_clock_that_is_off_is_told_by_how_much(steps: int) -> None:
    account = Account("alice", "alice")
    late = code(RFC_SECRET, NOW + 30 * steps)
    with pytest.raises(ClockOff) as off:
        totp.confirm(account, "phone", RFC_SECRET, late, now=NOW, id="d1")
    assert off.value.offset == 30 * steps


@pytest.mark.parametrize("steps", [-21, 21])
def test_beyond_ten_minutes_a_code_is_just_wrong(steps: int) -> None:
    late = code(RFC_SECRET, NOW + 30 * steps)
    with pytest.raises(WrongAnswer) as wrong:
        totp.confirm(Account("a", "a"), "phone", RFC_SECRET, late, now=NOW, id="d1")
    assert not isinstance(wrong.value, ClockOff)


def test_the_code_that_confirms_is_used_up() -> None:
    account = Account("alice", "alice")
    right = code(RFC_SECRET, NOW)
    device = totp.confirm(account, "phone", RFC_SECRET, right, now=NOW, id="d1")
    assert not accepts(account.with_device(device), right)


def test_a_rotation_seals_anew_once() -> None:
    account = with_device(RFC_SECRET)
    ring = KeyRing((("k2", bytes([1]) * 32), KEY), secrets.token_bytes)
    rotated = Totp(ring, "x")
    fresh = rotated.resealed(account)
    assert ring.sealed_under(base64.b64decode(fresh.totp[0].secret)) == "k2"
    assert rotated.resealed(fresh) == fresh
    assert rotated.check(fresh, code(RFC_SECRET, NOW), challenge=b"", now=NOW)

"""Sealing, keyed hashes and the key file: what opens where, and what is stored."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.crypto.keyring import (
    BadKeys,
    KeyRing,
    SealBroken,
    format_keys,
    new_key,
    parse_keys,
)

OLD = ("k1", bytes(range(32)))
NEW = ("k2", bytes(range(32, 64)))


def ring(*keys: tuple[str, bytes]) -> KeyRing:
    return KeyRing(keys or (OLD,), lambda size: bytes(size))


def test_a_sealed_value_has_this_form() -> None:
    # Format 1, the length and text of the key id, 12 bytes of nonce, then AES-256-GCM.
    sealed = ring().seal("totp", "d1/alice", b"plain")
    assert sealed[:4] == b"\x01\x02k1"
    assert sealed[4:16] == bytes(12)
    assert sealed[16:].hex() == "7ccf5d4757bcac18829f1a64c80c4408ca3e102618"
    assert ring().open("totp", "d1/alice", sealed) == b"plain"


@pytest.mark.parametrize(
    ("purpose", "identity", "extra"),
    [
        pytest.param("session", "d1/alice", b"", id="another purpose"),
        pytest.param("totp", "d1/bob", b"", id="another person's record"),
        pytest.param("totp", "d2/alice", b"", id="another device's record"),
        pytest.param("totp", "d1/alice", b"part", id="with a cookie's part it was not sealed with"),
    ],
)
def test_a_sealed_value_opens_nowhere_else(purpose: str, identity: str, extra: bytes) -> None:
    sealed = ring().seal("totp", "d1/alice", b"plain")
    with pytest.raises(SealBroken):
        ring().open(purpose, identity, sealed, extra=extra)


def test_what_is_sealed_with_a_part_needs_the_part() -> None:
    sealed = ring().seal("session", "s", b"plain", extra=b"part")
    assert ring().open("session", "s", sealed, extra=b"part") == b"plain"
    for wrong in (b"", b"other"):
        with pytest.raises(SealBroken):
            ring().open("session", "s", sealed, extra=wrong)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_found(at: int, flip: int) -> None:
    sealed = bytearray(ring().seal("totp", "d1/alice", b"plain"))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(SealBroken):
        ring().open("totp", "d1/alice", bytes(sealed))


@pytest.mark.parametrize("cut", range(37))
def test_a_value_cut_short_is_found(cut: int) -> None:
    sealed = ring().seal("totp", "d1/alice", b"plain")
    with pytest.raises(SealBroken):
        ring().open("totp", "d1/alice", sealed[:cut])


def test_two_seals_of_one_value_differ() -> None:
    real = KeyRing((OLD,), secrets.token_bytes)
    assert real.seal("totp", "x", b"plain") != real.seal("totp", "x", b"plain")


def test_after_a_rotation_old_values_open_and_new_ones_name_the_new_key() -> None:
    sealed = ring(OLD).seal("totp", "x", b"plain")
    rotated = ring(NEW, OLD)
    assert rotated.open("totp", "x", sealed) == b"plain"
    assert rotated.sealed_under(sealed) == "k1"
    assert rotated.sealed_under(rotated.seal("totp", "x", b"plain")) == "k2"
    with pytest.raises(SealBroken):
        ring(NEW).open("totp", "x", sealed)


def test_digests_find_what_was_stored_before_a_rotation() -> None:
    stored = ring(OLD).digest("credential", "alice", "token")
    assert stored == "IiVzqkHzi8XXHWI-lkreskfnHIaJR_zIzsydhLJVGx8"
    digests = ring(NEW, OLD).digests("credential", "alice", "token")
    assert digests[1] == stored
    assert digests[0] == ring(NEW).digest("credential", "alice", "token")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_parts_cannot_be_shifted_into_each_other(one: list[str], two: list[str]) -> None:
    same = ring().digest("p", *one) == ring().digest("p", *two)
    assert same == (one == two)


def test_signing_keys_come_oldest_first() -> None:
    assert ring(NEW, OLD).signing_keys("s") == [
        *ring(OLD).signing_keys("s"),
        *ring(NEW).signing_keys("s"),
    ]


# -- the key file ----------------------------------------------------------------------------


def line(name: str, size: int = 32) -> str:
    return f"{name} {base64.b64encode(bytes(size)).decode()}"


def test_a_key_file_reads_back() -> None:
    text = format_keys((NEW, OLD))
    assert text.splitlines()[-2:] == [
        "k2 ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
        "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ]
    assert all(row.startswith("#") for row in text.splitlines()[:-2])
    assert parse_keys(text) == (NEW, OLD)


@given(st.integers(1, 5))
def test_new_keys_have_ids_of_their_own(count: int) -> None:
    made: list[tuple[str, bytes]] = []
    for _ in range(count):
        made.append(new_key((name for name, _ in made), secrets.token_bytes))
    assert parse_keys(format_keys(tuple(made))) == tuple(made)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", "there is no key in it", id="empty"),
        pytest.param("# only a comment\n\n", "there is no key in it", id="comments only"),
        pytest.param("k1", "line 1: not of the form", id="no key"),
        pytest.param(line("k1") + " x", "line 1: not of the form", id="a third word"),
        pytest.param("# x\n" + line("K 1"), "line 2: not of the form", id="id with a blank"),
        pytest.param(line("KEY"), "line 1: not of the form", id="id in capitals"),
        pytest.param("k1 !!!!", "line 1: the key is not base64", id="not base64"),
        pytest.param(line("k1", 16), "line 1: a key has 32 bytes, this one 16", id="short"),
        pytest.param(
            line("k1") + "\n" + line("k1"), "line 2: the id k1 is there twice", id="twice"
        ),
    ],
)
def test_a_broken_key_file_is_refused_with_its_line(text: str, found: str) -> None:
    with pytest.raises(BadKeys, match=found):
        parse_keys(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        keys = parse_keys(text)
    except BadKeys as refused:
        assert all(word not in str(refused) for word in text.split() if len(word) > 20)
    else:
        assert all(len(secret) == 32 for _, secret in keys)

"""The wire format of tokens: literal bytes, and every way in which a text is none."""

from __future__ import annotations

import base64

import pymacaroons
import pypitoken
import pytest

from gateway.core.tokens import macaroon
from gateway.core.tokens.macaroon import NoToken

KEY = bytes(range(32))


def made(*caveats: str, identifier: str = "alice-id") -> str:
    return macaroon.make("packages.example.org", identifier, KEY, caveats)


def body(text: str) -> bytes:
    coded = text.removeprefix("pypi-")
    return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))


def text_of(data: bytes) -> str:
    return "pypi-" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_token_has_these_bytes() -> None:
    text = made("[0,1800003600,1799999940]", '[1000,["upload"]]')
    assert body(text).startswith(
        b"\x02"  # version
        b"\x01\x14packages.example.org\x02\x08alice-id\x00"
        b"\x02\x19[0,1800003600,1799999940]\x00"
        b'\x02\x11[1000,["upload"]]\x00'
        b"\x00\x06\x20"
    )
    assert text.startswith("pypi-AgE")  # what scanners look for


def test_it_is_read_back() -> None:
    read = macaroon.read(f"  {made('[1,[]]')}\n")
    assert (read.location, read.identifier) == ("packages.example.org", "alice-id")
    assert read.caveats == ("[1,[]]",)
    assert macaroon.signed_by(read, KEY)
    assert not macaroon.signed_by(read, KEY[::-1])


def test_pypitoken_reads_and_narrows_it() -> None:
    token = pypitoken.Token.load(made("[0,1800003600,1799999940]"))
    assert (token.domain, token.identifier) == ("packages.example.org", "alice-id")
    narrowed = token.restrict(project_names=["foo"], not_before=1, not_after=2).dump()
    read = macaroon.read(narrowed)
    assert read.caveats == ("[0,1800003600,1799999940]", "[0, 2, 1]", '[1, ["foo"]]')
    assert macaroon.signed_by(read, KEY)


def test_nothing_but_appending_keeps_the_signature() -> None:
    one, two = '[1,["foo"]]', '[1,["bar"]]'
    good = macaroon.read(made(one, two))
    for caveats in ((), (one,), (two,), (two, one), (one, two, one), (one, '[1,["bar","x"]]')):
        assert not macaroon.signed_by(good._replace(caveats=caveats), KEY), caveats
    assert not macaroon.signed_by(good._replace(identifier="alice-ie"), KEY)
    # A condition that nobody signed does not stand behind the others unseen.
    assert not macaroon.signed_by(good._replace(caveats=(one, two, "")), KEY)


def third_party() -> str:
    found = pymacaroons.Macaroon.deserialize(made().removeprefix("pypi-"))
    found.add_third_party_caveat("elsewhere", "key" * 11, "id")
    return f"pypi-{found.serialize()}"


def first_version() -> str:
    found = pymacaroons.Macaroon(
        location="packages.example.org", identifier="alice-id", key=KEY, version=1
    )
    return f"pypi-{found.serialize()}"


GOOD = made('[1,["foo"]]')
NONE = {
    "empty": "",
    "prefix alone": "pypi-",
    "no prefix": GOOD.removeprefix("pypi-"),
    "another prefix": GOOD.replace("pypi-", "devpi-"),
    "capitals": GOOD.replace("pypi-", "PyPI-"),
    "cut at its end": GOOD[:-1],
    "cut in the middle": GOOD[:80],
    "one character more": GOOD + "A",
    "padded": GOOD + "==",
    "quoted": f'"{GOOD}"',
    "a blank inside": GOOD[:60] + " " + GOOD[60:],
    "standard base64": GOOD[:60] + "+" + GOOD[61:],
    "bits behind the last byte": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "bytes behind the signature": text_of(body(GOOD) + b"\x00"),
    "another version": text_of(b"\x03" + body(GOOD)[1:]),
    "the first version": first_version(),
    "no signature": text_of(body(GOOD)[:-34]),
    "a short signature": text_of(body(GOOD)[:-34] + b"\x06\x02ab"),
    "a length without end": text_of(b"\x02\x01" + b"\xff" * 200),
    "a length beyond the end": text_of(b"\x02\x01\xff\x7f" + body(GOOD)[3:]),
    "no UTF-8": text_of(body(GOOD).replace(b"alice-id", b"alice-\xff\xff")),
    "a condition in no UTF-8": text_of(body(GOOD).replace(b"foo", b"f\xff\xff")),
    "a condition of a third party": third_party(),
    "too long": made(*['[1,["foo"]]'] * 1000),
    "nothing but zeros": "pypi-" + "A" * 200,
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_a_text_that_is_no_token(text: str) -> None:
    try:
        read = macaroon.read(text)
    except NoToken:
        return
    assert not macaroon.signed_by(read, KEY)
    assert text == NONE["a short signature"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (GOOD, True),
        (f" {GOOD}\r\n", True),
        ("pypi-short", False),
        ("pypi-my pass word that is rather long for a password but it is one, after all", False),
        ("hunter2", False),
        (GOOD.replace("pypi-", "devpi-"), False),
    ],
)
def test_which_passwords_are_meant_for_tokens(text: str, meant: bool) -> None:
    assert macaroon.looks_like(text) is meant

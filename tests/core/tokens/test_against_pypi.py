"""No token or narrowing is taken that PyPI's rules refuse, and none refused that they take."""

from __future__ import annotations

import json
import random
from ipaddress import ip_address

import pymacaroons
import pytest

from gateway.core.errors import Refusal
from gateway.core.tokens import macaroon
from gateway.core.tokens.caveats import Use, parse
from gateway.core.upstream import Action
from tests.core.tokens import reference
from tests.core.tokens.reference import HOST, NOW, Wanted

KEY = bytes(range(32))


def made(pick: random.Random) -> str:
    text = macaroon.make(HOST, f"alice-{'a' * 64}", KEY, (f"[0,{NOW + 3600},{NOW - 60}]",))
    if pick.random() < 0.3:
        names = json.dumps(pick.sample(reference.PROJECTS, 3))
        text = reference.append(text, f"[1,{names}]")
    return text


def accepted(text: str, wanted: Wanted) -> bool:
    """What `Tokens.verify` and `Bearer.check` do, without the store."""
    address = ip_address(wanted.address) if wanted.address else None
    use = Use(Action(wanted.action), wanted.now, address, wanted.index, wanted.project)
    try:
        read = macaroon.read(text)
        if not macaroon.signed_by(read, KEY):
            return False
        for one in read.caveats:
            parse(one).check(use)
    except (macaroon.NoToken, Refusal):
        return False
    return True


def canonical(text: str) -> bool:
    """Whether the bytes of a token, if they are read at all, have no other spelling: of those
    a changed byte makes (bits that base64 ignores, say) only one is a token here."""
    try:
        found = pymacaroons.Macaroon.deserialize(text.removeprefix("pypi-"))
        return bool(found.serialize() == text.removeprefix("pypi-"))
    except Exception:
        return False


def compare(seed: int, count: int) -> tuple[int, int]:
    pick = random.Random(seed)
    taken = 0
    for number in range(count):
        text, wanted = reference.narrowed(made(pick), pick), reference.use(pick)
        theirs = reference.accepted(text, KEY, wanted) and canonical(text)
        assert accepted(text, wanted) == theirs, (seed, number, text, wanted)
        taken += theirs
    return taken, count - taken


def test_what_is_taken_is_what_pypi_takes() -> None:
    taken, refused = compare(1, 1500)
    assert taken > 100
    assert refused > 100


@pytest.mark.long
def test_what_is_taken_is_what_pypi_takes_ten_thousand_times() -> None:
    taken, refused = compare(2, 10_000)
    assert taken > 700
    assert refused > 1000


@pytest.mark.parametrize("condition", reference.ODD, ids=lambda text: text[:30])
def test_odd_conditions_are_read_as_pypi_reads_them(condition: str) -> None:
    text = macaroon.make(HOST, f"alice-{'a' * 64}", KEY, (f"[0,{NOW + 60},{NOW - 60}]",))
    narrowed = reference.append(text, condition)
    for project in ("foo", "bar", None):
        wanted = Wanted("upload", "alice/dev", project, "192.0.2.1", NOW)
        assert accepted(narrowed, wanted) == reference.accepted(narrowed, KEY, wanted)

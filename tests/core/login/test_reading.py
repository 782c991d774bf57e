"""Passes to read one documentation by: what opens them, and how long they count."""

from __future__ import annotations

import base64

import pytest

from gateway.core.crypto.keyring import SealBroken
from tests.core.world import World

COOKIES = "ig-session=what-lets-in"
WHOLE = "/alice/dev/hello/1.0/+doc"


async def test_the_store_and_the_keys_open_none_without_its_text(world: World) -> None:
    passes = world.flow.services.reading
    text = await passes.issue(COOKIES, WHOLE)
    assert await passes.held(text, WHOLE) == COOKIES
    ((name, record),) = await world.store.items("reading-pass", "")
    assert COOKIES.encode() not in record.value
    assert text not in name
    assert await passes.held(name[: len(text)], WHOLE) is None
    with pytest.raises(SealBroken):
        world.ring.open("reading pass", name, base64.b64decode(record.value), extra=name.encode())


async def test_one_for_each_documentation_reader_and_hour(world: World) -> None:
    passes = world.flow.services.reading
    world.clock.turn(3600 - world.clock() % 3600)
    text = await passes.issue(COOKIES, WHOLE)
    assert await passes.issue(COOKIES, WHOLE) == text, "nobody fills the store by reading"
    assert await passes.held(text, WHOLE.replace("hello", "other")) is None
    others = {await passes.issue(COOKIES + "x", WHOLE), await passes.issue(COOKIES, WHOLE + "x")}
    world.clock.turn(3599)
    assert passes.current(text, COOKIES, WHOLE)
    world.clock.turn(1)
    assert not passes.current(text, COOKIES, WHOLE)
    others.add(await passes.issue(COOKIES, WHOLE))
    assert len({text, *others}) == 4
    world.clock.turn(3599)
    assert await passes.held(text, WHOLE) == COOKIES
    world.clock.turn(1)
    assert await passes.held(text, WHOLE) is None


async def test_an_entrance_is_for_one_pass_and_half_a_minute(world: World) -> None:
    passes = world.flow.services.reading
    made = passes.entrance("a pass")
    assert passes.enters("a pass", made)
    for wrong in ("", ".", made[1:], f"9{made}", made + "A", "é." + made, "٣" + made):
        assert not passes.enters("a pass", wrong), wrong
    assert not passes.enters("another", made)
    world.clock.turn(31)
    assert not passes.enters("a pass", made)
    stay = passes.stay("a pass")
    assert passes.stays("a pass", stay)
    assert not passes.stays("another", stay)
    assert not passes.stays("a pass", "é")

"""The emergency stop in the store: several writers, several readers, each language."""

from __future__ import annotations

import asyncio

import pytest

from gateway import languages
from gateway.core.errors import Refusal
from gateway.core.freezes import Freeze, Freezes, Frozen
from gateway.core.store import Key, StoreUnavailable
from gateway.stores.sqlite.store import SqliteStore
from tests.support.clock import Clock

KINDS = [Frozen.ALL, Frozen.UPLOADS, Frozen.LOGINS, Frozen.DELETIONS]
NAMES = {Frozen.USER: "alice", Frozen.PROJECT: "billing-api", Frozen.TOKEN: "AbC"}


async def test_two_who_freeze_at_once_lose_nothing(store: SqliteStore, clock: Clock) -> None:
    one, other = Freezes(store, clock), Freezes(store, clock)
    await asyncio.gather(
        *(
            each.put(Frozen.PROJECT, f"p{number}", lasts=60, reason="x")
            for number in range(10)
            for each in (one, other)
        )
    )
    await one.look()
    assert {freeze.name for freeze in one.live} == {f"p{number}" for number in range(10)}
    lifted = await other.lift(["project:p1", "project:p2", "project:none"])
    assert {freeze.key for freeze in lifted} == {"project:p1", "project:p2"}
    await one.look()
    assert len(one.live) == 8


async def test_an_end_that_has_come_needs_no_look(store: SqliteStore, clock: Clock) -> None:
    freezes = Freezes(store, clock)
    await freezes.put(Frozen.LOGINS, "", lasts=60, reason="x")
    with pytest.raises(Refusal, match="frozen"):
        await freezes.check_login("alice")
    clock.now += 60
    await freezes.check_login("alice")
    assert freezes.live == ()


async def test_what_cannot_be_read_leaves_what_was_seen(store: SqliteStore, clock: Clock) -> None:
    freezes = Freezes(store, clock)
    await freezes.put(Frozen.UPLOADS, "", lasts=60, reason="x")
    for broken in (b"", b"{}x", b'[{"what":"moon"}]', b"[1]", b'"x"'):
        await store.put(Key("freeze", "", ""), broken)
        with pytest.raises(StoreUnavailable):
            await freezes.look()
        assert [freeze.key for freeze in freezes.live] == ["uploads"]


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "ja"])
@pytest.mark.parametrize("what", list(Frozen))
def test_each_is_said_with_its_end_and_reason(what: Frozen, language: str) -> None:
    name = NAMES.get(what, "")
    freeze = Freeze(what, name, 1_800_000_000, 1_800_007_200, "the key {x} leaked")
    said = freeze.refusal(1_800_000_000.5).said(languages.catalogue(language))
    assert "2027-01-15 10:00 UTC" in said and "the key {x} leaked" in said
    assert what in (Frozen.TOKEN, *KINDS) or name in said
    english = freeze.refusal(1_800_000_000.5).text
    assert (said == english) is (language == "en")
    assert freeze.refusal(1_800_000_000.5).retry_after == 7200
    stranger = freeze.refusal(1_800_000_000.5, proven=False).text
    assert ("leaked" in stranger) is (what in KINDS)

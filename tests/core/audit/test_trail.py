"""The audit trail: what is recorded, and that nobody changes it unnoticed."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import pytest

from gateway.core.audit import entry as entries
from gateway.core.audit.entry import HEAD, Head, HeadSeen, NotAuthentic
from gateway.core.audit.events import About, Beside, Event, Happened, Origin
from gateway.core.audit.schema import ENTRY
from gateway.core.audit.trail import DAY, LOG, Trail
from gateway.core.audit.transfer import Transfer, TransferredFile
from gateway.core.audit.verify import verify
from gateway.core.crypto.keyring import KeyRing
from gateway.core.store import Key, Put
from gateway.stores.sqlite.store import SqliteStore
from tests.support.clock import Clock

OLD = ("old", b"o" * 32)
NEW = ("new", b"n" * 32)
ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "DELETE", "/alice/dev/pkg", "release deletion")


@pytest.fixture
def trail(store: SqliteStore, clock: Clock) -> Trail:
    return Trail(store, KeyRing((OLD,), secrets.token_bytes), clock, retention=30 * DAY)


async def fill(trail: Trail, count: int, user: str = "alice") -> None:
    for number in range(count):
        await trail.record(Event.LOGIN, user, ORIGIN, factor="totp phone", detail=str(number))


def rows(store: SqliteStore, sql: str, *values: object) -> list[tuple[bytes, ...]]:
    """What somebody with the database file in hand can do."""
    with sqlite3.connect(store.path) as database:
        return database.execute(sql, values).fetchall()


async def test_an_entry_is_stored_as_one_line_of_json(trail: Trail, clock: Clock) -> None:
    clock.now += 0.6789
    await trail.record(Event.GUARDED_ACT, "zoë", ORIGIN, factor="totp phone", detail="x\ny")
    last = await trail.store.last(LOG)
    assert last is not None
    raw = last[1]
    mac = json.loads(raw)["mac"]
    assert raw == (
        b'{"at":"2026-01-02T03:00:00.679Z","detail":"x\\ny","event":"guarded_act",'
        b'"factor":"totp phone","mac":"' + mac.encode() + b'","n":1,"origin":'
        b'{"address":"192.0.2.7","method":"DELETE","path":"/alice/dev/pkg",'
        b'"rule":"release deletion","user_agent":"Mozilla/5.0"},"prev":"","user":"zo\\u00eb"}'
    )
    assert mac == "030sTqVJbaPR_O7XYIXIixONig-1AYkGXg1wABPmoSs"


UPLOAD = Happened(
    1_767_322_800.5,
    Event.UPLOAD,
    "alice",
    ORIGIN,
    factor="token CI",
    project="billing-api",
    transfer=Transfer(
        *("file_upload", "alice/dev", "1.0", 200, "tok1"),
        files=(
            TransferredFile("billing_api-1.0.tar.gz", 12, "ab" * 32),
            TransferredFile('",n":1.asc', None, ""),
        ),
    ),
)


async def test_an_upload_is_one_line_and_read_as_it_was(trail: Trail, clock: Clock) -> None:
    await trail.record(Event.GUARDED_ACT, "bob", ORIGIN, project="billing-api")
    await trail.record_all([UPLOAD, replace(UPLOAD, user="bob", time=clock.now)])
    deletion, first, second = [line async for line in trail.lines()]
    assert json.loads(deletion)["project"] == "billing-api"
    assert "transfer" not in json.loads(deletion)
    found = entries.read(first, trail.ring)
    assert (found.event, found.user, found.project) == ("upload", "alice", "billing-api")
    assert (found.time, found.transfer) == (UPLOAD.time, UPLOAD.transfer)
    assert json.loads(first)["transfer"] == {
        "action": "file_upload",
        "index": "alice/dev",
        "version": "1.0",
        "status": 200,
        "token": "tok1",
        "files": [
            {"name": "billing_api-1.0.tar.gz", "size": 12, "sha256": "ab" * 32},
            {"name": '",n":1.asc', "size": None, "sha256": ""},
        ],
    }
    assert entries.read(second, trail.ring).user == "bob"
    assert (await verify(trail)).sound
    # Thousands of uploads bury nothing of what a person has to see.
    assert await trail.of_user("alice", since=0) == []
    for broken in (b'"index"', b'"files"', b'"sha256"'):
        with pytest.raises(NotAuthentic):
            entries.parse(first.replace(broken, b'"other"', 1))


async def test_every_entry_fits_the_schema(trail: Trail) -> None:
    await fill(trail, 1)
    await trail.record_all([UPLOAD])
    jsonschema.Draft202012Validator.check_schema(dict(ENTRY))
    lines = [json.loads(line) async for line in trail.lines()]
    assert len(lines) == 2
    for line in lines:
        jsonschema.validate(line, dict(ENTRY), jsonschema.Draft202012Validator)
        assert set(line) <= set(ENTRY["properties"])


async def test_a_chain_that_nobody_touched_is_sound(trail: Trail) -> None:
    assert (await verify(trail)).sound
    await fill(trail, 510)
    verdict = await verify(trail)
    assert verdict.sound and verdict.entries == 510 and verdict.head[0] == 510


async def test_a_trail_that_begins_while_it_is_checked_is_sound(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Head.get

    async def begun_behind(head: Head) -> tuple[int, str] | None:
        found = await looked(head)
        if found is None:
            await fill(trail, 3)
        return found

    monkeypatch.setattr(Head, "get", begun_behind)
    verdict = await verify(trail)
    assert verdict.sound and verdict.entries == 3


async def test_long_texts_of_others_are_cut(trail: Trail) -> None:
    await trail.record(Event.FACTOR_REFUSED, "a", Origin(user_agent="x" * 9000, path="/" * 9000))
    last = await trail.store.last(LOG)
    assert last is not None and len(last[1]) < 2000
    assert (await verify(trail)).sound


Attack = Callable[[SqliteStore], object]


def drop(number: int) -> Attack:
    return lambda store: rows(store, "DELETE FROM entries WHERE number = ?", number)


def edit(number: int, old: str, new: str) -> Attack:
    return lambda store: rows(
        store,
        "UPDATE entries SET entry = cast(replace(cast(entry AS TEXT), ?, ?) AS BLOB)"
        " WHERE number = ?",
        *(old, new, number),
    )


def swap(one: int, other: int) -> Attack:
    def attack(store: SqliteStore) -> None:
        for source, target in ((one, -1), (other, one), (-1, other)):
            rows(store, "UPDATE entries SET number = ? WHERE number = ?", target, source)

    return attack


def close_gap(number: int) -> Attack:
    """Remove one and move the others up."""

    def attack(store: SqliteStore) -> None:
        rows(store, "DELETE FROM entries WHERE number = ?", number)
        for later in range(number + 1, 11):
            rows(store, "UPDATE entries SET number = ? WHERE number = ?", later - 1, later)

    return attack


def cut_tail(store: SqliteStore) -> None:
    rows(store, "DELETE FROM entries WHERE number > 7")
    rows(store, "UPDATE logs SET last = 7 WHERE log = 'audit'")


def empty(store: SqliteStore) -> None:
    rows(store, "DELETE FROM entries")
    rows(store, "DELETE FROM logs")


def cut_tail_and_head(store: SqliteStore) -> None:
    cut_tail(store)
    rows(store, "DELETE FROM records WHERE name = 'head'")


def forge_head(store: SqliteStore) -> None:
    cut_tail(store)
    (raw,) = rows(store, "SELECT value FROM records WHERE name = 'head'")[0]
    head = json.loads(raw) | {"n": 7}
    rows(store, "UPDATE records SET value = ? WHERE name = 'head'", json.dumps(head).encode())


ATTACKS: dict[str, tuple[Attack, int]] = {
    "the first removed": (drop(1), 1),
    "one in the middle removed": (drop(5), 5),
    "one removed and the gap closed": (close_gap(5), 5),
    "the last removed": (drop(10), 10),
    "the tail cut off": (cut_tail, 8),
    "the tail and the head record": (cut_tail_and_head, 0),
    "the tail, with a made-up head": (forge_head, 0),
    "everything": (empty, 1),
    "a detail changed": (edit(4, '"detail":"3"', '"detail":"4"'), 4),
    "a person changed": (edit(10, "alice", "mallory"), 10),
    "a time changed": (edit(2, '"at":"2026', '"at":"2025'), 2),
    "a field added": (edit(2, '{"at"', '{"aa":1,"at"'), 2),
    "white space added": (edit(2, '{"at"', '{ "at"'), 2),
    "a field named twice": (edit(2, '"factor":', '"factor":"x","factor":'), 2),
    "no JSON": (edit(2, "{", "["), 2),
    "two swapped": (swap(3, 6), 3),
}


@pytest.mark.parametrize(("attack", "broken"), ATTACKS.values(), ids=ATTACKS.keys())
async def test_tampering_is_found_at_its_place(
    trail: Trail, store: SqliteStore, attack: Attack, broken: int
) -> None:
    await fill(trail, 10)
    assert (await verify(trail)).sound
    attack(store)
    verdict = await verify(trail)
    assert (verdict.sound, verdict.broken) == (False, broken), verdict.why
    # Recording goes on, here and in a gateway started later, and does not heal what was broken.
    await trail.record(Event.LOGIN, "bob", ORIGIN)
    assert not (await verify(trail)).sound
    await fill(Trail(store, trail.ring, Clock()), 3, "bob")
    assert not (await verify(trail)).sound


async def test_an_older_state_is_found_by_a_head_that_was_noted(
    trail: Trail, store: SqliteStore
) -> None:
    await fill(trail, 5)
    old = rows(store, "SELECT value FROM records WHERE name = 'head'")[0][0]
    await fill(trail, 5)
    noted = (await verify(trail)).head
    await fill(trail, 1)
    assert (await verify(trail, known=noted)).sound
    rows(store, "DELETE FROM entries WHERE number > 5")
    rows(store, "UPDATE records SET value = ? WHERE name = 'head'", old)
    assert (await verify(trail)).sound, "the risk that is accepted"
    assert (await verify(trail, known=noted)).broken == 6


async def test_an_entry_from_another_past_is_found(trail: Trail, store: SqliteStore) -> None:
    """The gateway wrote it itself, with this number, after the store was put back once."""
    await fill(trail, 5)
    rows(store, "CREATE TABLE past AS SELECT * FROM entries")
    rows(store, "DELETE FROM entries WHERE number > 3")
    rows(store, "UPDATE logs SET last = 3")
    rows(store, "DELETE FROM records WHERE name = 'head'")
    again = Trail(store, trail.ring, Clock())
    await fill(again, 5, "mallory")
    rows(
        store,
        "UPDATE entries SET entry = (SELECT entry FROM past WHERE number = 5) WHERE number = 5",
    )
    verdict = await verify(again)
    assert (verdict.broken, verdict.why) == (5, "does not follow from the entry before it")


async def test_an_entry_of_another_key_is_not_accepted(trail: Trail, store: SqliteStore) -> None:
    await fill(trail, 3)
    stranger = Trail(store, KeyRing((NEW,), secrets.token_bytes), Clock())
    await stranger.record(Event.LOGIN, "mallory", ORIGIN)
    assert (await verify(trail)).broken == 4


async def test_old_entries_verify_after_a_rotation(trail: Trail, store: SqliteStore) -> None:
    await fill(trail, 3)
    rotated = Trail(store, KeyRing((NEW, OLD), secrets.token_bytes), Clock())
    assert (await verify(rotated)).sound
    await fill(rotated, 3)
    assert (await verify(rotated)).entries == 6
    assert (await verify(rotated)).sound
    assert len(await rotated.of_user("alice", 0)) == 6
    assert (await verify(trail)).broken == 0, "without the new key its head says nothing"


async def test_several_writers_keep_one_chain(store: SqliteStore, clock: Clock) -> None:
    ring = KeyRing((OLD,), secrets.token_bytes)
    trails = [Trail(store, ring, clock) for _ in range(4)]
    await asyncio.gather(*(fill(trail, 15, f"user{i}") for i, trail in enumerate(trails)))
    verdict = await verify(trails[0])
    assert verdict.sound and verdict.entries == 60
    head = await trails[0].head.get()
    assert head is not None and head[0] == 60


async def test_entries_of_one_moment_stand_together(store: SqliteStore, clock: Clock) -> None:
    """With what they are about, whoever else writes."""
    ring = KeyRing((("k1", b"k" * 32),), secrets.token_bytes)
    trails = [Trail(store, ring, clock) for _ in range(3)]

    async def act(number: int) -> None:
        record = Put(Key("credential", f"user{number}", ""), b"earned")
        also = (Beside(Event.GUARDED_ACT, "totp", About(f"project{number}", "version 1.0")),)
        user = f"user{number}"
        await trails[number % 3].record(Event.LOGIN, user, Origin(), also=also, then=(record,))

    await asyncio.gather(*map(act, range(12)))
    found = [entries.parse(raw) async for raw in trails[0].lines()]
    assert [one.event for one in found] == ["login", "guarded_act"] * 12
    assert [one.user for one in found[::2]] == [one.user for one in found[1::2]]
    assert {one.project for one in found[::2]} == {""}
    about = {(one.user, one.project, one.detail) for one in found[1::2]}
    assert about == {(f"user{n}", f"project{n}", "version 1.0") for n in range(12)}
    assert (await verify(trails[1])).sound
    for number in range(12):
        assert await store.get(Key("credential", f"user{number}", "")) is not None
        assert len(await trails[2].of_user(f"user{number}", 0)) == 2


async def test_what_does_not_hold_leaves_no_entry(trail: Trail, store: SqliteStore) -> None:
    """Of several gateways that record the same claim, one does."""
    account, earned = Key("user", "alice", ""), Key("credential", "alice", "c")
    trails = [trail, *(Trail(store, trail.ring, Clock()) for _ in range(3))]

    async def claim(number: int) -> bool:
        first, then = (Put(account, b"", if_version=0),), (Put(earned, b"%d" % number),)
        done = await trails[number].record(Event.LOGIN, "alice", ORIGIN, first=first, then=then)
        return done is not None

    won = await asyncio.gather(*map(claim, range(4)))
    assert sum(won) == 1
    found = await store.get(earned)
    assert found is not None and found.value == b"%d" % won.index(True)
    assert (await verify(trail)).entries == 1
    assert (await verify(trail)).sound


@pytest.mark.parametrize("late", [False, True], ids=["at once", "behind another gateway"])
async def test_what_may_fail_says_whether_it_was_done(
    trail: Trail, store: SqliteStore, clock: Clock, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(trail, 1)
    if late:  # it writes between the look at the head and the entry
        seen = [await trail.head.seen()]
        await fill(Trail(store, trail.ring, clock), 1)

        async def look() -> HeadSeen | None:
            return seen.pop() if seen else await Head(store, trail.ring).seen()

        monkeypatch.setattr(trail.head, "seen", look)
    beside = Key("guesses", "", "network")
    step = Put(beside, b"", if_version=0)
    done = await trail.record(Event.LOGIN, "alice", ORIGIN, last=(step,))
    found = await store.get(beside)
    assert found is not None and done == [found.version]
    assert await trail.record(Event.LOGIN, "alice", ORIGIN, last=(step,)) == []
    assert (await verify(trail)).sound


async def test_a_writer_killed_before_the_head_was_written(trail: Trail) -> None:
    """The entry stands; the next one brings the head up to date."""
    await fill(trail, 3)
    last = await trail.store.last(LOG)
    assert last is not None
    entry = entries.parse(last[1])
    raw, _ = entries.write(replace(entry, number=4, prev=entry.mac), trail.ring)
    assert await trail.store.append(LOG, raw, after=3) == 4
    assert (await verify(trail)).sound
    await fill(trail, 1)
    assert (await verify(trail)).entries == 5
    assert (await verify(trail)).sound


# -- retention -----------------------------------------------------------------------------


async def test_old_entries_go_and_the_chain_says_so(trail: Trail, clock: Clock) -> None:
    await fill(trail, 510)
    clock.now += 20 * DAY
    await fill(trail, 5)
    clock.now += 11 * DAY
    assert await trail.tidy() == 510
    assert await trail.tidy() == 0, "once a day"
    numbers = [number for number, _ in await trail.store.read(LOG)]
    assert numbers == [511, 512, 513, 514, 515, 516]
    last = entries.read((await trail.store.read(LOG))[-1][1], trail.ring)
    assert (last.event, last.detail) == ("retention", "510 entries older than 30 days removed")
    assert (await verify(trail)).sound
    clock.now += 60 * DAY
    assert await trail.tidy() == 6
    assert [number for number, _ in await trail.store.read(LOG)] == [517]
    await fill(trail, 2)
    assert (await verify(trail)).sound


async def test_an_interrupted_removal_is_no_tampering(
    trail: Trail, store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(trail, 5)
    clock.now += 40 * DAY
    with monkeypatch.context() as patch:
        patch.setattr(store, "trim", lambda *_, **__: asyncio.sleep(0))
        await trail.tidy()
    assert (await verify(trail)).sound
    clock.now += 2 * DAY
    await trail.tidy()
    assert (await verify(trail)).sound


async def test_more_removed_than_retention_said(
    trail: Trail, store: SqliteStore, clock: Clock
) -> None:
    await fill(trail, 5)
    clock.now += 40 * DAY
    await fill(trail, 5)
    await trail.tidy()
    rows(store, "DELETE FROM entries WHERE number = 6")
    assert (await verify(trail)).broken == 6


async def test_nothing_goes_without_a_retention(store: SqliteStore, clock: Clock) -> None:
    trail = Trail(store, KeyRing((OLD,), secrets.token_bytes), clock, retention=None)
    await fill(trail, 3)
    clock.now += 10_000 * DAY
    assert await trail.tidy() == 0
    assert len(await trail.store.read(LOG)) == 3


# -- reading -------------------------------------------------------------------------------


async def test_a_person_sees_their_own_last_days_newest_first(trail: Trail, clock: Clock) -> None:
    start = clock.now
    for day in range(100):
        clock.now = start + day * DAY
        await trail.record(Event.LOGIN, "alice", ORIGIN, detail=f"day {day}")
        await trail.record(Event.LOGIN, "bob", ORIGIN)
    seen = await trail.of_user("alice", clock.now - 30 * DAY)
    assert [entry.detail for entry in seen] == [f"day {day}" for day in range(99, 68, -1)]
    assert len(await trail.of_user("alice", 0)) == 90
    assert await trail.of_user("carol", 0) == []


async def test_a_forged_copy_is_not_shown(trail: Trail, store: SqliteStore) -> None:
    await fill(trail, 2)
    await fill(trail, 1, "bob")
    bobs = (await store.items("audit-of", "bob"))[0][1].value
    await store.put(Key("audit-of", "alice", "000000000009"), bobs)
    await store.put(Key("audit-of", "alice", "000000000010"), b"{}")
    assert len(await trail.of_user("alice", 0)) == 2


async def test_export_between_two_moments(trail: Trail, clock: Clock) -> None:
    start = clock.now
    for day in range(5):
        clock.now = start + day * DAY
        await fill(trail, 1)
    lines = [raw async for raw in trail.lines(since=start + DAY, until=start + 3 * DAY)]
    assert [json.loads(raw)["n"] for raw in lines] == [2, 3]
    assert len([raw async for raw in trail.lines()]) == 5


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"n":1}',
        b"\xff",
        b"[" * 100_000,
        b'{"n":"1","at":"2026-01-01T00:00:00Z","event":"","user":"","origin":{},"factor":"",'
        b'"detail":"","prev":"","mac":""}',
        b'{"n":1,"at":"x","event":"","user":"","origin":{},"factor":"","detail":"","prev":"",'
        b'"mac":""}',
        b'{"n":1,"at":"2026-01-01T00:00:00Z","event":"","user":"","origin":{"x":1},"factor":"",'
        b'"detail":"","prev":"","mac":""}',
    ],
)
def test_what_is_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(NotAuthentic):
        entries.read(raw, KeyRing((OLD,), secrets.token_bytes))


async def test_the_head_is_replaced_under_the_new_key(trail: Trail, store: SqliteStore) -> None:
    await fill(trail, 1)
    before = await store.get(HEAD)
    await fill(Trail(store, KeyRing((NEW, OLD), secrets.token_bytes), Clock()), 1)
    after = await store.get(HEAD)
    assert before is not None and after is not None and before.value != after.value


@pytest.mark.parametrize("order", ["aaaaaa", "aaab", "abab", "aaabbbab", "aabaab", "abcabccca"])
async def test_gateways_in_turn(store: SqliteStore, clock: Clock, order: str) -> None:
    """Who was alone for a while goes on from the head as it left it, where it still is there."""
    ring = KeyRing((("k1", b"k" * 32),), secrets.token_bytes)
    trails = {name: Trail(store, ring, clock) for name in set(order)}
    for number, name in enumerate(order):
        claim = Key("claim", "", str(number))
        first, also = (Put(claim, b"", if_version=0),), (Beside(Event.GUARDED_ACT, "totp"),)
        done = await trails[name].record(Event.LOGIN, name, ORIGIN, first=first, also=also)
        assert done == []
        again = await trails[name].record(Event.LOGIN, name, ORIGIN, first=first, also=also)
        assert again is None, "another one has it"
    found = [entries.parse(raw) async for raw in trails[order[0]].lines()]
    assert [one.user for one in found] == [name for name in order for _ in range(2)]
    assert (await verify(trails[order[0]])).sound


async def test_who_writes_alone_need_not_look(
    trail: Trail, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, seen = 0, trail.head.seen

    async def look() -> HeadSeen | None:
        nonlocal looked
        looked += 1
        return await seen()

    monkeypatch.setattr(trail.head, "seen", look)
    await fill(trail, 20)
    assert looked <= 4
    before = looked
    await fill(Trail(store, trail.ring, Clock()), 1)
    await fill(trail, 1)
    assert looked == before + 1
    assert (await verify(trail)).entries == 22


async def test_who_writes_alone_sees_that_a_backup_was_put_back(
    trail: Trail, store: SqliteStore, clock: Clock
) -> None:
    """And that others have written as many entries since as there were."""
    await fill(trail, 4)
    ((value,),) = rows(store, "SELECT value FROM records WHERE kind = 'audit' AND name = 'head'")
    await fill(trail, 1)
    rows(store, "DELETE FROM entries WHERE number = 5")
    rows(store, "UPDATE logs SET last = 4")
    rows(store, "UPDATE records SET value = ? WHERE kind = 'audit' AND name = 'head'", value)
    await fill(Trail(store, trail.ring, clock), 1, user="bob")
    await fill(trail, 1)
    found = [entries.parse(raw).user async for raw in trail.lines()]
    assert found == ["alice"] * 4 + ["bob", "alice"]
    assert (await verify(trail)).sound

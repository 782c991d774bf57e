"""What every store promises, on every backend, as one process sees it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.store import Append, Count, Delete, Expect, Key, Put, Record, Store, StoreStep
from gateway.stores import open_store
from gateway.stores.address import read_redis
from gateway.stores.redis.client import RedisClient
from tests.contracts.conftest import Clock

KEY = Key("kind", "alice", "name")


async def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    value = bytes(range(256)) * 300
    version = await store.put(KEY, value)
    assert version is not None and version > 0
    assert await store.get(KEY) == Record(value, version)


async def test_what_was_never_written_is_none(store: Store) -> None:
    assert await store.get(KEY) is None
    assert await store.items("kind", "alice") == []
    assert await store.last("log") is None
    assert await store.read("log") == []
    assert await store.count(KEY, window=60, add=0) == 0
    assert await store.delete(KEY) is False
    assert await store.warnings() is not None


async def test_a_conditional_write_needs_the_version_that_is_there(store: Store) -> None:
    first = await store.put(KEY, b"1", if_version=0)
    assert first is not None
    assert await store.put(KEY, b"x", if_version=0) is None
    assert await store.put(KEY, b"x", if_version=first + 1) is None
    second = await store.put(KEY, b"2", if_version=first)
    assert second is not None and second > first
    assert await store.put(KEY, b"x", if_version=first) is None
    assert await store.get(KEY) == Record(b"2", second)


async def test_versions_go_on_after_a_deletion(store: Store, clock: Clock) -> None:
    """Else a writer that read the old record could overwrite the new one."""
    first = await store.put(KEY, b"1")
    await store.put(KEY, b"1")
    await store.delete(KEY)
    third = await store.put(KEY, b"3", expires=clock.now + 1)
    clock.now += 2
    fourth = await store.put(KEY, b"4", if_version=0)
    assert first is not None and third is not None and fourth is not None
    assert first + 1 < third < fourth
    assert await store.put(KEY, b"x", if_version=third) is None


async def test_only_the_right_version_is_deleted(store: Store) -> None:
    version = await store.put(KEY, b"1") or 0
    assert await store.delete(KEY, if_version=version + 1) is False
    assert await store.delete(KEY, if_version=0) is False
    assert await store.delete(KEY, if_version=version) is True
    assert await store.delete(KEY) is False


async def test_a_claim_has_one_winner_until_it_expires(store: Store, clock: Clock) -> None:
    wins = await asyncio.gather(*(store.claim(KEY, expires=clock.now + 30) for _ in range(20)))
    assert wins.count(True) == 1
    clock.now += 29.999
    assert await store.claim(KEY, expires=clock.now + 30) is False
    clock.now += 0.001
    assert await store.claim(KEY, expires=clock.now + 30) is True


async def test_an_expired_record_is_gone_everywhere(store: Store, clock: Clock) -> None:
    await store.put(KEY, b"1", expires=clock.now + 10)
    await store.put(KEY._replace(name="stays"), b"2")
    clock.now += 10
    assert await store.get(KEY) is None
    assert [name for name, _ in await store.items("kind", "alice")] == ["stays"]
    assert await store.delete(KEY) is False
    assert await store.put(KEY, b"3", if_version=0) is not None
    clock.now += 1_000_000
    assert await store.get(KEY) is not None


async def test_expiry_can_be_taken_back_and_moved(store: Store, clock: Clock) -> None:
    await store.put(KEY, b"1", expires=clock.now + 10)
    await store.put(KEY, b"1", expires=clock.now + 500)
    clock.now += 400
    assert await store.get(KEY) is not None
    await store.put(KEY, b"1")
    clock.now += 10_000
    assert await store.get(KEY) is not None
    assert len(await store.items("kind", "alice")) == 1


STRANGE = [
    "",
    "/",
    ":",
    "{",
    "}",
    "}:r:x",
    "a}:r:b",
    "%7D",
    "é",
    "ß",
    "a b",
    "*",
    "?",
    "'",
    '"',
    "🐍",
]


@pytest.mark.parametrize("place", ["owner", "name"])
async def test_strange_names_stay_apart(store: Store, place: str) -> None:
    for name in STRANGE:
        key = KEY._replace(owner=name) if place == "owner" else KEY._replace(name=name)
        assert await store.put(key, name.encode(), if_version=0) is not None, name
    for name in STRANGE:
        key = KEY._replace(owner=name) if place == "owner" else KEY._replace(name=name)
        record = await store.get(key)
        assert record is not None and record.value == name.encode()
        listed = await store.items("kind", key.owner)
        assert [found for found, _ in listed] == (["name"] if place == "owner" else sorted(STRANGE))


async def test_names_cannot_imitate_the_key_of_another_owner(store: Store) -> None:
    await store.put(Key("kind", "a}:r:b", "c"), b"1")
    assert await store.get(Key("kind", "a", "b}:r:c")) is None
    assert await store.get(Key("kind/a", "b", "c")) is None


async def test_a_window_slides(store: Store, clock: Clock) -> None:
    clock.now = 1_700_000_040.0
    assert await store.count(KEY, window=60) == 1
    clock.now += 30
    assert await store.count(KEY, window=60, add=3) == 4
    clock.now += 29.9
    assert await store.count(KEY, window=60, add=0) == 4, "counted for the whole window"
    clock.now += 1.1
    assert await store.count(KEY, window=60, add=0) == 3, "and for at most a sixtieth more"
    clock.now += 30
    assert await store.count(KEY, window=60, add=0) == 0
    assert await store.count(KEY, window=60) == 1


async def test_counters_are_no_records(store: Store, clock: Clock) -> None:
    await store.count(KEY, window=60)
    assert await store.get(KEY) is None
    assert await store.items("kind", "alice") == []
    assert await store.count(KEY._replace(name="other"), window=60, add=0) == 0


async def test_a_log_numbers_its_entries(store: Store) -> None:
    assert [await store.append("log", b"%d" % n) for n in range(5)] == [1, 2, 3, 4, 5]
    assert await store.append("other", b"x") == 1
    assert await store.read("log") == [(n + 1, b"%d" % n) for n in range(5)]
    assert await store.read("log", after=3) == [(4, b"3"), (5, b"4")]
    assert await store.read("log", after=1, limit=2) == [(2, b"1"), (3, b"2")]
    assert await store.read("log", after=5) == []
    assert await store.last("log") == (5, b"4")


async def test_an_append_after_another_entry_fails(store: Store) -> None:
    assert await store.append("log", b"a", after=1) is None
    assert await store.append("log", b"a", after=0) == 1
    assert await store.append("log", b"b", after=0) is None
    assert await store.append("log", b"b", after=1) == 2


async def test_numbers_go_on_after_a_trim(store: Store) -> None:
    for _ in range(4):
        await store.append("log", b"x")
    await store.trim("log", upto=2)
    assert [number for number, _ in await store.read("log")] == [3, 4]
    await store.trim("log", upto=4)
    assert await store.read("log") == [] and await store.last("log") is None
    assert await store.append("log", b"y", after=3) is None
    assert await store.append("log", b"y", after=4) == 5
    await store.trim("log", upto=0)
    assert await store.last("log") == (5, b"y")


async def test_many_callers_at_once(store: Store) -> None:
    """More callers than connections or places in a batch."""
    keys = [KEY._replace(name=str(number)) for number in range(300)]
    versions = await asyncio.gather(*(store.put(key, key.name.encode()) for key in keys))
    assert len(set(versions)) == 300
    numbers = await asyncio.gather(*(store.append("log", b"x") for _ in keys))
    assert sorted(number or 0 for number in numbers) == list(range(1, 301))
    records = await asyncio.gather(*(store.get(key) for key in keys))
    assert [record and record.value for record in records] == [key.name.encode() for key in keys]


# -- several at once -------------------------------------------------------------------------

OTHER = Key("another kind", "bob", "")  # in another slot of a Cluster


async def test_several_records_are_read_at_once(store: Store, clock: Clock) -> None:
    version = await store.put(KEY, b"1") or 0
    await store.put(OTHER, b"2", expires=clock.now + 10)
    clock.now += 10
    assert await store.get_many([OTHER, KEY, KEY._replace(name="x")]) == [
        None,
        Record(b"1", version),
        None,
    ]
    assert await store.get_many([]) == []


async def test_steps_together_do_what_each_does(store: Store, clock: Clock) -> None:
    version = await store.put(KEY, b"1") or 0
    gave = await store.transact(
        [
            Expect(KEY, version),
            Count(OTHER, 60, 2),
            Append("log", b"a", after=0),
            Put(OTHER, b"2", expires=clock.now + 10, if_version=0),
            Append("log", b"b", after=1),
            Put(KEY, b"3", if_version=version),
            Delete(KEY),
            Expect(KEY, 0),
            Count(OTHER, 60, 0),
        ]
    )
    assert [gave[at] for at in (0, 1, 2, 4, 6, 7, 8)] == [version, 2, 1, 2, 1, 0, 2]
    assert await store.get(OTHER) == Record(b"2", gave[3])
    assert gave[5] > version
    assert await store.get(KEY) is None
    assert await store.read("log") == [(1, b"a"), (2, b"b")]
    clock.now += 10
    assert await store.transact([Expect(OTHER, 0), Expect(KEY, 0)]) == [0, 0]
    assert await store.transact([]) == []


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(Put(KEY, b"x", if_version=0), id="put where something is"),
        pytest.param(Put(KEY, b"x", if_version=1), id="put over an old version"),
        pytest.param(Delete(OTHER._replace(name="gone")), id="delete nothing"),
        pytest.param(Delete(KEY, if_version=1), id="delete an old version"),
        pytest.param(Expect(KEY, 0), id="expect nothing"),
        pytest.param(Expect(KEY, 1), id="expect an old version"),
        pytest.param(Append("log", b"x", after=7), id="append after another entry"),
    ],
)
async def test_steps_end_at_the_first_that_does_not_hold(store: Store, step: StoreStep) -> None:
    await store.put(KEY, b"1")
    await store.put(KEY, b"2")
    before = await store.get(KEY)
    behind = (Put(OTHER, b"no"), Count(KEY, 60), Append("log", b"no"), Delete(KEY))
    first = (Put(KEY._replace(name="first"), b"yes"), Append("log", b"yes"))
    gave = await store.transact([*first, step, *behind])
    assert len(gave) == 2 and gave[1] == 1
    assert await store.get(KEY) == before
    assert await store.get(OTHER) is None
    assert await store.count(KEY, window=60, add=0) == 0
    assert await store.read("log") == [(1, b"yes")]
    stays = await store.get(KEY._replace(name="first"))
    assert stays is not None and stays.value == b"yes"


async def test_of_many_that_expect_the_same_one_acts(store: Store) -> None:
    """What a limit and an act are decided by is unchanged when the act is done."""
    count, acts = KEY._replace(name="count"), []

    async def once(number: int) -> None:
        for _ in range(100):
            seen, _ = await store.get_many([count, OTHER])
            if seen is not None:
                return
            steps = (Put(count, b"%d" % number, if_version=0), Append("acts", b"%d" % number))
            if len(await store.transact([Expect(count, 0), *steps])) == 3:
                acts.append(number)

    await asyncio.gather(*(once(number) for number in range(20)))
    assert len(acts) == 1
    assert await store.read("acts") == [(1, b"%d" % acts[0])]


# -- lists that grow ----------------------------------------------------------------------


async def every_name(store: Store, kind: str, owner: str, limit: int) -> list[str]:
    """All names, page by page."""
    found: list[str] = []
    while page := await store.names(kind, owner, after=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found += page
    return found


async def everybody(store: Store, kind: str, before: float, limit: int) -> list[str]:
    """Whose records end by then, page by page."""
    found: list[str] = []
    after = ""
    for _ in range(100):
        owners, after = await store.ending(kind, before=before, after=after, limit=limit)
        found += owners
        if not after:
            return found
    raise AssertionError("pages without end")


async def test_many_records_are_read_at_once(store: Store, clock: Clock) -> None:
    there = [Key("kind", f"owner {number}", name) for number in range(40) for name in ("", "é")]
    versions = {key: await store.put(key, repr(key).encode()) for key in there}
    ended = Key("kind", "ended", "")
    await store.put(ended, b"x", expires=clock.now + 5)
    clock.now += 5
    wanted = [Key("kind", "nobody", ""), *reversed(there), ended, there[3]]
    found = await store.get_many(wanted)
    for key, record in zip(wanted, found, strict=True):
        expected = Record(repr(key).encode(), versions[key] or 0) if key in versions else None
        assert record == expected, key
    assert await store.get_many([]) == []


async def test_the_items_of_many_owners(store: Store, clock: Clock) -> None:
    owners = ["a/b}:i/é", "%2F", *(f"owner {number}" for number in range(2, 40))]
    for owner in owners[::2]:
        for name in ("b", "", "é"):
            await store.put(Key("kind", owner, name), name.encode())
        await store.put(Key("kind", owner, "a"), b"ended", expires=clock.now + 5)
    await store.put(Key("kind", owners[1], "a"), b"ended", expires=clock.now + 5)
    await store.put(Key("other", owners[1], "a"), b"another kind")
    clock.now += 5
    found = await store.items_of("kind", owners)
    assert set(found) == set(owners[::2])
    for owner, items in found.items():
        assert items == await store.items("kind", owner)
        assert [name for name, _ in items] == ["", "b", "é"]
    assert await store.items_of("kind", []) == {}


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("some", ["endless", "some end"])
async def test_names_come_in_pages_and_in_order(
    store: Store, clock: Clock, limit: int, some: str
) -> None:
    for number, name in enumerate(STRANGE):
        ends = clock.now + number if some == "some end" and number % 3 == 0 else None
        await store.put(KEY._replace(name=name), b"", expires=ends)
    await store.put(Key("kind", "bob", "not hers"), b"")
    clock.now += 6
    listed = [name for name, _ in await store.items("kind", "alice")]
    assert len(listed) == (len(STRANGE) if some == "endless" else len(STRANGE) - 3)
    assert await every_name(store, "kind", "alice", limit) == listed
    assert await store.names("kind", "nobody") == []


async def test_a_page_goes_on_where_a_name_has_gone(store: Store) -> None:
    for name in "abcd":
        await store.put(KEY._replace(name=name), b"")
    assert await store.names("kind", "alice", limit=2) == ["a", "b"]
    await store.delete(KEY._replace(name="b"))
    assert await store.names("kind", "alice", after="b", limit=2) == ["c", "d"]


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_what_ends_is_found_by_time(store: Store, clock: Clock, limit: int) -> None:
    start = clock.now
    for seconds in (40, 10, 30, 20):
        await store.put(Key("session", f"{seconds} s", "one"), b"", expires=start + seconds)
    for owner in ("twins a", "twins b", "twins c"):
        await store.put(Key("session", owner, "one"), b"", expires=start + 25)
    await store.put(Key("session", "endless", "one"), b"")
    await store.put(Key("device", "another kind", "one"), b"", expires=start + 20)
    twins = ["twins a", "twins b", "twins c"]
    for before, owners in (
        (5, []),
        (10, ["10 s"]),
        (25, ["10 s", "20 s", *twins]),
        (99, ["10 s", "20 s", *twins, "30 s", "40 s"]),
    ):
        assert await everybody(store, "session", start + before, limit) == owners, before
    await store.transact([Put(Key("session", "by a step", "one"), b"", start + 35)])
    clock.now += 20
    late = [*twins, "30 s", "by a step", "40 s"]
    assert await everybody(store, "session", start + 99, limit) == late, "what has ended is gone"


async def test_what_ends_later_or_is_gone_is_not_due(store: Store, clock: Clock) -> None:
    soon, later = clock.now + 10, clock.now + 100
    for owner in ("moved on", "moved up", "gone", "two", "lost race"):
        await store.put(Key("session", owner, "one"), b"", expires=soon)
    await store.put(Key("session", "moved on", "one"), b"", expires=later)
    await store.put(Key("session", "moved up", "one"), b"", expires=soon - 5)
    await store.delete(Key("session", "gone", "one"))
    await store.put(Key("session", "two", "another"), b"", expires=later)
    await store.put(Key("session", "lost race", "one"), b"", expires=soon - 7, if_version=1)
    for limit in (1, 100):
        assert await everybody(store, "session", soon - 6, limit) == []
        assert sorted(await everybody(store, "session", soon, limit)) == [
            "lost race", "moved up", "two",
        ]  # fmt: skip
        found = await everybody(store, "session", later, limit)
        assert set(found) == {"lost race", "moved up", "two", "moved on"}
    await store.put(Key("session", "gone", "one"), b"", expires=soon)
    assert "gone" in await everybody(store, "session", soon, 100)
    clock.now = later - 1
    assert set(await everybody(store, "session", later, 1)) == {"two", "moved on"}


async def test_a_store_of_an_earlier_version_tells_what_ends(
    store: Store, store_url: str, clock: Clock
) -> None:
    for owner in ("alice", "a/b}:i", "é"):
        await store.put(Key("session", owner, "one"), b"", expires=clock.now + 10)
    await without_ends(store_url)
    later = await open_store(store_url, clock)
    for owners in (["a/b}:i", "alice", "é"], ["a/b}:i", "alice", "bob", "é"]):
        assert sorted(await everybody(later, "session", clock.now + 10, 2)) == owners
        await later.put(Key("session", "bob", "one"), b"", expires=clock.now + 10)
    await later.close()


async def without_ends(store_url: str) -> None:
    """Make of a store one that an earlier version wrote."""
    if store_url.startswith("sqlite:"):
        with contextlib.closing(sqlite3.connect(store_url.removeprefix("sqlite:"))) as file:
            file.execute("DROP INDEX records_ends_device_session")
            file.execute("CREATE INDEX records_ends ON records (kind, expires)")
        return
    client = RedisClient(read_redis(store_url), patience=3.0)
    found = [place.decode() async for places in client.scan("ig:ends:*") for place in places]
    assert found, "or there is nothing to take away"
    for place in found:
        await client.send("DEL", place)
    await client.close()


# -- against a model -----------------------------------------------------------------------


class Model:
    """The protocol in a few dictionaries: what the backends are measured against."""

    def __init__(self) -> None:
        self.now = 0.0
        self.records: dict[str, tuple[bytes, float | None, int]] = {}
        self.log: list[bytes] = []
        self.trimmed = 0

    def live(self, name: str) -> tuple[bytes, float | None, int] | None:
        found = self.records.get(name)
        gone = found is None or (found[1] is not None and found[1] <= self.now)
        return None if gone else found


NAMES = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            NAMES,
            st.sampled_from([None, 5.0, 50.0]),
            st.sampled_from(["any", "none", "right", "stale"]),
        ),
        st.tuples(st.just("claim"), NAMES, st.sampled_from([5.0, 50.0])),
        st.tuples(st.just("delete"), NAMES, st.sampled_from(["any", "right", "stale"])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 5.0, 60.0])),
        st.tuples(st.just("append"), st.booleans()),
        st.tuples(st.just("trim"), st.integers(0, 4)),
    ),
    max_size=25,
)


async def walk(store: Store, clock: Clock, owner: str, steps: list[tuple[Any, ...]]) -> None:
    model, start, versions = Model(), clock.now, [0]
    for word, *rest in steps:
        match word, rest:
            case "wait", [seconds]:
                clock.now += seconds
                model.now = clock.now - start
            case "put", [name, lasts, when]:
                live = model.live(name)
                wanted = {"any": None, "none": 0, "right": live[2] if live else 0}.get(when, 1)
                ends = None if lasts is None else clock.now + lasts
                value = repr(len(versions)).encode()
                done = await store.put(key(owner, name), value, expires=ends, if_version=wanted)
                assert (done is not None) == (wanted in (None, live[2] if live else 0))
                if done is not None:
                    assert done > max(versions[-1:])
                    versions.append(done)
                    model.records[name] = (value, ends and ends - start, done)
            case "claim", [name, lasts]:
                free = model.live(name) is None
                assert await store.claim(key(owner, name), expires=clock.now + lasts) is free
                if free:
                    record = await store.get(key(owner, name))
                    assert record is not None
                    versions.append(record.version)
                    model.records[name] = (b"", clock.now - start + lasts, record.version)
            case "delete", [name, when]:
                live = model.live(name)
                wanted = {"any": None, "right": live[2] if live else 0}.get(when, 1)
                right = live is not None and wanted in (None, live[2])
                assert await store.delete(key(owner, name), if_version=wanted) is right
                if right:
                    del model.records[name]
            case "append", [careful]:
                after = len(model.log) if careful else None
                assert await store.append(owner, b"e", after=after) == len(model.log) + 1
                model.log.append(b"e")
            case "trim", [upto]:
                model.trimmed = max(model.trimmed, min(upto, len(model.log)))
                await store.trim(owner, upto=upto)
        await compare(store, owner, model)


async def compare(store: Store, owner: str, model: Model) -> None:
    wanted = {n: Record(r[0], r[2]) for n in "ab" if (r := model.live(n)) is not None}
    assert dict(await store.items("model", owner)) == wanted
    assert dict((await store.items_of("model", [owner])).get(owner, [])) == wanted
    assert await store.names("model", owner) == sorted(wanted)
    for name in "ab":
        assert await store.get(key(owner, name)) == wanted.get(name)
    entries = [(n + 1, b"e") for n in range(model.trimmed, len(model.log))]
    assert await store.read(owner) == entries
    assert await store.last(owner) == (entries[-1] if entries else None)


def key(owner: str, name: str) -> Key:
    return Key("model", owner, name)


def test_any_sequence_of_steps_does_what_the_model_does(store_url: str) -> None:
    clock = Clock()
    examples = iter(range(10_000))
    with asyncio.Runner() as runner:
        store = runner.run(open_store(store_url, clock))

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(STEPS)
        def follow(steps: list[tuple[Any, ...]]) -> None:
            runner.run(walk(store, clock, f"example {next(examples)}", steps))

        follow()
        runner.run(store.close())

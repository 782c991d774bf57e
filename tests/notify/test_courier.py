"""The queue and the couriers of several gateways: nothing lost, nothing sent by two of them."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.core.audit.events import AuditSink, Beside, Event, Origin
from gateway.core.notices.events import REPORTS, Notice
from gateway.core.notices.queue import (
    CLAIMED_FOR,
    DAY,
    GIVEN_UP_AFTER,
    LIMITS,
    Letter,
    NoticeQueue,
)
from gateway.core.notices.text import text
from gateway.core.store import Put, Store, StoreStep, StoreUnavailable
from gateway.notify import mail as smtp
from gateway.notify.courier import Channel, Courier, Undeliverable, Undelivered
from gateway.notify.mail import Mail
from gateway.notify.webhook import Webhook
from gateway.stores.sqlite.store import SqliteStore
from tests.notify.conftest import StartMail
from tests.notify.test_webhook import Receiver, receiver
from tests.support.clock import Clock

__all__ = ["receiver"]

ORIGIN = Origin("192.0.2.7", "curl/8")


class Box:
    """A channel that fails as told and keeps what it was given."""

    def __init__(self, name: str = "mail", *fails: Exception) -> None:
        self.name = name
        self.fails = list(fails)
        self.got: list[Letter] = []

    async def deliver(self, letter: Letter) -> None:
        await asyncio.sleep(0.001)
        if self.fails:
            raise self.fails.pop(0)
        self.got.append(letter)


def queue(store: Store, clock: Callable[[], float], *channels: str) -> NoticeQueue:
    return NoticeQueue(store, clock, secrets.token_bytes, channels=channels or ("mail",))


class Recorded:
    """An audit trail that keeps what it is told, or is away."""

    def __init__(self) -> None:
        self.entries: list[tuple[Event, str, str]] = []
        self.away = False

    async def record(
        self,
        event: Event,
        user: str,
        origin: Origin,
        *,
        factor: str = "",
        detail: str = "",
        project: str = "",
        also: Sequence[Beside] = (),
        first: Sequence[StoreStep] = (),
        then: Sequence[Put] = (),
        last: Sequence[StoreStep] = (),
    ) -> list[int] | None:
        if self.away:
            raise StoreUnavailable("away")
        self.entries.append((event, user, detail))
        return []


def courier(
    queue: NoticeQueue,
    channels: Sequence[Channel],
    audit: AuditSink | None = None,
    *,
    every: float = 10.0,
) -> Courier:
    return Courier(queue, channels, audit or Recorded(), every=every)


async def tell(queue: NoticeQueue, user: str = "alice") -> None:
    await queue.notify(Notice.NEW_DEVICE, user, ORIGIN, detail="curl")


async def test_each_channel_gets_each_notice_once(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock, "mail", "webhook")
    mail, hook = Box("mail"), Box("webhook")
    for user in ("alice", "bob"):
        clock.now += 1
        await tell(waiting, user)
    at_work = courier(waiting, [mail, hook])
    assert await at_work.work() == 4
    assert await at_work.work() == 0
    for box in (mail, hook):
        assert [letter.user for letter in box.got] == ["alice", "bob"]
        assert box.got[0].origin == ORIGIN and box.got[0].notice is Notice.NEW_DEVICE
        assert box.got[0].time == clock.now - 1


@pytest.mark.parametrize("notice", sorted(REPORTS))
async def test_an_administrator_gets_a_report_besides(
    store: SqliteStore, clock: Clock, notice: Notice
) -> None:
    made = NoticeQueue(
        store,
        clock,
        secrets.token_bytes,
        channels=("mail", "webhook"),
        reports_to="root@example.org",
    )
    await made.notify(notice, "alice", ORIGIN)
    await made.notify(Notice.GRANT_DENIED, "alice", ORIGIN)
    found = {
        channel: sorted((one.notice, one.address) for one in await made.due(channel))
        for channel in made.channels
    }
    denied = (Notice.GRANT_DENIED, "")
    assert found == {
        "mail": sorted([(notice, ""), (notice, "root@example.org"), denied]),
        "webhook": sorted([(notice, ""), denied]),
    }


async def test_of_several_couriers_one_delivers(store: SqliteStore, clock: Clock) -> None:
    box = Box()
    couriers = [courier(queue(store, clock), [box]) for _ in range(4)]
    for number in range(20):
        await tell(queue(store, clock), f"user{number}")
    for _ in range(2):
        await asyncio.gather(*(one.work() for one in couriers))
    assert sorted(letter.user for letter in box.got) == sorted(f"user{n}" for n in range(20))


async def test_retries_wait_longer_each_time(store: SqliteStore, clock: Clock) -> None:
    box = Box("mail", *[Undelivered("down")] * 12)
    waiting = queue(store, clock)
    at_work = courier(waiting, [box])
    await tell(waiting)
    start, tried = clock.now, []
    while not box.got:
        left = len(box.fails)
        await at_work.work()
        if len(box.fails) < left:
            tried.append(clock.now - start)
        clock.now += 5
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits[:9] == [15, 30, 60, 120, 240, 480, 960, 1920, 3600]
    assert set(waits[8:]) == {3600}
    assert box.got[0].tries == 12


async def test_one_that_cannot_be_delivered_holds_up_nobody(
    store: SqliteStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box("mail", Undeliverable("no address"), RuntimeError("secret words"))
    waiting = queue(store, clock)
    for user in ("alice", "bob", "carol"):
        clock.now += 1
        await tell(waiting, user)
    at_work = courier(waiting, [box])
    await at_work.work()
    assert [letter.user for letter in box.got] == ["carol"]
    clock.now += 15
    await at_work.work()
    assert [letter.user for letter in box.got] == ["carol", "bob"]
    assert "no address" in caplog.text and "secret" not in caplog.text


async def test_what_is_given_up_is_recorded(store: SqliteStore, clock: Clock) -> None:
    waiting, trail = queue(store, clock), Recorded()
    await tell(waiting, "alice")
    await courier(waiting, [Box("mail", Undeliverable("no address"))], trail).work()
    assert trail.entries == [
        (Event.NOTICE_GIVEN_UP, "alice", "new_device by mail: no address"),
    ]
    assert await store.items("notice", "mail") == []


async def test_it_is_given_up_after_days(store: SqliteStore, clock: Clock) -> None:
    waiting, trail = queue(store, clock), Recorded()
    box = Box("mail", *[Undelivered("down")] * 1000)
    at_work = courier(waiting, [box], trail)
    await tell(waiting)
    start = clock.now
    while not trail.entries:
        await at_work.work()
        clock.now += 600
    assert clock.now - start < GIVEN_UP_AFTER + 600
    assert trail.entries == [(Event.NOTICE_GIVEN_UP, "alice", "new_device by mail: down")]
    assert 1000 - len(box.fails) < 90, "once an hour at most"
    assert await store.items("notice", "mail") == []


async def test_one_that_outlived_its_time_with_no_gateway_gets_its_last_try(
    store: SqliteStore, clock: Clock
) -> None:
    waiting, trail = queue(store, clock), Recorded()
    await tell(waiting)
    clock.now += GIVEN_UP_AFTER + 3600
    box = Box("mail", Undelivered("down"))
    await courier(waiting, [box], trail).work()
    assert [event for event, _, _ in trail.entries] == [Event.NOTICE_GIVEN_UP]


async def test_what_may_have_arrived_is_sent_again_a_few_times_only(
    store: SqliteStore, clock: Clock
) -> None:
    """A server that takes each mail and never says so would deliver it for three days."""
    waiting, trail = queue(store, clock), Recorded()
    box = Box("mail", *[Undelivered("cut off", unsure=True)] * 1000)
    at_work = courier(waiting, [box], trail)
    await tell(waiting)
    while not trail.entries:
        await at_work.work()
        clock.now += 600
    assert 1000 - len(box.fails) == 3
    assert trail.entries[0][2] == "new_device by mail: cut off, perhaps delivered"


async def test_a_delivery_that_cannot_be_noted_is_not_repeated(
    store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, box = queue(store, clock), Box()
    at_work = courier(waiting, [box])
    await tell(waiting)

    async def away(*_: object, **__: object) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", away)
        with pytest.raises(StoreUnavailable):
            await at_work.work()
        clock.now += CLAIMED_FOR + 1
        with pytest.raises(StoreUnavailable):
            await at_work.work()
    assert await at_work.work() == 0
    assert len(box.got) == 1 and await store.items("notice", "mail") == []


async def test_a_give_up_that_cannot_be_recorded_waits(store: SqliteStore, clock: Clock) -> None:
    waiting, trail = queue(store, clock), Recorded()
    trail.away = True
    at_work = courier(waiting, [Box("mail", Undeliverable("no address"))], trail)
    await tell(waiting)
    with pytest.raises(StoreUnavailable):
        await at_work.work()
    trail.away = False
    assert await at_work.work() == 0
    assert len(trail.entries) == 1 and await store.items("notice", "mail") == []


async def test_a_slow_delivery_holds_up_nobody_and_stays_claimed(
    store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.notify.courier.CLAIMED_FOR", 0.03)
    waiting, gate = queue(store, clock), asyncio.Event()

    class Slow(Box):
        async def deliver(self, letter: Letter) -> None:
            if letter.user == "alice":
                await gate.wait()
            self.got.append(letter)

    box = Slow()
    running = asyncio.create_task(courier(waiting, [box], every=60).run())
    for user in ("alice", "bob", "carol"):
        await tell(waiting, user)
        await asyncio.sleep(0.05)
    for _ in range(3000):
        if len(box.got) == 2:
            break
        await asyncio.sleep(0.01)
    assert [letter.user for letter in box.got] == ["bob", "carol"]
    other = Box()
    for _ in range(4):
        clock.now += CLAIMED_FOR / 2
        await asyncio.sleep(0.05)
        assert await courier(waiting, [other]).work() == 0, "alice's is under way"
    gate.set()
    for _ in range(3000):
        if len(box.got) == 3:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    assert (len(box.got), other.got) == (3, [])


# -- how many ------------------------------------------------------------------------------


async def test_nobodys_mailbox_is_flooded(store: SqliteStore, clock: Clock) -> None:
    """With a stolen password, a wrong code every second for a day."""
    waiting, box = queue(store, clock), Box()
    for notice in LIMITS:
        for _ in range(DAY // 60):
            await waiting.notify(notice, "alice", ORIGIN)
            clock.now += 60
    await tell(waiting, "bob")
    await courier(waiting, [box]).work()
    for notice in LIMITS:
        mine = [letter for letter in box.got if letter.notice is notice]
        assert len(mine) == 4
        assert [letter.last for letter in mine] == [False, False, False, True]
        assert mine[1].time - mine[0].time >= 300
    assert box.got[-1].user == "bob"
    assert "No more are sent today" in text(mine[-1], "https://x")
    assert "No more are sent today" not in text(mine[0], "https://x")
    clock.now += DAY
    await waiting.notify(Notice.WRONG_FACTOR, "alice", ORIGIN)
    assert len(await waiting.due("mail")) == 1, "and the next day they go on"


async def test_a_hundred_wrong_codes_at_once_are_one_notice(
    store: SqliteStore, clock: Clock
) -> None:
    waiting = queue(store, clock)
    told = (waiting.notify(Notice.WRONG_FACTOR, "alice", ORIGIN) for _ in range(100))
    await asyncio.gather(*told)
    assert len(await waiting.due("mail")) == 1


async def test_changes_are_told_twenty_times_a_day(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock)
    for _ in range(50):
        await waiting.notify(Notice.FACTOR_ADDED, "alice", ORIGIN)
        clock.now += 1
    found = await waiting.due("mail")
    assert len(found) == 20 and found[-1].last and not found[-2].last


# -- claims --------------------------------------------------------------------------------


async def test_whoever_dies_with_a_claim_leaves_the_notice(
    store: SqliteStore, clock: Clock
) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (letter,) = await waiting.due("mail")
    assert await waiting.take(letter) is not None
    box = Box()
    assert await courier(waiting, [box]).work() == 0, "claimed by the one that died"
    clock.now += CLAIMED_FOR
    assert await courier(waiting, [box]).work() == 1


async def test_one_listed_before_its_delivery_is_not_delivered_again(
    store: SqliteStore, clock: Clock
) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (listed,) = await waiting.due("mail")
    await courier(waiting, [Box()]).work()
    clock.now += CLAIMED_FOR
    assert await waiting.take(listed) is None


async def test_one_listed_before_it_failed_waits_its_time(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (listed,) = await waiting.due("mail")
    await courier(waiting, [Box("mail", Undelivered("down"))]).work()
    assert await waiting.take(listed) is None


async def test_without_channels_nothing_is_queued(store: SqliteStore, clock: Clock) -> None:
    waiting = NoticeQueue(store, clock, secrets.token_bytes)
    await tell(waiting)
    assert await store.items("notice", "mail") == []
    await asyncio.wait_for(courier(waiting, []).run(), 60)


async def test_what_is_queued_leaves_at_once(store: SqliteStore, clock: Clock) -> None:
    """And queueing does not wait for it."""
    waiting, box = queue(store, clock), Box()
    running = asyncio.create_task(courier(waiting, [box], every=60).run())
    await asyncio.sleep(0.05)
    await tell(waiting)
    for _ in range(3000):
        if box.got:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    assert len(box.got) == 1


async def test_a_queue_outlives_its_process(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, secrets, signal, time\n"
        "from gateway.core.audit.events import Beside, Origin\n"
        "from gateway.core.notices.queue import NoticeQueue\n"
        "from gateway.core.notices.events import Notice\n"
        "from gateway.stores import open_store\n"
        "async def main():\n"
        f"    store = await open_store('sqlite:{tmp_path}/state.db', time.time)\n"
        "    queue = NoticeQueue(store, time.time, secrets.token_bytes, channels=('mail',))\n"
        "    await queue.notify(Notice.RESET, 'alice', Origin())\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=30)
    assert done.returncode == -9
    store = SqliteStore(tmp_path / "state.db", time.time)
    box = Box()
    assert await courier(queue(store, time.time), [box]).work() == 1
    assert box.got[0].notice is Notice.RESET
    await store.close()


async def test_servers_that_are_down_get_it_when_they_are_back(
    store: SqliteStore, clock: Clock, start_mail: StartMail, receiver: Receiver
) -> None:
    server = start_mail()
    server.stop()

    async def address_of(user: str) -> str | None:
        return f"{user}@example.org"

    where = smtp.MailServer("127.0.0.1", server.port, context=server.certificate.trusted)
    index = "https://packages.example.org"
    channels: list[Channel] = [
        Mail(where, "gateway@example.org", address_of, index),
        Webhook(receiver.url, lambda: "key", index, clock),
    ]
    receiver.status = 503
    waiting = queue(store, clock, "mail", "webhook")
    at_work = courier(waiting, channels)
    await tell(waiting)
    assert await at_work.work() == 0
    clock.now += 15
    receiver.status = 200
    server.start()
    assert await at_work.work() == 2
    (got,) = server.got
    ids = {headers["Index-Gateway-Id"] for headers, _ in receiver.got}
    assert len(receiver.got) == 2 and len(ids) == 1
    assert ids == {got["Message-ID"].strip("<>").partition("@")[0]}


async def test_a_mail_server_that_takes_mails_and_goes(
    store: SqliteStore, clock: Clock, start_mail: StartMail
) -> None:
    """At most three copies, with one id, and word of it in the trail."""
    server, waiting, trail = start_mail("drop-after-data"), queue(store, clock), Recorded()

    async def address_of(user: str) -> str | None:
        return f"{user}@example.org"

    where = smtp.MailServer("127.0.0.1", server.port, context=server.certificate.trusted)
    at_work = courier(waiting, [Mail(where, "gateway@example.org", address_of, "https://x")], trail)
    await tell(waiting)
    for _ in range(8):
        await at_work.work()
        clock.now += 3600
    assert len(server.got) == 3 and len({got["Message-ID"] for got in server.got}) == 1
    assert trail.entries[0][2].endswith("perhaps delivered")

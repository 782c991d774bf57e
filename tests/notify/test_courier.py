"""The queue and the couriers of several gateways: nothing lost, nothing sent by two of them."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.core.audit import Origin
from gateway.core.notice_queue import CLAIMED_FOR, GIVEN_UP_AFTER, Letter, NoticeQueue
from gateway.core.notices import Notice
from gateway.core.store import Store
from gateway.notify.courier import Channel, Courier, Undeliverable, Undelivered
from gateway.notify.mail import Mail, MailServer
from gateway.notify.webhook import Webhook
from gateway.stores.sqlite import SqliteStore
from tests.notify.conftest import Certificate, Clock, MailSink
from tests.notify.test_webhook import Receiver, receiver

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


async def tell(queue: NoticeQueue, user: str = "alice") -> None:
    await queue.notify(Notice.NEW_DEVICE, user, ORIGIN, detail="curl")


async def test_each_channel_gets_each_notice_once(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock, "mail", "webhook")
    mail, hook = Box("mail"), Box("webhook")
    for user in ("alice", "bob"):
        clock.now += 1
        await tell(waiting, user)
    courier = Courier(waiting, [mail, hook])
    assert await courier.work() == 4
    assert await courier.work() == 0
    for box in (mail, hook):
        assert [letter.user for letter in box.got] == ["alice", "bob"]
        assert box.got[0].origin == ORIGIN and box.got[0].notice is Notice.NEW_DEVICE
        assert box.got[0].time == clock.now - 1


async def test_of_several_couriers_one_delivers(store: SqliteStore, clock: Clock) -> None:
    box = Box()
    couriers = [Courier(queue(store, clock), [box]) for _ in range(4)]
    for number in range(20):
        await tell(queue(store, clock), f"user{number}")
    for _ in range(2):
        await asyncio.gather(*(courier.work() for courier in couriers))
    assert sorted(letter.user for letter in box.got) == sorted(f"user{n}" for n in range(20))


async def test_retries_wait_longer_each_time(store: SqliteStore, clock: Clock) -> None:
    box = Box("mail", *[Undelivered("down")] * 12)
    waiting = queue(store, clock)
    courier = Courier(waiting, [box])
    await tell(waiting)
    start, tried = clock.now, []
    while not box.got:
        left = len(box.fails)
        await courier.work()
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
    courier = Courier(waiting, [box])
    await courier.work()
    assert [letter.user for letter in box.got] == ["carol"]
    clock.now += 15
    await courier.work()
    assert [letter.user for letter in box.got] == ["carol", "bob"]
    assert "no address" in caplog.text and "secret" not in caplog.text


async def test_it_is_given_up_after_days(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    clock.now += GIVEN_UP_AFTER - 1
    assert len(await waiting.due("mail")) == 1
    clock.now += 1
    assert await waiting.due("mail") == []


async def test_whoever_dies_with_a_claim_leaves_the_notice(
    store: SqliteStore, clock: Clock
) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (letter,) = await waiting.due("mail")
    assert await waiting.take(letter) is not None
    box = Box()
    assert await Courier(waiting, [box]).work() == 0, "claimed by the one that died"
    clock.now += CLAIMED_FOR
    assert await Courier(waiting, [box]).work() == 1


async def test_one_listed_before_its_delivery_is_not_delivered_again(
    store: SqliteStore, clock: Clock
) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (listed,) = await waiting.due("mail")
    await Courier(waiting, [Box()]).work()
    clock.now += CLAIMED_FOR
    assert await waiting.take(listed) is None


async def test_one_listed_before_it_failed_waits_its_time(store: SqliteStore, clock: Clock) -> None:
    waiting = queue(store, clock)
    await tell(waiting)
    (listed,) = await waiting.due("mail")
    await Courier(waiting, [Box("mail", Undelivered("down"))]).work()
    assert await waiting.take(listed) is None


async def test_without_channels_nothing_is_queued(store: SqliteStore, clock: Clock) -> None:
    waiting = NoticeQueue(store, clock, secrets.token_bytes)
    await tell(waiting)
    assert await store.items("notice", "mail") == []
    await asyncio.wait_for(Courier(waiting, []).run(), 5)


async def test_what_is_queued_leaves_at_once(store: SqliteStore, clock: Clock) -> None:
    """And queueing does not wait for it."""
    waiting, box = queue(store, clock), Box()
    running = asyncio.create_task(Courier(waiting, [box], every=60).run())
    await asyncio.sleep(0.05)
    await tell(waiting)
    for _ in range(200):
        if box.got:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    assert len(box.got) == 1


async def test_a_queue_outlives_its_process(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, secrets, signal, time\n"
        "from gateway.core.audit import Origin\n"
        "from gateway.core.notice_queue import NoticeQueue\n"
        "from gateway.core.notices import Notice\n"
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
    assert await Courier(queue(store, time.time), [box]).work() == 1
    assert box.got[0].notice is Notice.RESET
    await store.close()


async def test_servers_that_are_down_get_it_when_they_are_back(
    store: SqliteStore, clock: Clock, certificate: Certificate, receiver: Receiver
) -> None:
    sink = MailSink(certificate)
    async with sink.running():
        pass  # so that it has a port, and nobody listens there

    async def address_of(user: str) -> str | None:
        return f"{user}@example.org"

    server = MailServer("127.0.0.1", sink.port, context=certificate.client)
    index = "https://packages.example.org"
    channels: list[Channel] = [
        Mail(server, "gateway@example.org", address_of, index),
        Webhook(receiver.url, lambda: "key", index, clock),
    ]
    receiver.status = 503
    waiting = queue(store, clock, "mail", "webhook")
    courier = Courier(waiting, channels)
    await tell(waiting)
    assert await courier.work() == 0
    clock.now += 15
    receiver.status = 200
    async with sink.running():
        assert await courier.work() == 2
    assert len(sink.got) == 1
    ids = {headers["Index-Gateway-Id"] for headers, _ in receiver.got}
    assert len(receiver.got) == 2 and len(ids) == 1
    assert ids == {sink.got[0]["Message-ID"].strip("<>").partition("@")[0]}

"""Tokens for command lines by a word in the browser: what waits, who may say yes, what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.grants import LIFE, Granted, Granting
from gateway.core.login.models import Session
from gateway.core.notices.events import Notice
from gateway.core.upstream import Action
from tests.core.world import Person, World, caller, make_world

HERE = caller("192.0.2.99", "index-gateway (Linux)")
READ = (Action.READ,)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = make_world(tmp_path)
    yield made
    await made.store.close()


async def logged_in(world: World) -> Session:
    alice = Person("alice")
    passed = await world.enrol(alice)
    world.ledger.events.clear()
    world.ledger.details.clear()
    world.ledger.notices.clear()
    return await world.session(passed.session_cookie)


async def refused(work: object) -> Slug:
    with pytest.raises(Refusal) as caught:
        await work  # type: ignore[misc]
    return caught.value.slug


async def test_the_number_gives_a_token_once(world: World) -> None:
    session, granting = await logged_in(world), world.flow.granting
    asked = await granting.ask((Action.UPLOAD, Action.READ), 7200, HERE)
    assert await granting.fetch(asked.secret) is None
    waiting = await granting.waiting(asked.id)
    assert waiting is not None
    assert (waiting.address, waiting.state) == ("192.0.2.99", "waiting")
    await granting.answer(session, asked.id, asked.number, caller(), by_service=False)
    told = await asyncio.gather(
        *(granting.fetch(asked.secret) for _ in range(5)), return_exceptions=True
    )
    (granted,) = [one for one in told if isinstance(one, Granted)]
    assert (granted.user, granted.expires) == ("alice", world.clock() + 7200)
    tokens = world.flow.services.tokens
    bearer = await tokens.verify(granted.text, HERE.origin)
    assert bearer.token.scope.texts()["actions"] == ["upload", "read"]
    assert tokens.credential(bearer) == session.upstream
    assert world.ledger.names() == [Event.COMMAND_LINE_APPROVED, Event.TOKEN_MADE]
    assert world.ledger.notices == [(Notice.TOKEN_MADE, "alice")]
    assert await refused(granting.fetch(asked.secret)) is Slug.APPROVAL_GONE
    waiting = await granting.waiting(asked.id)
    assert waiting is not None and waiting.state == "approved"  # as the page goes on to say


async def test_another_number_denies(world: World) -> None:
    session, granting = await logged_in(world), world.flow.granting
    for number in ("", "00"):
        asked = await granting.ask(READ, 60, HERE)
        answer = granting.answer(session, asked.id, number, caller(), by_service=False)
        assert await refused(answer) is Slug.GRANT_DENIED
        again = granting.answer(session, asked.id, asked.number, caller(), by_service=False)
        assert await refused(again) is Slug.APPROVAL_GONE
        assert await refused(granting.fetch(asked.secret)) is Slug.GRANT_DENIED
    assert world.ledger.names() == [Event.COMMAND_LINE_DENIED] * 2
    assert world.ledger.notices == [(Notice.GRANT_DENIED, "alice")] * 2


@pytest.mark.parametrize("by_passkey", [False, True], ids=["by password", "by passkey alone"])
async def test_it_is_denied_and_reported(world: World, by_passkey: bool) -> None:
    session, granting = await logged_in(world), world.flow.granting
    if by_passkey:
        session = replace(session, upstream=None)
    asked = await granting.ask((Action.UPLOAD, Action.READ), 60, HERE)
    answer = granting.answer(session, asked.id, "", caller(), by_service=False, report=True)
    assert await refused(answer) is Slug.GRANT_REPORTED
    assert await refused(granting.fetch(asked.secret)) is Slug.GRANT_DENIED
    assert world.ledger.names() == [Event.COMMAND_LINE_REPORTED]
    said = "a token to upload and read, index-gateway command on Linux from 192.0.2.99"
    assert world.ledger.details == [said]
    assert world.ledger.notices == [(Notice.GRANT_REPORTED, "alice")]


async def test_what_fetches_nothing(world: World) -> None:
    session, granting = await logged_in(world), world.flow.granting
    asked = await granting.ask(READ, 60, HERE)
    await granting.answer(session, asked.id, asked.number, caller(), by_service=False)
    for secret in ("", ".", asked.id, f"{asked.id}.", f"{asked.id}.x", "x" * 500, "é.x", "x.é"):
        assert await refused(granting.fetch(secret)) is Slug.APPROVAL_GONE, secret
    world.clock.turn(LIFE + 1)
    assert await refused(granting.fetch(asked.secret)) is Slug.APPROVAL_GONE


async def test_who_may_say_yes(world: World) -> None:
    session, granting = await logged_in(world), world.flow.granting
    asked = await granting.ask(READ, 60, HERE)

    def answer(who: Session, *, by_service: bool = False) -> object:
        return granting.answer(who, asked.id, asked.number, caller(), by_service=by_service)

    old = replace(session, proved_at=session.proved_at - 121)
    assert await refused(answer(old)) is Slug.STEP_UP_REQUIRED
    assert await refused(answer(replace(session, factor=""))) is Slug.APPROVAL_GONE
    assert await refused(answer(replace(session, upstream=None))) is Slug.LOGIN_BY_PASSWORD
    assert await granting.fetch(asked.secret) is None  # it waits on
    await granting.answer(
        replace(session, upstream=None), asked.id, asked.number, caller(), by_service=True
    )
    granted = await granting.fetch(asked.secret)
    assert granted is not None
    tokens = world.flow.services.tokens
    assert tokens.credential(await tokens.verify(granted.text, HERE.origin)) is None


async def test_nobody_fills_the_store(world: World) -> None:
    granting = Granting(world.flow.services)
    for _ in range(30):
        await granting.ask(READ, 60, HERE)
    assert await refused(granting.ask(READ, 60, HERE)) is Slug.THROTTLED
    await granting.ask(READ, 60, caller("198.51.100.7"))
    world.clock.turn(2 * LIFE)
    await granting.ask(READ, 60, HERE)


async def test_it_ends_with_the_password_and_with_all_others(world: World) -> None:
    session, granting = await logged_in(world), world.flow.granting
    tokens = world.flow.services.tokens
    for end in (
        lambda: tokens.password_changed("alice", HERE.origin),
        lambda: world.flow.manage.end_others(session, caller()),
    ):
        asked = await granting.ask(READ, 3600, HERE)
        await granting.answer(session, asked.id, asked.number, caller(), by_service=False)
        granted = await granting.fetch(asked.secret)
        assert granted is not None
        await tokens.verify(granted.text, HERE.origin)
        await end()
        assert await refused(tokens.verify(granted.text, HERE.origin)) is Slug.TOKEN_REVOKED

"""Guarded changes whose answer matters: a password that changes ends what the old one earned,
and a mail address that changes is told so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.http.facts import Facts, Field
from gateway.core.login.models import Caller, caller_of
from gateway.core.store import StoreUnavailable
from gateway.core.upstream import Call, Issued
from gateway.core.urls import base_of
from gateway.gate.context import GateContext, GuardedWork
from gateway.gate.held_answers import Holding
from gateway.gate.index_tokens import IndexTokenEvidence
from gateway.gate.replies import passed_on
from gateway.proxy.ports import Answer
from gateway.upstreams.client import passing

_log = logging.getLogger("gateway.changes")

# Seconds between the tries to record a change the upstream has already made.
_RETRIES: Final = (0.1, 0.5, 2.0)


class Changes:
    """Carries out changes that passed the guard."""

    def __init__(self, parts: GateContext, holding: Holding) -> None:
        self._parts: Final = parts
        self._holding: Final = holding
        self._index_tokens: Final = IndexTokenEvidence(parts)

    async def answer(self, facts: Facts, work: GuardedWork, body: bytes) -> Answer:
        parts = self._parts
        base = base_of(parts.public_url) if parts.upstream.cuts_base else ""
        call = Call(facts.method, base + facts.target, self._fields(facts, work), body)
        caller = caller_of(facts, work.rule)
        mailbox = await parts.mailboxes.before(work.user) if work.user else None
        reply = await parts.calls.ask(call)
        changed, fresh = parts.upstream.fresh_credential(facts, reply)
        if changed:
            await self._changed(work, fresh, caller)
        if self._index_tokens.makes_one(facts):
            await self._index_tokens.made(reply, work.proof)
        if mailbox is not None and reply.status < 300:
            await insist(
                lambda: parts.mailboxes.after(work.user, mailbox, caller),
                f"the mail address of {work.user!r} changed, but nobody could be told",
            )
        answer = passed_on(reply, parts.treatment_of(work.rule))
        if any(self._holding.concerns(value) for value in reply.all("set-cookie")):
            return await self._holding.hold(facts, answer.fields) or answer
        return answer

    def _fields(self, facts: Facts, work: GuardedWork) -> tuple[Field, ...]:
        """As the forwarder would send them; only the answer must not come compressed."""
        added = (*work.add, *self._parts.own_fields(facts))
        taken = frozenset(name.lower() for name, _ in added) | {"accept-encoding"}
        kept = []
        for name, value in passing(facts, without=taken):
            replaced = work.replace.get(name, value)
            if replaced is not None:
                kept.append((name, replaced))
        return (*kept, *added)

    async def _changed(self, work: GuardedWork, fresh: Issued | None, caller: Caller) -> None:
        """The upstream has acted, so this is tried again where the store fails.

        Raises:
            StoreUnavailable: what the old password earned could not be ended.
        """
        await insist(
            lambda: self._parts.flow.at_once.password_changed(work.user, fresh, work.proof, caller),
            f"the password of {work.user!r} changed, but its sessions could not be ended",
        )
        self._parts.ended.forget()
        self._parts.readers.forget(work.user)


async def insist(work: Callable[[], Awaitable[None]], otherwise: str) -> None:
    """Raises StoreUnavailable in the end, with `otherwise` in the log."""
    for pause in (*_RETRIES, None):
        try:
            await work()
        except StoreUnavailable:
            if pause is None:
                _log.critical(otherwise)
                raise
            await asyncio.sleep(pause)
        else:
            return

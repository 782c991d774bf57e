"""Uploads that pass by a rule of policy `token` that is not enforced: which of them it would have
refused is found once the index has taken them, so that nothing waits for it and nobody is counted
under a name that is not theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextvars import Context
from typing import TYPE_CHECKING, Final

from gateway.core.counters import Counted
from gateway.core.http.facts import Facts
from gateway.core.login.models import caller_of
from gateway.core.rules.rules import Rule
from gateway.core.store import StoreUnavailable
from gateway.core.tasks import cancelled
from gateway.core.tokens.raw_uploads import RawUpload, RawUploadLedger, day_of
from gateway.gate.context import GateContext
from gateway.gate.policies import Guard
from gateway.gate.transfers import noting
from gateway.proxy.ports import Plan

if TYPE_CHECKING:
    from collections.abc import Coroutine

_log = logging.getLogger("gateway.raw_uploads")

SOON: Final = 1.0
"""Seconds for which counts are gathered before they are written."""
_LATER: Final = 15.0  # where the store is away
_MOST: Final = 1000  # people and indexes
_UPLOADS: Final = frozenset({"", "file_upload", "doc_upload"})


class RawUploads:
    """One for a process."""

    def __init__(self, parts: GateContext, guard: Guard) -> None:
        self._parts: Final = parts
        self._guard: Final = guard
        self._ledger: Final = RawUploadLedger(parts.flow.services.store, parts.audit, parts.clock)
        self._seen: dict[tuple[str, str, int], RawUpload] = {}
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._writing: asyncio.Task[None] | None = None

    def watched(
        self, plan: Plan | Awaitable[Plan], facts: Facts, rule: Rule, action: str
    ) -> Plan | Awaitable[Plan]:
        """The same plan, looked at once it is carried out. action: of its form, "" for none."""
        if facts.safe or action not in _UPLOADS:
            return plan
        return noting(plan, UploadWatch(self, facts, rule))

    def taken(self, facts: Facts, rule: Rule) -> None:
        """The index has taken it."""
        task = asyncio.get_running_loop().create_task(self._quietly(self._judged(facts, rule)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=2)
        if self._writing is not None:
            await cancelled([self._writing])
        await self._quietly(self._write())

    async def _judged(self, facts: Facts, rule: Rule) -> None:
        found = await self._guard.refused_as_token(facts, rule)
        if found is None:
            return
        self._parts.counters.counted(Counted.UPLOADS_BY_PASSWORD)
        now, origin = self._parts.clock(), caller_of(facts, rule).origin
        self._note(
            RawUpload(
                user=found.user,
                index=self._parts.upstream.act(facts).index or "",
                day=day_of(now),
                count=1,
                first=now,
                last=now,
                address=origin.address,
                client=origin.user_agent[:200],
                rule=rule.name,
                carried=found.carried,
                slug=str(found.slug),
            )
        )

    def _note(self, seen: RawUpload) -> None:
        who = seen.user, seen.index, seen.day
        before = self._seen.get(who)
        if before is None and len(self._seen) >= _MOST:
            return
        self._seen[who] = before.plus(seen) if before else seen
        if self._writing is None or self._writing.done():
            work = self._write_soon()  # for others, too, so in no request's name
            self._writing = asyncio.get_running_loop().create_task(work, context=Context())

    async def _write_soon(self) -> None:
        wait = SOON
        while self._seen:
            await asyncio.sleep(wait)
            try:
                await self._write()
                wait = SOON
            except StoreUnavailable:
                wait = _LATER
            except Exception:
                _log.exception("uploads with a password could not be counted")
                return

    async def _write(self) -> None:
        while self._seen:
            who, seen = next(iter(self._seen.items()))
            del self._seen[who]
            try:
                await self._ledger.add(seen)
            except BaseException:
                later = self._seen.get(who)
                self._seen[who] = seen.plus(later) if later else seen
                raise

    async def _quietly(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except StoreUnavailable:
            pass  # it says so itself; an upload goes on without the store
        except Exception:
            _log.exception("an upload with a password could not be counted")


class UploadWatch:
    """A `gateway.proxy.ports.Watch` over one upload."""

    __slots__ = ("_facts", "_rule", "_uploads")

    def __init__(self, uploads: RawUploads, facts: Facts, rule: Rule) -> None:
        self._uploads = uploads
        self._facts = facts
        self._rule = rule

    def answered(self, status: int | None, length: int | None = None) -> None:
        if status is not None and 200 <= status < 300:
            self._uploads.taken(self._facts, self._rule)

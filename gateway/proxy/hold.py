"""An answer waits here until the gate has decided: one that hands out an upstream session, and one
that refuses what the gate put into the request.

Of sessions any answer counts, whatever route it came by: a password reset that logs in is a login
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from gateway.proxy.connection import Why
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.response import AnswerHead
from gateway.proxy.ports import Answer, Gate
from gateway.proxy.roles import Downstream
from gateway.proxy.upstream_pool import UpstreamConnection


def hands_out_session(gate: Gate, answer: AnswerHead) -> bool:
    return any(gate.sets_session(value.decode("latin-1")) for value in answer.cookies or ())


class HeldExchange(Protocol):
    """The exchange whose answer is held back."""

    client: Downstream
    head: RequestHead
    upstream: UpstreamConnection | None
    ended: bool

    def let_through(self, answer: AnswerHead, data: bytes) -> None: ...

    def replace(self, answer: Answer) -> None: ...

    def fail(self, exc: Exception) -> None: ...


class Hold:
    """Holds an answer back; then it passes, or another is sent instead.

    Args:
        data: the answer's bytes so far, its head included.
        doubted: waited for first; a Refusal out of it is sent instead.
        hands_out: whether the gate is asked (`Gate.hold`).
    """

    __slots__ = ("_answer", "_data", "_exchange", "_task")

    def __init__(
        self,
        exchange: HeldExchange,
        answer: AnswerHead,
        data: bytes,
        doubted: Awaitable[None] | None,
        *,
        hands_out: bool,
    ) -> None:
        self._exchange = exchange
        self._answer = answer
        self._data = data
        if exchange.upstream is not None:
            exchange.upstream.stop_reading(Why.DECIDING)
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            self._wait(doubted, hands_out=hands_out)
        )

    async def _wait(self, doubted: Awaitable[None] | None, *, hands_out: bool) -> None:
        exchange, instead = self._exchange, None
        try:
            if doubted is not None:
                await doubted
            if hands_out:
                client, answer = exchange.client, self._answer
                facts = client.facts(exchange.head)
                instead = await client.shared.gate.hold(facts, answer.status, answer.fields)
        except Exception as exc:
            self._task = None
            exchange.fail(exc)
            return
        self._task = None
        if exchange.ended:
            return
        if instead is None:
            exchange.let_through(self._answer, self._data)
        else:
            exchange.replace(instead)

    def more(self, data: bytes) -> None:
        """What came behind, where the upstream's connection broke meanwhile."""
        self._data += data

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

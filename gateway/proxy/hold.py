"""An answer that hands out an upstream session waits here until the gate has decided.

Any answer counts, whatever route it came by: a password reset that logs in is a login too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.proxy.connection import Why
from gateway.proxy.http1.response import AnswerHead
from gateway.proxy.ports import Answer, Gate

if TYPE_CHECKING:
    from gateway.proxy.relay import Relay


def hands_out_session(gate: Gate, answer: AnswerHead) -> bool:
    return any(gate.sets_session(value.decode("latin-1")) for value in answer.cookies or ())


class Hold:
    """Holds an answer back; then it passes, or another is sent instead.

    Args:
        data: the answer's bytes so far, its head included.

    Raises:
        Refusal: the request cannot be told to the gate.
    """

    __slots__ = ("_answer", "_data", "_relay", "_task")

    def __init__(self, relay: Relay, answer: AnswerHead, data: bytes) -> None:
        client = relay.client
        self._relay = relay
        self._answer = answer
        self._data = data
        held = client.forwarder.gate.hold(client.facts(relay.head), answer.status, answer.fields)
        if relay.upstream is not None:
            relay.upstream.stop_reading(Why.DECIDING)
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            self._wait(held)
        )

    async def _wait(self, held: Awaitable[Answer | None]) -> None:
        relay = self._relay
        try:
            instead = await held
        except Exception as exc:
            self._task = None
            relay.fail(exc)
            return
        self._task = None
        if relay.ended:
            return
        if instead is None:
            relay.let_through(self._answer, self._data)
        else:
            relay.replace(instead)

    def more(self, data: bytes) -> None:
        """What came behind, where the upstream's connection broke meanwhile."""
        self._data += data

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

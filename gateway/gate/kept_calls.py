"""Harmless calls to the upstream, over the connections that the forwarder keeps for them."""

from __future__ import annotations

from typing import Final

from gateway.core.http.facts import Field
from gateway.core.http.request_id import sent_with
from gateway.core.upstream import Call, UpstreamResponse
from gateway.proxy.questions import Questions


class KeptCalls:
    """Carries what may be sent twice (`gateway.core.upstream.Asking`)."""

    def __init__(self, questions: Questions) -> None:
        self._questions: Final = questions

    async def ask(self, call: Call, fields: tuple[Field, ...] = ()) -> UpstreamResponse:
        """See `Asking`."""
        named = {name.lower() for name, _ in call.fields}
        every = (*call.fields, *(one for one in fields if one[0].lower() not in named))
        own = sent_with()
        replaced = {name.lower() for name, _ in own}
        every = (*(one for one in every if one[0].lower() not in replaced), *own)
        return UpstreamResponse(
            *await self._questions.ask(call.method, call.target, every, call.body)
        )

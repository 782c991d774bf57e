"""From a judged head to the stage that deals with the request: the gate is asked, its plan begun.

The order of questions is that of `ports.py`.
"""

from __future__ import annotations

from gateway.core.errors import Slug
from gateway.proxy.handover import Handed
from gateway.proxy.http1.body import BadChunk, Body, ChunkDecoder, SizedBody
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.request_fields import CREDENTIAL
from gateway.proxy.http1.route import Route
from gateway.proxy.inspection import Inspection
from gateway.proxy.ports import Answer, Forward, HandOver, Inspect, Plan
from gateway.proxy.roles import Downstream
from gateway.proxy.stages import Planning
from gateway.proxy.watched import exchange_for


def plan(client: Downstream, head: RequestHead, rest: bytes) -> None:
    """Ask the gate what to do with a request.

    Args:
        rest: what has come behind the head.
    """
    try:
        facts = client.facts(head)
        decided = client.shared.gate.plan(facts)
        if isinstance(decided, Forward) and head.said.personal == CREDENTIAL:
            client.passed(head, facts, decided)
    except Exception as exc:
        client.fail(exc, head, unread=_unread(client, head, rest))
        return
    if isinstance(decided, Forward | Answer | HandOver | Inspect):
        carry_out(client, decided, head, rest)
    else:
        client.stage = Planning(client, decided, head, rest, carry_out)


def carry_out(client: Downstream, decided: Plan, head: RequestHead, rest: bytes) -> None:
    """Do what the gate decided."""
    try:
        if isinstance(decided, Forward):
            forward(client, head, client.shared.route(decided), rest)
        elif isinstance(decided, Answer):
            client.answer(decided, head, unread=_unread(client, head, rest))
        elif isinstance(decided, HandOver):
            body, rest = _body(client, head, rest)
            client.stage = handed = Handed(client, head, decided)
            handed.start(rest, body)
        else:
            body, rest = _body(client, head, rest)
            client.stage = inspection = Inspection(client, head, decided.inspector)
            inspection.start(rest, body)
    except Exception as exc:
        client.fail(exc, head, unread=True)


def forward(client: Downstream, head: RequestHead, route: Route, rest: bytes) -> None:
    """Begin an exchange with the upstream."""
    if client.unknown or client.shared.trusted:
        try:
            client.client_of(head)
        except Exception as exc:  # out of the gate
            client.fail(exc, head, unread=_unread(client, head, rest))
            return
    body, rest = _body(client, head, rest)
    first = b""
    if body is None:
        if rest:
            client.keep(rest)
    elif rest:
        try:
            first = b"".join(body.feed(rest)[0])
        except BadChunk as exc:
            client.refuse(Slug.BAD_REQUEST, head, unread=True, why=str(exc))
            return
        if body.done:
            client.keep(body.rest)
            body = None
    client.stage = exchange = exchange_for(client, head, route)
    exchange.start(first, body)


def _body(client: Downstream, head: RequestHead, rest: bytes) -> tuple[Body | None, bytes]:
    """A reader for the body of that request, None where there is none, and what of `rest` it may
    read now."""
    if head.said.length is None:
        return ChunkDecoder(), client.in_turns(rest)
    return (SizedBody(head.said.length) if head.said.length else None), rest


def _unread(client: Downstream, head: RequestHead, rest: bytes) -> bool:
    """Whether some of that request is still to come; keeps what belongs to the next."""
    if head.said.length is None or len(rest) < head.said.length:
        return True
    client.keep(rest[head.said.length :])
    return False

"""What kinds of page there are: who may ask, and what a handler is given.

A route says it in its type, so no handler can forget to check: `Open` for anybody,
`ForPending` for a login whose second factor is missing, `ForSession` for a live session.
Form tokens hold to the cookie that goes with the kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.core.login.flow import Pending, Session, Step
from gateway.web.context import Ask, Kit
from gateway.web.responses import Reply

Handler: TypeAlias = Callable[[Kit, Ask], Awaitable[Reply]]
PendingHandler: TypeAlias = Callable[[Kit, Ask, Pending], Awaitable[Reply]]
SessionHandler: TypeAlias = Callable[[Kit, Ask, Session], Awaitable[Reply]]

SEEN: Final = frozenset({"GET", "HEAD"})
SENT: Final = frozenset({"POST"})


@dataclass(frozen=True, slots=True)
class Open:
    """A page for anybody."""

    get: Handler | None = None
    post: Handler | None = None


@dataclass(frozen=True, slots=True)
class ForPending:
    """A page within a login. step: the only step it is for; None for any."""

    step: Step | None
    get: PendingHandler | None = None
    post: PendingHandler | None = None


@dataclass(frozen=True, slots=True)
class ForSession:
    """A page of a person who is logged in.

    fresh: the methods that take a recent second factor.
    nobody: what answers where nobody is logged in; None leads to the login.
    """

    get: SessionHandler | None = None
    post: SessionHandler | None = None
    fresh: frozenset[str] = frozenset()
    nobody: Handler | None = None


Route: TypeAlias = Open | ForPending | ForSession


def allowed(route: Route) -> str:
    """The Allow header of a route (RFC 9110 section 10.2.1)."""
    return ", ".join((["GET", "HEAD"] if route.get else []) + (["POST"] if route.post else []))

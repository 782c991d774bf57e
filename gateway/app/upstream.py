"""How the index server of a configuration is asked; the gateway and its commands use it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.upstreams import FormOptions
from gateway.upstreams.client import MAX_ANSWER, Address, Calls

if TYPE_CHECKING:
    from gateway.settings import Settings


def calls_to(settings: Settings, *, longest: int = MAX_ANSWER) -> Calls:
    """Calls to the upstream. longest: bytes of an answer that are read."""
    where = settings.upstream.url
    address = Address("http://localhost", where.unix) if where.unix else Address(str(where))
    limits = settings.limits
    return Calls(address, connect=limits.connect, answer=limits.answer, longest=longest)


def form_of(settings: Settings) -> FormOptions:
    """How the login of a `form` upstream looks; the other kinds need no telling."""
    wanted = settings.upstream.form
    return FormOptions() if wanted is None else FormOptions(**asdict(wanted))

"""What the pages are given and what they ask of the parts they must not know.

The pages know the login flow (`gateway.core.login.flow`); they know no upstream and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit.entry import Entry
from gateway.core.http.facts import Facts
from gateway.core.login.flow import Held
from gateway.core.urls import base_of


class PasswordChecker(Protocol):
    """Asks the upstream whether a password is right: only the upstream ever judges it."""

    async def check(self, user: str, password: str, facts: Facts) -> Held | None:
        """What the login earned, or None when the upstream refuses name or password.

        `Held.goto` is left to the pages, and so is the throttle (`Flow.admit` before this,
        `Flow.refused` after a None).

        Raises:
            Refusal: `upstream_unreachable`, `upstream_timeout`, `upstream_broken`.
        """
        ...


class Activity(Protocol):
    """The audit trail, as far as people see their own (`gateway.core.audit.trail.Trail`)."""

    async def of_user(self, user_id: str, since: float) -> Sequence[Entry]:
        """A person's entries since a moment (seconds since the epoch), newest first."""
        ...


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """What the pages have to know of the configuration.

    issuer: how this index calls itself; stands in headings and in authenticator apps.
    public_url: the address people use, without a trailing slash. Its origin is the only one
        changes are taken from.
    documentation: the origin a login may lead back to beside that one, "" for none.
    """

    issuer: str
    public_url: str
    documentation: str = ""

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https:")

    @property
    def base(self) -> str:
        """The path in front of every address of ours, as browsers have it."""
        return base_of(self.public_url)

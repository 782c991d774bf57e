"""What callers of this package are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.core.tokens.caveats import Caveat, Use
from gateway.core.tokens.records import LastUse, Scope, Token
from gateway.core.upstream import Credential


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """What an administrator decides about tokens. Times in seconds.

    location: the host that tokens name as theirs. max_age: how long one may live.
    manage: whether one may be given the scope `manage`. most: live ones of one person.
    """

    location: str
    max_age: float = 365 * 86400.0
    manage: bool = False
    most: int = 100


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. text: shown once, kept nowhere."""

    token: Token
    text: str = field(repr=False)


class HeldToken(NamedTuple):
    """A token of the index's own, which an API token stands for. id: its name there."""

    credential: Credential
    id: str


class ScopedHolding(Protocol):
    """Makes such a token (`gateway.gate.scoped_tokens`)."""

    async def make(self, credential: Credential, scope: Scope, expires: float) -> HeldToken:
        """One that may do the same as the API token, in the name of whose credential it is.

        Raises:
            Refusal: `token_request`, `upstream_…`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A token and its last use."""

    token: Token
    use: LastUse


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token in a request: signed, live, and with conditions that can be read.

    secret: the part that opens what is sealed.
    """

    token: Token
    caveats: tuple[Caveat, ...] = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def by_project(self) -> bool:
        """Whether a condition asks which project it is about."""
        return any(caveat.by_project for caveat in self.caveats)

    def check(self, use: Use) -> None:
        """Whether the conditions allow a use.

        Raises:
            Refusal: `token_…` by the first that does not.
        """
        for caveat in self.caveats:
            caveat.check(use)

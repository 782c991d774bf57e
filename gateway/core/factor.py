"""The port to one kind of second factor. The kinds themselves are in `gateway.factors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.core.accounts import Account


class WrongAnswer(Exception):
    """The answer does not prove this factor: wrong, used before, or not meant for this."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer that fits.

    account: the account as it must be stored before the proof counts (a later TOTP step,
        one recovery code less, a higher sign count): storing it over the version that was
        read is what makes an answer work just once.
    name: what the person calls the device, "" where it has no name.
    alone: the answer also showed who the person is and a second thing about them (WebAuthn
        user verification), so no password need come before it.
    """

    account: Account
    name: str = ""
    alone: bool = False


class Factor(Protocol):
    """One kind of second factor: pure computation over an account."""

    kind: str
    guessable: bool
    """Whether tries must be counted per person because an answer could be guessed."""

    def has(self, account: Account) -> bool:
        """Whether the person can answer with this factor."""
        ...

    def fits(self, answer: str) -> bool:
        """Whether a text typed behind a password looks like an answer of this kind."""
        ...

    def ask(self, account: Account | None, challenge: bytes) -> str:
        """What the browser needs to know to answer (JSON), "" where a person just types.

        account: None where the answer is to say who the person is.
        """
        ...

    def check(self, account: Account, answer: str, *, challenge: bytes, now: float) -> Proof:
        """Judge an answer.

        Args:
            challenge: what `ask` was given, b"" where nothing was asked.
            now: seconds since the epoch.

        Raises:
            WrongAnswer
        """
        ...

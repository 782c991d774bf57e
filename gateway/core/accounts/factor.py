"""The port to one kind of second factor. The kinds themselves are in `gateway.factors`."""

from __future__ import annotations

from dataclasses import field
from typing import Protocol, runtime_checkable

from gateway.core.accounts.records import Account, Device
from gateway.core.clock import Random
from gateway.core.values import dataclass


class WrongAnswer(Exception):
    """The answer does not prove this factor: wrong, used before, or not meant for this."""


class ClockOff(WrongAnswer):
    """A code right for another time.

    Args:
        offset: seconds the device's clock is ahead of ours; negative when it is behind.
    """

    def __init__(self, offset: float) -> None:
        super().__init__("clock")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer that fits.

    account: the account as it must be stored before the proof counts (a later TOTP step,
        one recovery code less, a higher sign count): storing it over the version that was
        read is what makes an answer work just once.
    name: what the person calls the device, "" where it has no name.
    alone: the answer also showed who the person is and a second thing about them (WebAuthn
        user verification with a passkey), so no password need come before it.
    """

    account: Account
    name: str = ""
    alone: bool = False


class Factor(Protocol):
    """One kind of second factor: pure computation over an account."""

    kind: str
    guessable: bool
    """Whether tries must be counted per person because an answer could be guessed."""
    asks: bool
    """Whether an answer is to a challenge of ours."""

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

    def whose(self, answer: str) -> str:
        """The user handle inside an answer, "" where there is none (or none can be read)."""
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


@dataclass(frozen=True, slots=True)
class Offer:
    """A factor on offer. state: what `confirm` needs again; secret, and kept sealed.
    shown: what the person or the browser is given."""

    state: str = field(repr=False)
    shown: str = field(repr=False)


@runtime_checkable
class Enrollable(Factor, Protocol):
    """A kind of which a person sets up devices one by one."""

    limit: int
    """How many devices one person may have."""

    def offer(self, account: Account, name: str, random: Random) -> Offer:
        """A new device for this person, still without effect."""
        ...

    def confirm(
        self, account: Account, name: str, state: str, answer: str, *, now: float, id: str
    ) -> Device:
        """The device, ready to be put into the account, if the answer shows it works.

        Raises:
            WrongAnswer, ClockOff
        """
        ...


@runtime_checkable
class Adoptable(Enrollable, Protocol):
    """A kind whose device can be handed out without an answer, by an administrator."""

    def adopt(self, account: Account, name: str, state: str, *, now: float, id: str) -> Device:
        """The device of an offer, ready to be put into the account."""
        ...


@runtime_checkable
class Sealing(Protocol):
    """A kind that keeps secrets sealed in the account."""

    def resealed(self, account: Account) -> Account:
        """The account with every secret under the active key; itself if they all are."""
        ...

    def opened(self, account: Account) -> int:
        """How many secrets there are, each opened to see that one of the keys fits.

        Raises:
            SealBroken: none does.
        """
        ...


@runtime_checkable
class Issuable(Factor, Protocol):
    """A kind that is handed out as a set of codes."""

    def issue(self, user_id: str, random: Random) -> tuple[str, ...]:
        """Fresh codes, as they are shown."""
        ...

    def digests(self, user_id: str, codes: tuple[str, ...]) -> tuple[str, ...]:
        """The form in which codes are stored."""
        ...

    def matches(self, user_id: str, code: str, digests: tuple[str, ...]) -> str | None:
        """The stored form that a typed code matches."""
        ...

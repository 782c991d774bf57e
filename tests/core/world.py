"""A gateway's domain over a real store, with people, phones and a clock that tests turn."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp

from gateway.core.audit.events import Beside, Event, Origin
from gateway.core.crypto.keyring import KeyRing, RootKeys
from gateway.core.errors import Refusal, Slug
from gateway.core.login.flow import Flow
from gateway.core.login.models import (
    Begun,
    Caller,
    FlowLimits,
    Held,
    Passed,
    Pending,
    Session,
    Step,
)
from gateway.core.login.services import assemble
from gateway.core.notices.events import Notice
from gateway.core.store import Put, Store, StoreStep
from gateway.core.upstream import Credential, Issued
from gateway.factors import make_factors
from gateway.stores.sqlite.store import open_sqlite

START = 1_800_000_000.0
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
KEYS = (("k1", bytes(range(32))),)


class Clock:
    """A clock that stands still until a test turns it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


class Ledger:
    """Audit trail and notices, kept in lists."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.events: list[tuple[Event, str, str]] = []
        self.details: list[str] = []
        self.notices: list[tuple[Notice, str]] = []
        self.links: list[str] = []

    async def record(
        self,
        event: Event,
        user: str,
        origin: Origin,
        *,
        factor: str = "",
        detail: str = "",
        project: str = "",
        also: Sequence[Beside] = (),
        first: Sequence[StoreStep] = (),
        then: Sequence[Put] = (),
        last: Sequence[StoreStep] = (),
    ) -> list[int] | None:
        done = await self.store.transact([*first, *then, *last]) if first or then or last else []
        if len(done) < len(first):
            return None
        self.events.append((event, user, factor))
        self.details.append(detail)
        for one in also:
            self.events.append((one.event, user, one.factor))
            self.details.append(one.about.detail)
        return done[len(first) + len(then) :]

    async def notify(
        self,
        notice: Notice,
        user: str,
        origin: Origin,
        *,
        detail: str = "",
        address: str = "",
        link: str = "",
    ) -> None:
        self.notices.append((notice, user))
        self.links += [link] if link else []

    def names(self) -> list[Event]:
        return [event for event, _, _ in self.events]


def caller(address: str | None = "192.0.2.10", agent: str = FIREFOX) -> Caller:
    """Somebody at an address, with a program."""
    origin = Origin(address=address or "", user_agent=agent)
    return Caller(ip_address(address) if address else None, origin)


def token_of(user: str, text: str = "") -> Issued:
    """A login token as an upstream would hand out, good for ten hours."""
    return Issued(Credential(user, f"token-{text or secrets.token_hex(4)}"), 36000.0)


def earned(user: str, goto: str = "") -> Held:
    """What a login at the upstream earned."""
    token = token_of(user)
    return Held((token,), (f"auth_tkt={token.credential.secret}; path=/",), goto, token.credential)


@dataclass
class Phone:
    """An authenticator app with one secret. skew: seconds its clock is ahead."""

    uri: str
    skew: float = 0.0

    def code(self, now: float) -> str:
        secret = parse_qs(urlsplit(self.uri).query)["secret"][0]
        return pyotp.TOTP(secret).at(int(now + self.skew))


@dataclass
class Person:
    """Somebody with a name, an address and what enrolment gave them."""

    name: str
    caller: Caller = field(default_factory=caller)
    phone: Phone | None = None
    codes: tuple[str, ...] = ()


class World:
    """One gateway's domain. `other` is a second gateway over the same store."""

    def __init__(self, store: Store, clock: Clock, limits: FlowLimits | None = None) -> None:
        self.store = store
        self.clock = clock
        self.ledger = Ledger(store)
        self.keys: RootKeys = KEYS
        self.ring = KeyRing(lambda: self.keys, secrets.token_bytes)
        self.limits = limits or FlowLimits(public_url="https://packages.example.org")
        self.flow = Flow(
            assemble(
                store=store,
                ring=self.ring,
                factors=make_factors(self.ring, self.limits),
                audit=self.ledger,
                notifier=self.ledger,
                clock=clock,
                random=secrets.token_bytes,
                limits=self.limits,
            )
        )

    def other(self, **changes: object) -> World:
        return World(self.store, self.clock, replace(self.limits, **changes))  # type: ignore[arg-type]

    async def pending(self, begun: Begun) -> Pending:
        found = await self.flow.entering.pending(begun.cookie)
        assert found is not None
        return found

    async def prove(
        self, cookie: str, kind: str, answer: str, caller: Caller, *, remember: bool = False
    ) -> Passed:
        """The second step of a login, as a page does it."""
        pending = await self.flow.entering.pending(cookie)
        if pending is None:
            raise Refusal(Slug.PENDING_EXPIRED)
        return await self.flow.entering.prove(pending, kind, answer, caller, remember=remember)

    async def step_up(self, cookie: str, kind: str, answer: str, caller: Caller) -> str:
        session = await self.flow.earned.session(cookie)
        if session is None:
            raise Refusal(Slug.PENDING_EXPIRED)
        return await self.flow.at_once.step_up(session, kind, answer, caller)

    async def session(self, cookie: str) -> Session:
        found = await self.flow.earned.session(cookie)
        assert found is not None
        return found

    def code(self, person: Person) -> str:
        """The next code of a person's phone; time goes on so that it is a fresh one."""
        assert person.phone is not None
        self.clock.turn(30)
        return person.phone.code(self.clock())

    async def enrol(self, person: Person, device: str = "phone", *, invitation: str = "") -> Passed:
        """A first login, with setting up a phone."""
        begun = await self.flow.entering.begin(
            person.name, earned(person.name), person.caller, invitation=invitation
        )
        assert begun.step is Step.ENROL
        who = await self.pending(begun)
        offer = await self.flow.enrolling.totp(who, device)
        person.phone = Phone(offer.uri)
        shown = await self.flow.enrolling.confirm_totp(who, self.code(person), person.caller)
        person.codes = shown.codes
        done = await self.flow.enrolling.finish(who, person.caller, saved=True)
        assert done.passed is not None
        return done.passed

    async def login(
        self, person: Person, *, remember: bool = False, caller: Caller | None = None
    ) -> Passed:
        """A login with password and code."""
        place = caller or person.caller
        begun = await self.flow.entering.begin(person.name, earned(person.name), place)
        assert begun.step is Step.VERIFY
        return await self.prove(begun.cookie, "totp", self.code(person), place, remember=remember)


def make_world(directory: Path, limits: FlowLimits | None = None) -> World:
    clock = Clock()
    return World(open_sqlite(f"sqlite:{directory / 'state.db'}", clock), clock, limits)


def wrong_code(person: Person, now: float) -> str:
    """Six digits that are none of the codes a phone shows around now."""
    assert person.phone is not None
    shown = {person.phone.code(now + 30 * away) for away in range(-3, 4)}
    return next(f"{n:06}" for n in range(10**6) if f"{n:06}" not in shown)


def options(text: str) -> dict[str, object]:
    found = json.loads(text)
    assert isinstance(found, dict)
    return found

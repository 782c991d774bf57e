"""What every handler is given, and the kinds of page: who may ask.

Handlers take a `Kit` and an `Ask` and return a `PageResponse`; the aiohttp request stays in
`pages.py`. A route says in its type who may ask, so no handler can forget to check: `Open` for
anybody, `ForPending` for a login whose second factor is missing, `ForSession` for a live session,
`ForAdmin` for one of an administrator.
Form tokens hold to the cookie that goes with the kind. Knows the services of logins; knows no
upstream and no store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qs, quote

from gateway.core.appearance import PLAIN, Appearance
from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock, Random
from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.http.facts import Facts, Field
from gateway.core.http.path import local_path, parse_target
from gateway.core.login.flow import Flow
from gateway.core.login.models import Caller, Held, Passed, Pending, Session, Step, caller_of
from gateway.core.phrases import ENGLISH, Catalogue, _
from gateway.core.tokens.models import ScopedHolding
from gateway.core.upstream import Addresses, Credential, Issued
from gateway.core.urls import ENROL, LOGIN, LOGOUT, STEP_UP, VERIFY, base_of
from gateway.web import csrf
from gateway.web.rendering import render, with_script
from gateway.web.responses import COUNTDOWN, FIELDS, TIMES, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a page.

    form: the fields of a form; empty for safe methods. tail: the last segment of an address
    that ends in one (an invitation, say). bound_to: the cookie value form tokens hold to.
    language: what the person is spoken to in.
    """

    facts: Facts
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    tail: str = field(default="", repr=False)
    bound_to: str = field(default="", repr=False)
    language: Catalogue = ENGLISH

    @property
    def caller(self) -> Caller:
        return replace(caller_of(self.facts, secret=self.tail), language=self.language.code)

    def value(self, name: str) -> str:
        """A form field without surrounding blanks, "" when it is not there."""
        return self.form.get(name, "").strip()

    def asked(self, name: str) -> str:
        """A parameter of the query, "" if there is none or more than one.

        A "+" is a "+": paths of indexes are full of them, and none has a blank.
        """
        found = parse_qs(self.facts.query.replace("+", "%2B")).get(name, [])
        return found[0] if len(found) == 1 else ""

    def chosen(self, name: str) -> str:
        """A field of a form sent by GET, without surrounding blanks, "" as in `asked`."""
        found = parse_qs(self.facts.query).get(name, [])
        return found[0].strip() if len(found) == 1 else ""

    def next(self) -> str:
        """The local target the browser goes to afterwards, "" if none (or none that is safe)."""
        return safe_next(self.asked("next") if self.facts.safe else self.form.get("next", ""))


def page_path(facts: Facts | None) -> str:
    """Where a page can be looked at again, "" where it cannot."""
    if facts is None:
        return ""
    return facts.target if facts.safe else facts.path


def local(target: str) -> str:
    """`target` if it is a path of this host, else ""."""
    return target if target and local_path(target) is not None else ""


def with_query(path: str, **typed: str) -> str:
    """A local target with parameters as `Ask.asked` reads them; empty ones are left out."""
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in typed.items() if value)
    return f"{path}?{query}" if query else path


def safe_next(target: str) -> str:
    """`target` if a browser may be sent there after a login, else ""."""
    if not local(target):
        return ""
    # A login that leads back into a login would never end.
    return "" if parse_target(target).path in _STEPS else target


_STEPS: Final = frozenset({LOGIN, LOGOUT, VERIFY, ENROL, STEP_UP})


def unknown_country(address: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Kit:
    """The services behind the pages."""

    flow: Flow
    checker: PasswordChecker
    activity: Trail
    index_logins: IndexLogins
    passwords: PasswordChanges
    jar: cookies.Jar
    tokens: csrf.FormTokens
    config: PagesConfig
    clock: Clock
    random: Random
    prove: Callable[[str, str], str]
    """The keyed hash of a nonce for a purpose: this gateway has the keys."""
    ready: Callable[[], Awaitable[Mapping[str, str]]]
    """What is wrong with each part that is needed, "ok" for nothing."""
    country: Callable[[str], str] = unknown_country
    """The name of the country an address is in, "" where that is not known."""

    def place(self, address: str) -> str:
        """An address, with its country where that is known."""
        country = self.country(address) if address else ""
        return _("{address} ({country})", address=address, country=country) if country else address

    def cookie(self, ask: Ask, name: str) -> str:
        return self.jar.read(ask.facts, name)

    def page(
        self,
        ask: Ask,
        template: str,
        *,
        status: int = 200,
        session: Session | None = None,
        session_cookie: str = "",
        pending: Pending | None = None,
        error: Refusal | None = None,
        script: str = "",
        **values: object,
    ) -> PageResponse:
        """One page in the common frame.

        session_cookie: its value, where the forms of the page hold to another cookie.
        error: shown above the form and named by the field it concerns; its status wins.
        script: the static file the page runs, "" for none.
        """
        if error is not None:
            status = error.status

        def token(action: str) -> str:
            bound_to = session_cookie if session_cookie and action == LOGOUT else ask.bound_to
            return self.tokens.make(bound_to, action) if bound_to else ""

        body = render(
            template,
            self.config.base,
            ask.language,
            self.config.look,
            issuer=self.config.issuer,
            session=session,
            page_path=page_path(ask.facts),
            pending=pending,
            error=error.said(ask.language) if error else "",
            token=token,
            script=script,
            token_field=csrf.FIELD,
            place=self.place,
            a_day_ago=self.clock() - _A_DAY,
            **values,
        )
        for also, mark in _ALSO:
            if mark in body:
                body = with_script(body, self.config.base, self.config.look, also)
                script = script or also
        said_in = ("content-language", ask.language.code)
        return PageResponse(status, body, fields=(said_in, *error_fields(error)), script=script)

    async def passed(self, ask: Ask, passed: Passed) -> PageResponse:
        """A login is complete: hand over what was held back and go where the person wanted.

        A session this browser had before ends: it may have been somebody else's. What the same
        person began on it goes on.
        """
        before = self.cookie(ask, cookies.SESSION)
        if before:
            await self.flow.unfinished.go_on(before, passed.session_cookie)
            await self.flow.earned.end(before, ask.caller)
        goto = local_path(passed.held.goto) if passed.held.goto else None
        held = [*await self.index_logins.gone(ask.facts), *passed.held.set_cookie]
        if passed.device_cookie:
            kept = int(self.flow.limits.remember)
            held.append(self.jar.set(cookies.DEVICE, passed.device_cookie, max_age=kept))
        return see_other(
            goto or "/",
            *set_cookies(
                *held,
                self.jar.set(cookies.SESSION, passed.session_cookie),
                self.jar.clear(cookies.PENDING),
            ),
        )


_A_DAY: Final = 86400  # seconds; what is newer need not have been used
_ALSO: Final = (
    (FIELDS, b" data-shows"),
    (FIELDS, b" data-copies"),
    (TIMES, b"<time "),
    (COUNTDOWN, b" data-seconds"),
)
"""The scripts that a page runs besides its own, by what it has in it."""


def error_fields(error: Refusal | None) -> tuple[Field, ...]:
    """The header fields a refusal asks for, whatever its body looks like."""
    if error is None:
        return ()
    found: list[Field] = []
    if error.status == 401:
        # RFC 9110 section 15.5.2 wants a challenge; browsers pass over a scheme they don't know.
        found.append(("www-authenticate", "OTP"))
    if error.retry_after is not None:
        found.append(("retry-after", str(error.retry_after)))
    return tuple(found)


class PasswordChecker(Protocol):
    """Asks the upstream whether a password is right: only the upstream ever judges it."""

    async def check(self, user: str, password: str, facts: Facts) -> Held | None:
        """What the login earned, or None when the upstream refuses name or password.

        `Held.goto` is left to the pages, and so is the throttle (`Proofs.trying` around this).

        Raises:
            Refusal: `upstream_unreachable`, `upstream_timeout`, `upstream_broken`.
        """
        ...

    async def right(self, credential: Credential) -> Issued | None:
        """Whether a password is right; what to use from now on. Raises Refusal as `check`."""
        ...


class PasswordChanges(Protocol):
    """Sets a person's own password at the index (`gateway.gate.own_password.OwnPasswords`)."""

    def possible(self, session: Session, facts: Facts) -> bool:
        """Whether the index takes a new password from its owner, and the rules let it through."""
        ...

    async def change(
        self, session: Session, credential: Credential, new: str, facts: Facts, caller: Caller
    ) -> None:
        """Set it, and end what the old one earned.

        Raises:
            Refusal: `denied`, `password_unusable`, `upstream_…`.
        """
        ...


class ReturnableHolding(ScopedHolding, Protocol):
    """Makes what a token stands for at the index (`gateway.gate.scoped_tokens.ScopedTokens`)."""

    async def give_back(self, owner: str, credential: Credential | None) -> None:
        """Let the index delete what ended tokens of a person stood for; never fails."""
        ...


class IndexLogins(Protocol):
    """The index's own cookies in the browser that asks (`gateway.gate.ended.EndedCredentials`)."""

    async def end(self, facts: Facts) -> tuple[str, ...]:
        """End what they stand for; the Set-Cookie values that take them away."""
        ...

    async def gone(self, facts: Facts) -> tuple[str, ...]:
        """The Set-Cookie values that take those away that have ended."""
        ...

    def forget(self) -> None:
        """Other browsers' logins have just ended: look at the next request of each."""
        ...


@dataclass(frozen=True, slots=True)
class TokensConfig:
    """What the pages of API tokens have to know of the index.

    by_service: an account of the configuration stands for every token. indexed, addresses: see
    `Upstream`. scoped: makes what a token stands for, None where that is the password.
    """

    by_service: bool
    indexed: bool
    addresses: Callable[[str], Addresses]
    scoped: ReturnableHolding | None = None


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """What the pages have to know of the configuration.

    issuer: how this index calls itself; stands in headings and in authenticator apps.
    public_url: the address people use, without a trailing slash. Its origin is the only one
        changes are taken from.
    documentation: the origin a login may lead back to beside that one, "" for none.
    language: the code of the one for browsers that ask for none that is spoken here.
    tokens: None where the index has no API tokens.
    look: what the pages show of an administrator's own.
    admins: the ids of those for whom there are pages of administrators.
    private: whether reading packages takes a login.
    """

    issuer: str
    public_url: str
    documentation: str = ""
    language: str = "en"
    tokens: TokensConfig | None = None
    look: Appearance = PLAIN
    admins: frozenset[str] = frozenset()
    private: bool = False

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https:")

    @property
    def base(self) -> str:
        """The path in front of every address of ours, as browsers have it."""
        return base_of(self.public_url)


Back: TypeAlias = Callable[[Ask], str]
"""The page that a form is on, with what was typed there; a local target."""
Handler: TypeAlias = Callable[[Kit, Ask], Awaitable[PageResponse]]
PendingHandler: TypeAlias = Callable[[Kit, Ask, Pending], Awaitable[PageResponse]]
SessionHandler: TypeAlias = Callable[[Kit, Ask, Session], Awaitable[PageResponse]]

SEEN: Final = frozenset({"GET", "HEAD"})
SENT: Final = frozenset({"POST"})


@dataclass(frozen=True, slots=True)
class Open:
    """A page for anybody. back: where its form is, if not at its own address."""

    get: Handler | None = None
    post: Handler | None = None
    back: Back | None = None


@dataclass(frozen=True, slots=True)
class ForPending:
    """A page within a login. step: the only step it is for; None for any. back: as in `Open`."""

    step: Step | None
    get: PendingHandler | None = None
    post: PendingHandler | None = None
    back: Back | None = None


@dataclass(frozen=True, slots=True)
class ForSession:
    """A page of a person who is logged in.

    fresh: the methods that take a recent second factor.
    nobody: what answers where nobody is logged in; None leads to the login.
    back: as in `Open`.
    stops: it only ends something, so it can be done whatever is frozen.
    """

    get: SessionHandler | None = None
    post: SessionHandler | None = None
    stops: bool = False
    fresh: frozenset[str] = frozenset()
    nobody: Handler | None = None
    back: Back | None = None


LOOKING: Final = 900.0
"""How old, in seconds, a second factor may be with which administrators look at their pages, or
send a form of theirs."""


@dataclass(frozen=True, slots=True)
class ForAdmin:
    """A page of administrators; for anybody else there is no such page, whatever they send.

    acts: its form takes a second factor as recent as a change of factors does; all else one of
        `LOOKING`.
    back: as in `Open`.
    """

    get: SessionHandler | None = None
    post: SessionHandler | None = None
    acts: bool = False
    back: Back | None = None


Route: TypeAlias = Open | ForPending | ForSession | ForAdmin


def allowed(route: Route) -> str:
    """The Allow header of a route (RFC 9110 section 10.2.1)."""
    return ", ".join((["GET", "HEAD"] if route.get else []) + (["POST"] if route.post else []))

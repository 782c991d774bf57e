"""What every handler is given: the services, and what is known of one request.

Handlers take these and return a `Reply`; the aiohttp request stays in `pages.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from gateway.core.clock import Clock, Random
from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.http.facts import Facts, Field
from gateway.core.http.path import local_path, parse_target
from gateway.core.login.callers import caller_of
from gateway.core.login.flow import Caller, Flow, Passed, Session
from gateway.core.urls import ENROL, LOGIN, LOGOUT, STEP_UP, VERIFY
from gateway.web import csrf
from gateway.web.ports import Activity, PagesConfig, PasswordChecker
from gateway.web.rendering import render
from gateway.web.responses import Reply, see_other
from gateway.web.responses import cookies as set_cookies


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a page.

    form: the fields of a form; empty for safe methods. tail: the last segment of an address
    that ends in one (an invitation, say). bound_to: the cookie value form tokens hold to.
    """

    facts: Facts
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    tail: str = field(default="", repr=False)
    bound_to: str = field(default="", repr=False)

    @property
    def caller(self) -> Caller:
        return caller_of(self.facts, secret=self.tail)

    def value(self, name: str) -> str:
        """A form field without surrounding blanks, "" when it is not there."""
        return self.form.get(name, "").strip()

    def asked(self, name: str) -> str:
        """A parameter of the query, "" if there is none or more than one.

        A "+" is a "+": paths of indexes are full of them, and none has a blank.
        """
        found = parse_qs(self.facts.query.replace("+", "%2B")).get(name, [])
        return found[0] if len(found) == 1 else ""

    def next(self) -> str:
        """The local target the browser goes to afterwards, "" if none (or none that is safe)."""
        return safe_next(self.asked("next") if self.facts.safe else self.form.get("next", ""))


def safe_next(target: str) -> str:
    """`target` if a browser may be sent there after a login, else ""."""
    if not target or local_path(target) is None:
        return ""
    # A login that leads back into a login would never end.
    return "" if parse_target(target).path in _STEPS else target


_STEPS: Final = frozenset({LOGIN, LOGOUT, VERIFY, ENROL, STEP_UP})


@dataclass(frozen=True, slots=True)
class Kit:
    """The services behind the pages."""

    flow: Flow
    checker: PasswordChecker
    activity: Activity
    jar: cookies.Jar
    tokens: csrf.FormTokens
    config: PagesConfig
    clock: Clock
    random: Random
    prove: Callable[[str, str], str]
    """The keyed hash of a nonce for a purpose: this gateway has the keys."""

    def cookie(self, ask: Ask, name: str) -> str:
        return self.jar.read(ask.facts, name)

    def page(
        self,
        ask: Ask,
        template: str,
        *,
        status: int = 200,
        session: Session | None = None,
        error: Refusal | None = None,
        script: str = "",
        **values: object,
    ) -> Reply:
        """One page in the common frame.

        error: shown above the form and named by the field it concerns; its status wins.
        script: the static file the page runs, "" for none.
        """
        if error is not None:
            status = error.status
        body = render(
            template,
            self.config.base,
            issuer=self.config.issuer,
            session=session,
            error=error.text if error else "",
            token=lambda action: self.tokens.make(ask.bound_to, action) if ask.bound_to else "",
            script=script,
            token_field=csrf.FIELD,
            **values,
        )
        return Reply(status, body, fields=error_fields(error), script=script)

    async def passed(self, ask: Ask, passed: Passed) -> Reply:
        """A login is complete: hand over what was held back and go where the person wanted.

        A session this browser had before ends: it may have been somebody else's.
        """
        before = self.cookie(ask, cookies.SESSION)
        if before:
            await self.flow.end(before, ask.caller)
        goto = local_path(passed.held.goto) if passed.held.goto else None
        held = list(passed.held.set_cookie)
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

"""Any server with a login form and a session cookie.

The cookie is opaque: it names nobody, so only a login through the gateway tells whose it is. A
server that sets its session cookie before the login (on every first visit) does not fit here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from gateway.core.errors import Refusal, Slug
from gateway.core.http.cookies import clearing, read_set_cookie
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.http.path import local_path
from gateway.core.upstream import (
    Act,
    Action,
    Addresses,
    Attempt,
    Call,
    Carrier,
    Credential,
    Issued,
    UpstreamResponse,
)
from gateway.core.urls import base_of
from gateway.upstreams.bodies import FORM, query_value, read_form, write_form
from gateway.upstreams.carriers import cookie_values, find_cookie


@dataclass(frozen=True, slots=True)
class FormOptions:
    """How the login of one server looks.

    login: path of its login form; logout: path that ends its session ("" for none).
    user, password: names of the two fields.
    goto: name of the query parameter or field that says where to go afterwards.
    cookies: the session cookies. The first is the one the gateway itself presents.
    """

    login: str = "/login"
    logout: str = ""
    user: str = "username"
    password: str = "password"  # noqa: S105 - the name of a field
    goto: str = "next"
    cookies: tuple[str, ...] = ("sessionid",)


_ENCODED: Final = 3  # times that a value may be percent-encoded


class Form:
    """The adapter. Basic and every other Authorization count as carriers never verified."""

    kind: str = "form"
    cuts_base: bool = False
    tells_anyway: bool = False
    takes_tokens: bool = False
    logs_in: bool = True
    indexed: bool = False

    def __init__(self, options: FormOptions) -> None:
        self._options: Final = options
        self.session_cookies: frozenset[str] = frozenset(options.cookies)

    def carriers(self, facts: Facts) -> tuple[Carrier, ...]:
        found = [Carrier(name, None) for name, _ in facts.fields if name == "authorization"]
        if len(found) > 1:
            raise Refusal(Slug.MIXED_CREDENTIALS)
        for name in self._options.cookies:
            there, value = find_cookie(facts, name)
            if there:
                found.append(Carrier(f"cookie:{name}", _opaque(name, value) if value else None))
        return tuple(found)

    def carrier_fields(self) -> frozenset[str]:
        return frozenset({"authorization"})

    def present(self, credential: Credential) -> tuple[Field, ...]:
        return (("Cookie", credential.secret),)

    def renamed(self, facts: Facts) -> Mapping[str, str]:
        return {}

    def with_secret(self, facts: Facts, carrier: Carrier, secret: str) -> Mapping[str, str]:
        raise Refusal(Slug.OTP_INVALID)  # no code fits into an opaque cookie

    def own_fields(self, public_url: str, client: IPAddress | None) -> tuple[Field, ...]:
        scheme, _, rest = public_url.partition("://")
        fields = [("X-Forwarded-Proto", scheme), ("X-Forwarded-Host", rest.partition("/")[0])]
        if base_of(public_url):
            fields.append(("X-Forwarded-Prefix", base_of(public_url)))
        if client is not None:
            fields.append(("X-Forwarded-For", str(client)))
        return tuple(fields)

    def password_check(self, credential: Credential) -> Call:
        form = ((self._options.user, credential.user), (self._options.password, credential.secret))
        return Call("POST", self._options.login, (("content-type", FORM),), write_form(form))

    def password_answer(self, credential: Credential, reply: UpstreamResponse) -> Issued | None:
        if reply.status >= 500:
            raise Refusal(Slug.UPSTREAM_BROKEN)
        issued = self._issued(reply)
        return issued[0] if issued else None

    def acceptance_check(self, credential: Credential) -> Call | None:
        return None

    def signed(self, secret: str) -> bool:
        return False

    def hands_over(self, secret: str) -> bool:
        return False

    def acceptance_answer(self, credential: Credential, reply: UpstreamResponse) -> bool:
        return False

    def read_login(self, facts: Facts, body: bytes) -> Attempt | None:
        form = read_form(facts, body)
        if form is None:
            return None
        named = dict(form)
        user = named.get(self._options.user, "")
        secret = named.get(self._options.password, "")
        if not user or not secret:
            return None
        goto = named.get(self._options.goto) or query_value(facts.query, self._options.goto)
        return Attempt(Credential(user, secret), True, local_path(goto) or "", form)

    def login_call(self, facts: Facts, attempt: Attempt) -> Call:
        replaced = {
            self._options.user: attempt.credential.user,
            self._options.password: attempt.credential.secret,
        }
        form = tuple((name, replaced.get(name, value)) for name, value in attempt.extra)
        fields = (("content-type", FORM), ("accept", facts.joined("accept") or "text/html"))
        return Call("POST", facts.target, fields, write_form(form))

    def login_answer(
        self, facts: Facts, attempt: Attempt, reply: UpstreamResponse
    ) -> tuple[Issued, ...]:
        return self._issued(reply)

    def handed_out(self, facts: Facts) -> tuple[str, ...]:
        return tuple(
            _trace(name, value)
            for name in self._options.cookies
            for value in cookie_values(facts, name)
        )

    def cookie_issued(self, set_cookie: str) -> Issued | None:
        """None: outside a login nothing says whose it is."""
        return None

    def changes_password(self, facts: Facts) -> str | None:
        return None

    def fresh_credential(self, facts: Facts, reply: UpstreamResponse) -> tuple[bool, Issued | None]:
        return False, None

    def logs_out(self, method: str, path: str) -> bool:
        return path == self._options.logout

    def upload_address(self, facts: Facts) -> str:
        return ""

    def act(self, facts: Facts) -> Act:
        """Nothing is known of what its addresses mean."""
        return Act(Action.MANAGE, unclear=True)

    def project_check(self, index: str | None, project: str) -> Call:
        return Call("GET", "/")

    def project_answer(self, index: str | None, project: str, reply: UpstreamResponse) -> bool:
        return False

    def file_project(self, filename: str) -> str | None:
        return None

    def addresses(self, index: str) -> Addresses:
        return Addresses("/", "/simple/")

    def refusal_fields(self) -> tuple[Field, ...]:
        return ()

    def _issued(self, reply: UpstreamResponse) -> tuple[Issued, ...]:
        issued = []
        for name in self._options.cookies:
            for header in reply.all("set-cookie"):
                cookie = read_set_cookie(header)
                if cookie.name == name and not cookie.ends:
                    trace = _trace(name, cookie.value)
                    issued.append(
                        Issued(_opaque(name, cookie.value), cookie.max_age, trace, clearing(header))
                    )
        return tuple(issued)


def _opaque(name: str, value: str) -> Credential:
    return Credential("", f"{name}={value}")


def _trace(name: str, value: str) -> str:
    """A cookie without what servers take off its value: quotes, percent signs."""
    plain = value.strip().strip('"')
    for _ in range(_ENCODED):
        plain = unquote(plain, "latin-1")
    return f"{name}={plain}"

"""The settings of one gateway: frozen, complete, checked. How YAML is read, `reader` knows.

Every key of the configuration file is a field here with its default, as the file would have it,
and what it is for; the JSON Schema comes from the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Literal

from gateway.core.http.responses import Response
from gateway.core.login.models import Enrolment
from gateway.core.rules.rules import Policy, RuleSet
from gateway.settings.addresses import (
    ENDPOINT,
    LISTEN,
    NETWORK,
    ORIGIN,
    PUBLIC_URL,
    WEBHOOK,
    Endpoint,
    Listen,
    PublicUrl,
)
from gateway.settings.amounts import DURATION, DURATION_OR_OFF, SIZE
from gateway.settings.files import FILE, SECRET, STORE, Source
from gateway.settings.nodes import Loc, Mark
from gateway.settings.problems import Problem
from gateway.settings.rules import RESPONSE, RuleModel, TestModel
from gateway.settings.sections import Section, setting
from gateway.settings.shape import Choice, Day, Flag, Mapped, OrWord, Several, Text, Whole

_FILLED: Final = Text(".", "some text")
_PATH: Final = Text(r"^/[^?#]*$", "a path from the first slash on, without a query")
_COOKIE: Final = Text(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a cookie")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    certificate: Path = setting(FILE, "A certificate chain in PEM.")
    key: Path = setting(FILE, "Its private key in PEM.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginForm:
    login: str = setting(_PATH, "The path its login form is sent to.", "/login")
    logout: str = setting(
        Text(r"^(/[^?#]*)?$", "a path, or nothing"), "The path that ends its session, if any.", ""
    )
    user: str = setting(_FILLED, "The field of the user name.", "username")
    password: str = setting(_FILLED, "The field of the password.", "password")
    goto: str = setting(Text(), "The field or parameter that says where to go afterwards.", "next")
    cookies: tuple[str, ...] = setting(
        Several(_COOKIE, least=1),
        "Its session cookies; only a login may set them.",
        "sessionid",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    kind: Literal["devpi", "pypiserver", "form"] = setting(
        Choice(("devpi", "pypiserver", "form")),
        "What the index server is; form: any server with a login form and a cookie.",
    )
    url: Endpoint = setting(
        ENDPOINT, "Where it listens, for the gateway only: http://host:port, https or unix:/path."
    )
    form: LoginForm | None = setting(
        Section(LoginForm), "How the login of a server of kind form looks.", None
    )

    @property
    def acts_by_session(self) -> bool:
        """Whether its own pages change things by their session: no page of devpi or pypiserver
        does, and a script in what people upload could."""
        return self.kind == "form"

    def problem(self) -> str:
        if (self.kind == "form") != (self.form is not None):
            return "only one of kind form and the section form; both or neither"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    idle: float = setting(DURATION, "A session ends after this time without a request.", "12h")
    absolute: float = setting(DURATION, "A session ends this long after its login.", "7d")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthn:
    origins: tuple[PublicUrl, ...] = setting(
        Several(ORIGIN),
        "Origins keys may be used from, besides public_url, which names the RP.",
        [],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    enrolment: Enrolment = setting(
        Choice(tuple(one.value for one in Enrolment), Enrolment),
        "required: of everybody; optional: asked of those who have one; "
        "invite: required, and setting one up takes an invitation.",
        "required",
    )
    issuer: str = setting(
        Text(r"^[^:\x00-\x1f]{1,64}$", "up to 64 characters without a colon"),
        "The name an authenticator app shows.",
        "Package index",
    )
    max_age: float = setting(
        DURATION,
        "How old a second factor may be on a second_factor route; a rule may ask for a newer one.",
        "12h",
    )
    required_from: date | None = setting(
        Day(),
        "Until this day people without a factor may go on with the password alone.",
        None,
    )
    remember_device: float | None = setting(
        DURATION_OR_OFF, "How long a browser may be remembered; off for never.", "30d"
    )
    step_up: float = setting(
        DURATION, "How old a second factor may be when factors are changed.", "2m"
    )
    session: Session = setting(Section(Session), "Browser sessions.", {})
    webauthn: WebAuthn = setting(Section(WebAuthn), "Security keys and passkeys.", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    head: float = setting(DURATION, "The head of a request is complete within this time.", "15s")
    head_size: int = setting(SIZE, "The largest head of a request.", "32KiB")
    idle: float = setting(DURATION, "An idle connection is closed after this time.", "75s")
    body_idle: float = setting(
        DURATION, "A body that does not move for this long ends its connection.", "60s"
    )
    connect: float = setting(DURATION, "The upstream accepts a connection in this time.", "5s")
    answer: float = setting(DURATION, "The upstream begins to answer in this time.", "120s")
    pool_idle: float = setting(
        DURATION,
        "An idle connection to the upstream is kept this long: less than the upstream keeps it.",
        "4s",
    )
    login_body: int = setting(SIZE, "The largest body of a login.", "64KiB")
    shutdown: float = setting(
        DURATION, "How long running transfers may go on once a stop was asked for.", "30s"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    host: str = setting(_FILLED, "The mail server.")
    port: int = setting(Whole(1, 65535), "Its port.", 587)
    tls: Literal["starttls", "tls"] = setting(
        Choice(("starttls", "tls")), "How the line is encrypted.", "starttls"
    )
    user: str = setting(Text(), "The name to log in with, if any.", "")
    password: Source | None = setting(SECRET, "Its password: file:PATH or env:NAME.", None)
    sender: str = setting(
        Text(r"^[^\s<>]+@[^\s<>]+$", "an address such as index@example.org"),
        "The address notices come from.",
        name="from",
    )

    def problem(self) -> str:
        if bool(self.user) != bool(self.password):
            return "only one of user and password; both or neither"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    url: str = setting(WEBHOOK, "Where notices are posted.")
    key: Source = setting(SECRET, "The key that signs them: file:PATH or env:NAME.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    smtp: Smtp | None = setting(Section(Smtp), "Notices by mail.", None)
    webhook: Webhook | None = setting(Section(Webhook), "Notices by a signed call.", None)
    addresses: dict[str, str] | None = setting(
        OrWord("upstream", Mapped(Text())),
        "Where people's addresses come from: upstream (what devpi knows), "
        "or a map of user name to address.",
        "upstream",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    retention: float | None = setting(
        DURATION_OR_OFF, "How long entries are kept; off for ever.", "400d"
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole configuration; files in it are found from the directory it was read from.

    file, places, warnings: the file it was read from, where things stand in it, and what is
    worth saying about it though it can be used.
    """

    version: Literal[1] = setting(Choice((1,)), "The version of this format: 1.")
    listen: tuple[Listen, ...] = setting(
        Several(LISTEN, least=1),
        "Where to accept connections: host:port (`[::]:8080` is IPv4 too), unix:/path, or a list.",
        "127.0.0.1:8080",
    )
    public_url: PublicUrl = setting(
        PUBLIC_URL,
        "The address people use, such as https://packages.example.org.",
    )
    documentation_url: PublicUrl | None = setting(
        ORIGIN,
        "A host of its own for uploaded documentation, served here too, without any cookie.",
        None,
    )
    tls: Tls | None = setting(Section(Tls), "Own TLS; without it stand behind a TLS proxy.", None)
    upstream: Upstream = setting(
        Section(Upstream), "The index server behind the gateway: kind and url."
    )
    store: str = setting(STORE, "Where state lives: sqlite:PATH or redis://HOST:PORT/DB.")
    keys: Source = setting(
        SECRET, "The gateway's keys, made by `index-gateway keys new`.", "file:gateway.keys"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        Several(NETWORK), "Networks of the proxies whose X-Forwarded-For is believed.", []
    )
    allow_open_default: bool = setting(
        Flag(), "Allows `default: pass`, which leaves open what no rule names.", False
    )
    second_factor: SecondFactor = setting(Section(SecondFactor), "What is asked of people.", {})
    limits: Limits = setting(Section(Limits), "Times and sizes.", {})
    notices: Notices = setting(Section(Notices), "How people hear of changes.", {})
    audit: Audit = setting(Section(Audit), "The record of what happened.", {})
    rules: tuple[RuleModel, ...] = setting(
        Several(Section(RuleModel), called="rule", named="name"),
        "The first rule that matches decides.",
        [],
    )
    response: Response = setting(
        RESPONSE, "How browsers are to treat answers where no rule says.", "plain"
    )
    default: Literal["second_factor", "deny", "pass"] = setting(
        Choice(("second_factor", "deny", "pass")),
        "What happens to requests no rule matches.",
        "second_factor",
    )
    tests: tuple[TestModel, ...] = setting(
        Several(Section(TestModel), called="test", named="request"),
        "Requests and what they must meet; run by `check` and at every start.",
        [],
    )

    file: str = "configuration"
    places: Mapping[Loc, Mark] = field(default_factory=dict, repr=False, compare=False)
    warnings: tuple[Problem, ...] = field(default=(), repr=False, compare=False)

    def place(self, loc: Loc) -> Mark:
        """Line and column of a location in the file; (0, 0) when it is not known."""
        return self.places.get(loc, (0, 0))

    def ruleset(self) -> RuleSet:
        """The rules, ready to match."""
        return self._ruleset

    @cached_property
    def _ruleset(self) -> RuleSet:
        rules = (
            rule.rule(
                "{}:{}:{}".format(self.file, *self.place(("rules", number))),
                session=self.upstream.acts_by_session,
            )
            for number, rule in enumerate(self.rules)
        )
        return RuleSet(rules, Policy(self.default))

"""The settings of one gateway: frozen, complete, checked. What YAML is, `reader` knows.

Every key of the configuration file is a field here with its default and its description;
the JSON Schema comes from the same classes.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from gateway.core.logins import Enrolment
from gateway.core.rules import Policy, RuleSet
from gateway.settings.addresses import (
    EndpointUrl,
    Listen,
    ListenAddress,
    Network,
    PublicAddress,
    WebhookUrl,
)
from gateway.settings.amounts import Duration, DurationOrOff, Size
from gateway.settings.files import FilePath, SecretSource, Source, Store
from gateway.settings.nodes import Loc, Mark
from gateway.settings.problems import Problem
from gateway.settings.rules import Part, RuleModel, TestModel
from gateway.settings.text import OneOrMore

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
KIB: Final = 2**10
_LISTED: Final = OneOrMore()

CookieName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]


def _upstream(value: object) -> object:
    return None if value == "upstream" else value


class Tls(Part):
    certificate: FilePath = Field(description="A certificate chain in PEM.")
    key: FilePath = Field(description="Its private key in PEM.")


class LoginForm(Part):
    login: str = Field(
        default="/login", pattern=r"^/[^?#]*$", description="The path its login form is sent to."
    )
    logout: str = Field(
        default="", pattern=r"^(/[^?#]*)?$", description="The path that ends its session, if any."
    )
    user: str = Field(default="username", min_length=1, description="The field of the user name.")
    password: str = Field(
        default="password", min_length=1, description="The field of the password."
    )
    goto: str = Field(
        default="next", description="The field or parameter that says where to go afterwards."
    )
    cookies: Annotated[tuple[CookieName, ...], _LISTED] = Field(
        default=("sessionid",),
        min_length=1,
        description="Its session cookies; only a login may set them.",
    )


class Upstream(Part):
    kind: Literal["devpi", "pypiserver", "form"] = Field(
        description="What the index server is; form: any server with a login form and a cookie."
    )
    url: EndpointUrl = Field(description="Where it listens, for the gateway only.")
    form: LoginForm | None = Field(
        default=None, description="How the login of a server of kind form looks."
    )

    @model_validator(mode="after")
    def _described(self) -> Upstream:
        if (self.kind == "form") != (self.form is not None):
            raise ValueError("only one of kind form and the section form; both or neither")
        return self


class Session(Part):
    idle: Duration = Field(
        default=12 * HOUR, description="A session ends after this time without a request."
    )
    absolute: Duration = Field(
        default=7 * DAY, description="A session ends this long after its login."
    )


class WebAuthn(Part):
    origins: Annotated[tuple[PublicAddress, ...], _LISTED] = Field(
        default=(),
        description="Origins keys may be used from, besides public_url, which names the RP.",
    )


class SecondFactor(Part):
    enrolment: Enrolment = Field(
        default=Enrolment.REQUIRED,
        description="required: of everybody; optional: asked of those who have one; "
        "invite: required, and setting one up takes an invitation.",
    )
    issuer: str = Field(
        default="Package index",
        min_length=1,
        max_length=64,
        pattern=r"^[^:\x00-\x1f]+$",
        description="The name an authenticator app shows.",
    )
    max_age: Duration = Field(
        default=12 * HOUR,
        description="How old a second factor may be on a second_factor route; "
        "a rule may ask for a newer one.",
    )
    required_from: date | None = Field(
        default=None,
        description="Until this day people without a factor may go on with the password alone.",
    )
    remember_device: DurationOrOff = Field(
        default=30 * DAY, description="How long a browser may be remembered; off for never."
    )
    step_up: Duration = Field(
        default=600.0, description="How old a second factor may be when factors are changed."
    )
    session: Session = Field(default=Session(), description="Browser sessions.")
    webauthn: WebAuthn = Field(default=WebAuthn(), description="Security keys and passkeys.")


class Limits(Part):
    head: Duration = Field(
        default=15.0, description="The head of a request is complete within this time."
    )
    head_size: Size = Field(default=32 * KIB, description="The largest head of a request.")
    idle: Duration = Field(
        default=75.0, description="An idle connection is closed after this time."
    )
    body_idle: Duration = Field(
        default=60.0, description="A body that does not move for this long ends its connection."
    )
    connect: Duration = Field(
        default=5.0, description="The upstream accepts a connection in this time."
    )
    answer: Duration = Field(
        default=120.0, description="The upstream begins to answer in this time."
    )
    login_body: Size = Field(default=64 * KIB, description="The largest body of a login.")
    shutdown: Duration = Field(
        default=30.0, description="How long running transfers may go on once a stop was asked for."
    )


class Smtp(Part):
    host: str = Field(min_length=1, description="The mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    tls: Literal["starttls", "tls"] = Field(
        default="starttls", description="How the line is encrypted."
    )
    user: str = Field(default="", description="The name to log in with, if any.")
    password: SecretSource | None = Field(
        default=None, description="Its password: file:PATH or env:NAME."
    )
    sender: str = Field(
        alias="from", pattern=r"^[^\s<>]+@[^\s<>]+$", description="The address notices come from."
    )

    @model_validator(mode="after")
    def _login(self) -> Smtp:
        if bool(self.user) != bool(self.password):
            raise ValueError("only one of user and password; both or neither")
        return self


class Webhook(Part):
    url: WebhookUrl = Field(description="Where notices are posted.")
    key: SecretSource = Field(description="The key that signs them: file:PATH or env:NAME.")


class Notices(Part):
    smtp: Smtp | None = Field(default=None, description="Notices by mail.")
    webhook: Webhook | None = Field(default=None, description="Notices by a signed call.")
    addresses: Annotated[
        dict[str, str] | None,
        BeforeValidator(_upstream, json_schema_input_type=Literal["upstream"] | dict[str, str]),
    ] = Field(
        default=None,
        description="Where people's addresses come from: upstream (what devpi knows), "
        "or a map of user name to address.",
    )


class Audit(Part):
    retention: DurationOrOff = Field(
        default=400 * DAY, description="How long entries are kept; off for ever."
    )


class Settings(Part):
    """A whole configuration; files in it are found from the directory it was read from."""

    version: Literal[1] = Field(description="The version of this format: 1.")
    listen: ListenAddress = Field(
        default=Listen("127.0.0.1", 8080),
        description="Where to accept connections: host:port, or unix:/path.",
    )
    public_url: PublicAddress = Field(
        description="The address people use, such as https://packages.example.org."
    )
    tls: Tls | None = Field(
        default=None, description="Own TLS; without it stand behind a TLS proxy."
    )
    upstream: Upstream = Field(description="The index server behind the gateway: kind and url.")
    store: Store = Field(description="Where state lives: sqlite:PATH or redis://HOST:PORT/DB.")
    keys: SecretSource = Field(
        default=Source("file", "gateway.keys"),
        validate_default=True,
        description="The gateway's keys, made by `index-gateway keys new`.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], _LISTED] = Field(
        default=(), description="Networks of the proxies whose X-Forwarded-For is believed."
    )
    allow_open_default: bool = Field(
        default=False, description="Allows `default: pass`, which leaves open what no rule names."
    )
    second_factor: SecondFactor = Field(
        default=SecondFactor(), description="What is asked of people."
    )
    limits: Limits = Field(default=Limits(), description="Times and sizes.")
    notices: Notices = Field(default=Notices(), description="How people hear of changes.")
    audit: Audit = Field(default=Audit(), description="The record of what happened.")
    rules: tuple[RuleModel, ...] = Field(
        default=(), description="The first rule that matches decides."
    )
    default: Literal["second_factor", "deny", "pass"] = Field(
        default="second_factor", description="What happens to requests no rule matches."
    )
    tests: tuple[TestModel, ...] = Field(
        default=(),
        description="Requests and what they must meet; run by `check` and at every start.",
    )

    _file: str = PrivateAttr("configuration")
    _places: dict[Loc, Mark] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    def attach(self, file: str, places: dict[Loc, Mark], warnings: tuple[Problem, ...]) -> None:
        """Where these settings were read from; the reader calls it once."""
        self._file, self._places, self._warnings = file, places, warnings

    @property
    def file(self) -> str:
        return self._file

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is worth saying about this configuration, though it can be used."""
        return self._warnings

    def place(self, loc: Loc) -> Mark:
        """Line and column of a location in the file; (0, 0) when it is not known."""
        return self._places.get(loc, (0, 0))

    def ruleset(self) -> RuleSet:
        """The rules, ready to match."""
        return self._ruleset

    @cached_property
    def _ruleset(self) -> RuleSet:
        rules = (
            rule.rule("{}:{}:{}".format(self._file, *self.place(("rules", number))))
            for number, rule in enumerate(self.rules)
        )
        return RuleSet(rules, Policy(self.default))

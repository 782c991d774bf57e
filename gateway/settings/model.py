"""The settings of one gateway: frozen, complete, checked. What YAML is, `reader` knows.

Every key of the configuration file is a field here with its default and its description;
the JSON Schema comes from the same classes.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.core.flow import Enrolment
from gateway.core.rules import Policy, Rule, RuleSet
from gateway.settings.rules import RuleModel, TestModel
from gateway.settings.values import (
    Duration,
    EndpointUrl,
    FilePath,
    Listen,
    ListenAddress,
    Network,
    PublicAddress,
    SecretSource,
    Size,
    Source,
    Store,
    listed,
    off,
)

DAY = 86400.0
MINUTE = 60.0


class Model(BaseModel):
    """What all parts share: unknown keys are refused, nothing is converted, nothing changes."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True, defer_build=True,
    )


class Tls(Model):
    certificate: FilePath
    """Certificate chain in PEM."""
    key: FilePath
    """Private key in PEM."""


class Upstream(Model):
    kind: Literal["devpi", "pypiserver"]
    """What the index server is."""
    url: EndpointUrl
    """Where it listens, for the gateway only."""


class Session(Model):
    idle: Duration = 12 * 60 * MINUTE
    """A session ends after this time without a request."""
    absolute: Duration = 7 * DAY
    """A session ends this long after the login, used or not."""


class WebAuthn(Model):
    origins: Annotated[tuple[PublicAddress, ...], BeforeValidator(listed)] = ()
    """Origins keys may be used from, besides public_url (which also gives the RP ID)."""


class SecondFactor(Model):
    enrolment: Enrolment = Enrolment.REQUIRED
    """required: everybody; optional: who has one is asked for it; invite: required, and
    setting one up takes an invitation."""
    issuer: str = Field(
        default="Package index", min_length=1, max_length=64, pattern=r"^[^:\x00-\x1f]+$"
    )
    """The name an authenticator app shows."""
    max_age: Duration = 12 * 60 * MINUTE
    """How old a second factor may be on a second_factor route; rules can ask for less."""
    required_from: date | None = None
    """Until this day people without a factor may go on with their password alone."""
    remember_device: Annotated[Duration | None, BeforeValidator(off)] = 30 * DAY
    """How long a device may be remembered; off for never."""
    step_up: Duration = 10 * MINUTE
    """How old a second factor may be when factors are changed."""
    session: Session = Session()
    webauthn: WebAuthn = WebAuthn()


class Limits(Model):
    head: Duration = 15.0
    """The head of a request must be complete after this time."""
    head_size: Size = 32 * 2**10
    """The largest head of a request."""
    idle: Duration = 75.0
    """An idle connection is closed after this time."""
    body_idle: Duration = 60.0
    """A body that does not move for this long ends its connection."""
    connect: Duration = 5.0
    """The upstream must accept a connection in this time."""
    answer: Duration = 120.0
    """The upstream must begin to answer in this time."""
    login_body: Size = 64 * 2**10
    """The largest body of a login."""
    body_size: Size | None = None
    """The largest body of any request; without it, the upstream's own limit."""
    shutdown: Duration = 30.0
    """How long running transfers may go on after a stop was asked for."""


class Smtp(Model):
    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls"] = "starttls"
    user: str = ""
    password: SecretSource | None = None
    sender: str = Field(alias="from", pattern=r"^[^\s<>]+@[^\s<>]+$")
    """The address notices come from."""

    @model_validator(mode="after")
    def _login(self) -> Smtp:
        if bool(self.user) != bool(self.password):
            raise ValueError("only one of user and password; both or neither")
        return self


class Webhook(Model):
    url: str = Field(pattern=r"^https?://[^\s#@]+$")
    key: SecretSource
    """The key that signs each call."""


class Notices(Model):
    smtp: Smtp | None = None
    webhook: Webhook | None = None
    addresses: Literal["upstream"] | dict[str, str] = "upstream"
    """Where people's addresses come from: the upstream (devpi), or a map of user to address."""


class Audit(Model):
    retention: Annotated[Duration | None, BeforeValidator(off)] = 400 * DAY
    """How long entries are kept; off for ever."""


class Settings(Model):
    """A whole configuration. Paths in it are absolute or relative to the working directory."""

    version: Literal[1]
    """The version of this format."""
    listen: ListenAddress = Listen("127.0.0.1", 8080)
    public_url: PublicAddress
    """The address people use; an https one unless it is this machine."""
    tls: Tls | None = None
    """Own TLS; without it stand behind a TLS proxy."""
    upstream: Upstream
    store: Store
    """Where state lives."""
    keys: SecretSource = Source("file", "gateway.keys")
    """The gateway's keys, made by `index-gateway keys new`."""
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(listed)] = ()
    """Networks of proxies whose X-Forwarded-For is believed."""
    allow_open_default: bool = False
    """Allows `default: pass`, which leaves every route open that no rule names."""
    second_factor: SecondFactor = SecondFactor()
    limits: Limits = Limits()
    notices: Notices = Notices()
    audit: Audit = Audit()
    rules: tuple[RuleModel, ...] = ()
    """The first rule that matches decides."""
    default: Literal["second_factor", "deny", "pass"] = "second_factor"
    """What happens to requests no rule matches."""
    tests: tuple[TestModel, ...] = ()
    """Requests with the rule or refusal they must meet; run by `check` and at every start."""

    @cached_property
    def rule_list(self) -> tuple[Rule, ...]:
        return tuple(rule.rule() for rule in self.rules)

    @cached_property
    def _ruleset(self) -> RuleSet:
        return RuleSet(self.rule_list, Policy(self.default))

    def ruleset(self) -> RuleSet:
        """The rules, ready to match."""
        return self._ruleset

"""The settings of one gateway: frozen, complete, checked. How YAML is read, `reader` knows.

Every key of the configuration file is a field here with its default, as the file would have it,
and what it is for; the JSON Schema comes from the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Final, Literal, TypeAlias

from gateway.core.http.responses import Response
from gateway.core.login.models import Enrolment
from gateway.core.permissions import Groups
from gateway.core.rules.rules import Policy, RuleSet
from gateway.settings.addresses import (
    ListenText,
    Network,
    OriginUrl,
    PublicUrlText,
    UpstreamUrlText,
    WebhookUrl,
)
from gateway.settings.amounts import Day, Duration, DurationOrOff, Size
from gateway.settings.appearance import AppearanceSettings
from gateway.settings.fields import OneOrMore, OrWord, Section, Whole, Written, setting
from gateway.settings.files import FilePath, SecretSource, StoreUrl
from gateway.settings.groups import GroupModel, GroupName, User
from gateway.settings.nodes import Loc, Place
from gateway.settings.problems import Problem
from gateway.settings.publishers import PublisherModel
from gateway.settings.reporters import ReporterModel
from gateway.settings.rules import RuleModel, TestModel

_REMEMBERED: Final = 3600  # seconds

Filled: TypeAlias = Annotated[str, Written(".", "some text")]
UrlPath: TypeAlias = Annotated[
    str, Written(r"^/[^?#]*$", "a path from the first slash on, without a query")
]
CookieName: TypeAlias = Annotated[
    str, Written(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a cookie")
]
MailAddress: TypeAlias = Annotated[
    str, Written(r"^[^\s<>]+@[^\s<>]+$", "an address such as index@example.org")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings(Section):
    certificate: FilePath = setting("A certificate chain in PEM.")
    key: FilePath = setting("Its private key in PEM.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFormSettings(Section):
    login: UrlPath = setting("The path its login form is sent to.", "/login")
    logout: Annotated[str, Written(r"^(/[^?#]*)?$", "a path, or nothing")] = setting(
        "The path that ends its session, if any.", ""
    )
    user: Filled = setting("The field of the user name.", "username")
    password: Filled = setting("The field of the password.", "password")
    goto: str = setting("The field or parameter that says where to go afterwards.", "next")
    cookies: Annotated[tuple[CookieName, ...], OneOrMore(least=1)] = setting(
        "Its session cookies; only a login may set them.", "sessionid"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountSettings(Section):
    user: Filled = setting("Its name at the index server.")
    password: SecretSource = setting("Its password: file:PATH or env:NAME.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings(Section):
    kind: Literal["devpi", "pypiserver", "form"] = setting(
        "What the index server is; form: any server with a login form and a cookie."
    )
    url: UpstreamUrlText = setting(
        "Where it listens, for the gateway only: http://host:port, https or unix:/path."
    )
    form: LoginFormSettings | None = setting("How the login of a server of kind form looks.", None)
    service_account: ServiceAccountSettings | None = setting(
        "With pypiserver: who uploads and reads for everybody with an API token, instead of a "
        "password sealed in each.",
        None,
    )
    devpi_tokens: bool = setting(
        "With devpi and its plugin devpi-tokens: an API token stands for a token of devpi-tokens "
        "with the same scope, instead of the password.",
        False,
    )

    @property
    def acts_by_session(self) -> bool:
        """Whether its own pages change things by their session: no page of devpi or pypiserver
        does, and a script in what people upload could."""
        return self.kind == "form"

    def problem(self) -> str:
        if (self.kind == "form") != (self.form is not None):
            return "only one of kind form and the section form; both or neither"
        if self.service_account is not None and self.kind != "pypiserver":
            return f"a service_account with kind {self.kind}; only with pypiserver"
        if self.devpi_tokens and self.kind != "devpi":
            return f"devpi_tokens with kind {self.kind}; only with devpi"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings(Section):
    idle: Duration = setting("A session ends after this time without a request.", "12h")
    absolute: Duration = setting("A session ends this long after its login.", "7d")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnSettings(Section):
    origins: Annotated[tuple[OriginUrl, ...], OneOrMore()] = setting(
        "Origins keys may be used from, besides public_url, which names the RP.", ()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFactorSettings(Section):
    remember: DurationOrOff = setting(
        "How long a password that the index took for reading (policy authenticated) is not judged "
        "again, at most 1h; off for never. Kept in memory only, as a keyed hash.",
        "5m",
    )

    def problem(self) -> str:
        if self.remember is not None and self.remember > _REMEMBERED:
            return "remember over 1h; a changed password would go on for as long"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorSettings(Section):
    enrolment: Enrolment = setting(
        "required: of everybody; optional: asked of those who have one; "
        "invite: required, and setting one up takes an invitation.",
        "required",
        strict=False,
    )
    issuer: Annotated[
        str, Written(r"^[^:\x00-\x1f]{1,64}$", "up to 64 characters without a colon")
    ] = setting("The name an authenticator app shows.", "Package index")
    max_age: Duration = setting(
        "How old a second factor may be on a second_factor route; a rule may ask for a newer one.",
        "12h",
    )
    required_from: Day | None = setting(
        "Until this day people without a factor may go on with the password alone.", None
    )
    remember_device: DurationOrOff = setting(
        "How long a browser may be remembered; off for never.", "30d"
    )
    step_up: Duration = setting("How old a second factor may be when factors are changed.", "2m")
    session: SessionSettings = setting("Browser sessions.", {})
    webauthn: WebAuthnSettings = setting("Security keys and passkeys.", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings(Section):
    max_age: Duration = setting("How long an API token may live.", "365d")
    manage: bool = setting(
        "Whether a token may be given the scope manage: deletions and index settings, without a "
        "second factor.",
        False,
    )
    reporters: tuple[ReporterModel, ...] = setting(
        "Who may report leaked tokens, as GitHub's secret scanning does: a token that is reported "
        "is revoked.",
        (),
        strict=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings(Section):
    head: Duration = setting("The head of a request is complete within this time.", "15s")
    head_size: Size = setting("The largest head of a request.", "32KiB")
    idle: Duration = setting("An idle connection is closed after this time.", "75s")
    body_idle: Duration = setting(
        "A body that does not move for this long ends its connection.", "60s"
    )
    connect: Duration = setting("The upstream accepts a connection in this time.", "5s")
    answer: Duration = setting("The upstream begins to answer in this time.", "120s")
    pool_idle: Duration = setting(
        "An idle connection to the upstream is kept this long: less than the upstream keeps it.",
        "4s",
    )
    login_body: Size = setting("The largest body of a login.", "64KiB")
    shutdown: Duration = setting(
        "How long running transfers may go on once a stop was asked for.", "30s"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings(Section):
    host: Filled = setting("The mail server.")
    port: int = setting("Its port.", 587, ge=1, le=65535)
    tls: Literal["starttls", "tls"] = setting("How the line is encrypted.", "starttls")
    user: str = setting("The name to log in with, if any.", "")
    password: SecretSource | None = setting("Its password: file:PATH or env:NAME.", None)
    sender: MailAddress = setting("The address notices come from.", name="from")

    def problem(self) -> str:
        if bool(self.user) != bool(self.password):
            return "only one of user and password; both or neither"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings(Section):
    url: WebhookUrl = setting("Where notices are posted.")
    key: SecretSource = setting("The key that signs them: file:PATH or env:NAME.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSettings(Section):
    smtp: SmtpSettings | None = setting("Notices by mail.", None)
    webhook: WebhookSettings | None = setting("Notices by a signed call.", None)
    addresses: Annotated[dict[str, str] | None, OrWord("upstream")] = setting(
        "Where people's addresses come from: upstream (what devpi knows), "
        "or a map of user name to address.",
        "upstream",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings(Section):
    retention: DurationOrOff = setting("How long entries are kept; off for ever.", "400d")
    uploads: bool = setting(
        "Whether uploads are recorded: who, project, version, files with their SHA-256, answer.",
        True,
    )
    downloads: bool = setting(
        "Whether downloads of files are recorded, too: who, file, size, answer.",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings(Section):
    format: Literal["text", "json"] = setting("How messages are written to stderr.", "text")
    level: Literal["error", "warning", "info", "debug"] = setting(
        "Messages below this are left out.", "warning"
    )
    access: Literal["off", "combined", "json"] = setting(
        "A line for each request: combined (as Apache and nginx write it) or json.", "off"
    )
    access_file: FilePath | None = setting(
        "The file these lines go to; without it they go to stdout.", None
    )

    def problem(self) -> str:
        if self.access_file is not None and self.access == "off":
            return "an access_file with access: off; combined or json"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings(Section):
    endpoint: Annotated[str, Written(r"^(https?://[^\s?#@]+)?$", "http://HOST:PORT")] = setting(
        "An OTLP collector, by HTTP, such as http://127.0.0.1:4318; without it what "
        "OTEL_EXPORTER_OTLP_ENDPOINT says.",
        "",
    )
    sample: float = setting(
        "The share of requests that is traced, where no trusted proxy has decided.",
        0.1,
        ge=0,
        le=1,
    )


@dataclass(frozen=True, kw_only=True)
class Configuration(Section):
    """A whole file, as it is written."""

    version: Annotated[Literal[1], Whole()] = setting("The version of this format: 1.")
    listen: Annotated[tuple[ListenText, ...], OneOrMore(least=1)] = setting(
        "Where to accept connections: host:port (`[::]:8080` is IPv4 too), unix:/path, or a list.",
        "127.0.0.1:8080",
    )
    public_url: PublicUrlText = setting(
        "The address people use, such as https://packages.example.org."
    )
    documentation_url: OriginUrl | None = setting(
        "A host of its own for uploaded documentation, served here too, without any cookie.", None
    )
    metrics: ListenText | None = setting(
        "Where Prometheus may fetch numbers (GET /metrics), apart from `listen`: host:port or "
        "unix:/path. No password is asked for there.",
        None,
    )
    log: LogSettings = setting("What is logged, and where.", {})
    traces: TraceSettings | None = setting(
        "Traces for OpenTelemetry; takes the extra `index-gateway[otel]`.", None
    )
    tls: TlsSettings | None = setting("Own TLS; without it stand behind a TLS proxy.", None)
    language: Literal["en", "de", "es", "fr", "ja"] = setting(
        "What people are spoken to in whose browser asks for none of these, and in mail to those "
        "who never opened a page.",
        "en",
    )
    appearance: AppearanceSettings = setting("How the pages look.", {})
    upstream: UpstreamSettings = setting("The index server behind the gateway: kind and url.")
    store: StoreUrl = setting("Where state lives: sqlite:PATH or redis://HOST:PORT/DB.")
    keys: SecretSource = setting(
        "The gateway's keys, made by `index-gateway keys new`.", "file:gateway.keys"
    )
    trusted_proxies: Annotated[tuple[Network, ...], OneOrMore()] = setting(
        "Networks of the proxies whose X-Forwarded-For and X-Request-ID are believed.", ()
    )
    allow_open_default: bool = setting(
        "Allows `default: pass`, which leaves open what no rule names.", False
    )
    first_factor: FirstFactorSettings = setting("What becomes of passwords.", {})
    second_factor: SecondFactorSettings = setting("What is asked of people.", {})
    admins: Annotated[tuple[User, ...], OneOrMore()] = setting(
        "Users of the index who may use the pages under /+auth/admin/, with a recent second "
        "factor. Whoever logs in by such a name is one: name nobody whose account does not exist.",
        (),
    )
    tokens: TokenSettings = setting("API tokens.", {})
    publishers: tuple[PublisherModel, ...] = setting(
        "Who uploads without a secret (trusted publishing); the first that fits decides.",
        (),
        strict=False,
    )
    limits: LimitSettings = setting("Times and sizes.", {})
    notices: NoticeSettings = setting("How people hear of changes.", {})
    audit: AuditSettings = setting("The record of what happened.", {})
    groups: dict[GroupName, GroupModel] = setting("People by groups, for the rules.", {})
    rules: tuple[RuleModel, ...] = setting("The first rule that matches decides.", (), strict=False)
    ended_credentials: Literal["refuse", "pass"] = setting(
        "What happens to a credential that a login here handed out and that has ended here (log "
        "out, a changed factor or password) while the index still takes it: refuse, on every "
        "route, or pass where passwords pass.",
        "refuse",
    )
    response: Response = setting(
        "How browsers are to treat answers where no rule says.", "plain", strict=False
    )
    default: Literal["second_factor", "deny", "pass"] = setting(
        "What happens to requests no rule matches.", "second_factor"
    )
    tests: tuple[TestModel, ...] = setting(
        "Requests and what they must meet; run by `check` and at every start.", (), strict=False
    )


@dataclass(frozen=True, kw_only=True)
class Settings(Configuration):
    """A configuration that can be used; files in it are found from the directory it was read from.

    file, places, warnings: the file it was read from, where things stand in it, and what is
    worth saying about it though it can be used. members: the groups with everybody in them.
    """

    file: str = "configuration"
    places: Mapping[Loc, Place] = field(default_factory=dict, repr=False, compare=False)
    warnings: tuple[Problem, ...] = field(default=(), repr=False, compare=False)
    members: Groups = field(default_factory=Groups, repr=False, compare=False)

    def place(self, loc: Loc) -> Place:
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
                groups=self.members,
            )
            for number, rule in enumerate(self.rules)
        )
        return RuleSet(rules, Policy(self.default))

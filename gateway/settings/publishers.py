"""Trusted publishers as the configuration writes them, and the `gateway.core` ones they become."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from gateway.core.publishing import publishers as kinds
from gateway.core.publishing.claims import Condition
from gateway.core.publishing.publishers import Publisher
from gateway.core.tokens.projects import pattern
from gateway.settings.addresses import parse_url
from gateway.settings.fields import JsonSchema, OneOrMore, Section, Written, setting
from gateway.settings.problems import show

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

_PROJECTS: Final = "a name, or a pattern such as acme-*"
_HTTPS: Final = "an address of https without a query, such as https://gitlab.example.org"


def _issuer(text: str) -> str:
    parts = parse_url(text, _HTTPS)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if (parts.scheme != "https" and not local) or not text.isascii():
        raise ValueError(f"{show(text)} is not encrypted; {_HTTPS}")
    return text


def _project(text: str) -> str:
    found = pattern(text)
    if found is None:
        raise ValueError(
            f"{show(text)} is not a valid project; a name, or a pattern such as acme-*"
        )
    return found


IssuerUrl: TypeAlias = Annotated[str, Written(r"^https?://[^\s?#@]+$", _HTTPS, _issuer)]
ProjectText: TypeAlias = Annotated[str, Written(r"^[A-Za-z0-9*?._-]+$", _PROJECTS, _project)]
IndexName: TypeAlias = Annotated[str, Written(r"^[^\s/+]+/[^\s/+]+$", "USER/INDEX")]
Repository: TypeAlias = Annotated[
    str, Written(r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$(?![\s\S])", "OWNER/NAME as on GitHub")
]
FilePathText: TypeAlias = Annotated[
    str, Written(r"^[^\s@][^@\x00-\x1f]*$(?![\s\S])", "the name of a file in the repository")
]
OneLine: TypeAlias = Annotated[
    str, Written(r"^[^\x00-\x1f]{1,200}$(?![\s\S])", "1 to 200 characters, one line")
]
PublisherName: TypeAlias = Annotated[
    str, Written(r"^[^\x00-\x1f]{1,60}$(?![\s\S])", "1 to 60 characters, one line")
]


@dataclass(frozen=True, slots=True)
class PlainValue:
    """A text, a whole number, true or false, each as the file has it."""

    def read(self, data: object) -> object:
        if not isinstance(data, str | int):
            raise ValueError(f"{show(data)}; text, a whole number, true or false")
        return data

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core.core_schema import no_info_plain_validator_function

        return no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": ["string", "integer", "boolean"]}


ClaimValue: TypeAlias = Annotated[str | int | bool, PlainValue()]

# What each kind needs, and what it can have besides `claims`.
_NEEDS: Final = MappingProxyType(
    {
        "github": ("repository", "owner_id", "workflow"),
        "gitlab": ("project", "project_id", "workflow"),
        "google": ("email", "subject"),
        "activestate": ("organization", "project", "actor_id"),
        "oidc": ("issuer", "claims"),
    }
)
_MAY: Final = MappingProxyType(
    {
        "github": ("environment", "issuer"),
        "gitlab": ("environment", "issuer"),
        "google": (),
        "activestate": (),
        "oidc": (),
    }
)
_OF_KINDS: Final = (
    "repository",
    "owner_id",
    "project",
    "project_id",
    "workflow",
    "environment",
    "email",
    "subject",
    "organization",
    "actor_id",
    "issuer",
)
_ISSUERS: Final = MappingProxyType(
    {
        "github": kinds.GITHUB,
        "gitlab": kinds.GITLAB,
        "google": kinds.GOOGLE,
        "activestate": kinds.ACTIVESTATE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherModel(Section):
    """A publisher as the file has it."""

    name: PublisherName = setting("How messages, notices and the audit trail call it.")
    kind: Literal["github", "gitlab", "google", "activestate", "oidc"] = setting(
        "Who issues its identity tokens; oidc: any issuer, with exact claims."
    )
    projects: Annotated[tuple[ProjectText, ...], OneOrMore(least=1)] = setting(
        "What it uploads: names, or patterns such as acme-*."
    )
    index: Annotated[tuple[IndexName, ...], OneOrMore()] = setting(
        "devpi: the index (USER/INDEX) it uploads to, or a list.", ()
    )
    user: str = setting(
        "In whose name it uploads, with the password that `index-gateway publisher password` "
        "keeps; left out where upstream.service_account stands for everybody.",
        "",
    )
    only: bool = setting("Whether its projects are uploaded in no other way.", False)
    repository: Repository | None = setting("github: OWNER/NAME.", None)
    owner_id: int | None = setting(
        "github: the number of the owner's account, which a later one of the same name has not "
        "(`gh api users/OWNER --jq .id`).",
        None,
        ge=1,
    )
    workflow: FilePathText | None = setting(
        "github: the file below .github/workflows; gitlab: the path of the pipeline's file.", None
    )
    environment: OneLine | None = setting(
        "github, gitlab: the environment that the job runs in; any if not said.", None
    )
    project: OneLine | None = setting(
        "gitlab: GROUP/NAME of the project; activestate: the project.", None
    )
    project_id: int | None = setting(
        "gitlab: the number of the project, shown on its page.", None, ge=1
    )
    email: OneLine | None = setting("google: the mail address of the service account.", None)
    subject: OneLine | None = setting("google: its unique id, a number in quotes.", None)
    organization: OneLine | None = setting("activestate: the organization.", None)
    actor_id: OneLine | None = setting("activestate: the id of the account that builds.", None)
    issuer: IssuerUrl | None = setting(
        "oidc: the issuer, exactly as its tokens name it; github, gitlab: that of an own server.",
        None,
    )
    claims: dict[str, ClaimValue] | None = setting(
        "What else a token has to say, exactly and of the same type.", None, min_length=1
    )

    def problem(self) -> str:
        kind = self.kind
        for key in _NEEDS[kind]:
            if getattr(self, key) is None:
                return f"kind {kind} without {key}; {', '.join(_NEEDS[kind])}"
        for key in _OF_KINDS:
            if getattr(self, key) is not None and key not in (*_NEEDS[kind], *_MAY[kind]):
                may = ", ".join((*_NEEDS[kind], *_MAY[kind], "claims"))
                return f"{key} with kind {kind}; {may}"
        if {"iss", "aud", "exp"} & set(self.claims or ()):
            return "claims that the gateway looks at itself (iss, aud, exp); others"
        return ""

    @property
    def its_issuer(self) -> str:
        return self.issuer or _ISSUERS[self.kind]

    def publisher(self) -> Publisher:
        """The publisher to compare tokens with."""
        whose, others, pinned = self._conditions()
        claims = kinds.exactly(self.claims or {})
        whose, others = (claims, ()) if self.kind == "oidc" else (whose, (*others, *claims))
        return Publisher(
            name=self.name,
            kind=self.kind,
            issuer=self.its_issuer,
            whose=whose,
            others=others,
            pinned=pinned,
            projects=self.projects,
            indexes=self.index,
            only=self.only,
            user=self.user,
        )

    def _conditions(self) -> tuple[tuple[Condition, ...], tuple[Condition, ...], str]:
        match self.kind:
            case "github":
                return kinds.github(
                    self.repository or "",
                    self.owner_id or 0,
                    self.workflow or "",
                    self.environment or "",
                )
            case "gitlab":
                return kinds.gitlab(
                    self.its_issuer,
                    self.project or "",
                    self.project_id or 0,
                    self.workflow or "",
                    self.environment or "",
                )
            case "google":
                return kinds.google(self.email or "", self.subject or "")
            case "activestate":
                return kinds.activestate(
                    self.organization or "", self.project or "", self.actor_id or ""
                )
            case "oidc":
                return (), (), ""

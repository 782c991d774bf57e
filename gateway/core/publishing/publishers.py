"""Who may upload without a secret: one record per publisher, and the conditions of each kind.

Knows what each issuer says of its jobs; knows no token's signature and no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.core.publishing.claims import (
    Begins,
    Caseless,
    Claims,
    Condition,
    Exactly,
    File,
    NoneOf,
    Plain,
)
from gateway.core.tokens.projects import fits

GITHUB: Final = "https://token.actions.githubusercontent.com"
GITLAB: Final = "https://gitlab.com"
GOOGLE: Final = "https://accounts.google.com"
ACTIVESTATE: Final = "https://platform.activestate.com/api/v1/oauth/oidc"

UNTRUSTED_EVENTS: Final = ("pull_request_target", "workflow_run")
"""GitHub starts these in the name of the repository for what strangers have written."""

TOLD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "github": (
            "repository",
            "job_workflow_ref",
            "run_id",
            "run_attempt",
            "event_name",
            "actor",
        ),
        "gitlab": ("project_path", "ci_config_ref_uri", "pipeline_id", "job_id", "user_login"),
        "google": ("email", "sub"),
        "activestate": ("organization", "project", "actor", "ingredient"),
        "oidc": ("sub",),
    }
)
"""What the audit trail keeps of a token, by kind."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """One that is configured.

    whose: conditions on who runs the job; one who meets them is told which of the `others` fail.
    pinned: the claim that tells an account or repository from a later one of the same name, ""
        for none.
    indexes: "user/name"; empty where the server is one index. projects: normalised, or patterns.
    only: those projects are uploaded by publishers alone.
    user: whose sealed password the index gets; "" for the service account.
    """

    name: str
    kind: str
    issuer: str
    whose: tuple[Condition, ...]
    others: tuple[Condition, ...]
    pinned: str
    projects: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    only: bool = False
    user: str = ""

    def missed(self, claims: Claims) -> tuple[str, ...] | None:
        """The claims that do not fit, none where all do; None where it is about somebody else."""
        if not all(condition.holds(claims) for condition in self.whose):
            return None
        return tuple(one.claim for one in self.others if not one.holds(claims))

    def covers(self, project: str, index: str | None) -> bool:
        """Whether a (normalised) project is among its. index: None for any."""
        if index is not None and self.indexes and index not in self.indexes:
            return False
        return any(fits(project, one) for one in self.projects)

    def told(self, claims: Claims) -> str:
        """What the trail keeps of a token."""
        said = [(name, claims.get(name)) for name in TOLD[self.kind]]
        return ", ".join(f"{name} {_shown(value)}" for name, value in said if value is not None)

    def label(self, claims: Claims) -> str:
        """The name of a token that is made for a job."""
        who = next((claims[name] for name in TOLD[self.kind] if name in claims), self.name)
        run = claims.get("run_id", claims.get("pipeline_id", ""))
        full = f"{_shown(who)} {_shown(run)}".strip()
        return full if len(full) <= 60 else full[:59] + "…"


def github(
    repository: str, owner_id: int, workflow: str, environment: str
) -> tuple[tuple[Condition, ...], tuple[Condition, ...], str]:
    """A workflow of a repository (`OWNER/NAME`) on GitHub, in an environment or any."""
    whose: tuple[Condition, ...] = (
        Caseless("repository", repository),
        Caseless("repository_owner", repository.partition("/")[0]),
    )
    place = f"{repository}/.github/workflows/"
    others: tuple[Condition, ...] = (
        Exactly("repository_owner_id", str(owner_id)),
        File("job_workflow_ref", place, workflow, ("ref", "sha")),
        NoneOf("event_name", UNTRUSTED_EVENTS),
        *((Caseless("environment", environment),) if environment else ()),
    )
    return whose, others, "repository_owner_id"


def gitlab(
    issuer: str, project: str, project_id: int, workflow: str, environment: str
) -> tuple[tuple[Condition, ...], tuple[Condition, ...], str]:
    """A pipeline of a project (`GROUP/…/NAME`) of a GitLab instance."""
    place = f"{issuer.partition('://')[2].rstrip('/')}/{project}//"
    whose: tuple[Condition, ...] = (Caseless("project_path", project),)
    others: tuple[Condition, ...] = (
        Exactly("project_id", str(project_id)),
        Begins("sub", f"project_path:{project}:"),
        File("ci_config_ref_uri", place, workflow, ("ref_path", "sha")),
        *((Exactly("environment", environment),) if environment else ()),
    )
    return whose, others, "project_id"


def google(email: str, subject: str) -> tuple[tuple[Condition, ...], tuple[Condition, ...], str]:
    """A service account of Google's."""
    whose: tuple[Condition, ...] = (Exactly("email", email),)
    return whose, (Exactly("sub", subject), Exactly("email_verified", True)), "sub"


def activestate(
    organization: str, project: str, actor_id: str
) -> tuple[tuple[Condition, ...], tuple[Condition, ...], str]:
    """A project of an organization on the ActiveState platform."""
    whose: tuple[Condition, ...] = (
        Exactly("organization", organization),
        Exactly("project", project),
    )
    others: tuple[Condition, ...] = (
        Exactly("sub", f"org:{organization}:project:{project}"),
        Exactly("actor_id", actor_id),
        Exactly("builder", "pypi-publisher"),
    )
    return whose, others, "actor_id"


def exactly(claims: Mapping[str, Plain]) -> tuple[Condition, ...]:
    return tuple(Exactly(name, value) for name, value in claims.items())


def _shown(value: object) -> str:
    text = str(value)
    return "".join(char if char.isprintable() else "?" for char in text)[:100]

"""Trusted publishing with the programs that do it, as they come: uv on GitHub and on GitLab, and
the script of pypa/gh-action-pypi-publish, which is kept here with its licence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, write
from gateway.core.audit.events import Event
from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.gate.test_tokens import entries
from tests.support import issuer as issuers
from tests.support.certificates import certificate_for_localhost
from tests.support.clients import Done, run, twine, uv
from tests.support.issuer import Issuer, publisher
from tests.support.servers import Index

SCRIPT = Path(__file__).parents[1] / "support/gh_action_pypi_publish/oidc-exchange.py"


class TlsServed(Served):
    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def audience(self) -> str:
        return f"localhost:{self.port}"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuers.running() as found:
        yield found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate_for_localhost(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def before_pypiserver(
    tmp_path_factory: pytest.TempPathFactory,
    pypiserver: Index,
    issuer: Issuer,
    certificate: tuple[Path, Path],
) -> Iterator[TlsServed]:
    place = tmp_path_factory.mktemp("published")
    (place / "service").write_text(PYPISERVER_USERS["carol"])
    cert, key = map(str, certificate)
    keys = {
        "tls": {"certificate": cert, "key": key},
        "upstream.service_account": {"user": "carol", "password": "file:service"},
        "publishers": [
            publisher(issuer, "published", "acme-*", only=True),
            {
                "name": "release of lab",
                "kind": "gitlab",
                "issuer": issuer.url,
                "project": "acme/group/foo",
                "project_id": 17,
                "workflow": ".gitlab-ci.yml",
                "projects": ["lab"],
            },
        ],
    }
    served = TlsServed(place, "pypiserver", pypiserver.url, keys)
    served.start()
    yield served
    served.stop()


def publish(
    served: TlsServed, place: Path, env: dict[str, str], *files: Path, at: str = "/"
) -> Done:
    words = ["publish", "--trusted-publishing", "always", "--publish-url", served.url + at]
    return uv(place, *words, *map(str, files), UV_INSECURE_HOST="localhost", **env)


def test_uv_publishes_from_a_job_on_github(
    before_pypiserver: TlsServed, pypiserver: Index, issuer: Issuer, tmp_path: Path
) -> None:
    served, kept = before_pypiserver, pypiserver.place / "packages"
    wheel, sdist = write(tmp_path / "dist", Package("published", "1.0"))
    done = publish(served, tmp_path, issuer.env(), wheel, sdist)
    assert done.code == 0, done.said
    assert {wheel.name, sdist.name} <= {file.name for file in kept.iterdir()}
    made = entries(served, Event.TOKEN_MADE)[-1]
    assert "by release of foo: repository Acme/Foo" in made["detail"]
    assert "run_id 99" in made["detail"]
    assert made["user"] == "carol"

    other, _ = write(tmp_path / "dist", Package("bar", "1.0"))
    done = publish(served, tmp_path, issuer.env(), other)
    assert done.code != 0
    assert MESSAGES[Slug.TOKEN_SCOPE].text.format(what="the project bar") in done.words
    assert not (kept / other.name).exists()


def test_uv_publishes_from_a_job_on_gitlab(
    before_pypiserver: TlsServed, pypiserver: Index, issuer: Issuer, tmp_path: Path
) -> None:
    """The variable goes by the audience: its letters in capitals, and _ for everything else."""
    served = before_pypiserver
    claims = issuers.gitlab(served.clock(), served.audience, f"localhost:{issuer.port}")
    variable = f"LOCALHOST_{served.port}_ID_TOKEN"
    wheel, _ = write(tmp_path / "dist", Package("lab", "1.0"))
    env = {"GITLAB_CI": "true", variable: issuer.token(claims)}
    done = publish(served, tmp_path, env, wheel)
    assert done.code == 0, done.said
    assert (pypiserver.place / "packages" / wheel.name).exists()


def test_uv_prints_why_a_job_gets_no_token(
    before_pypiserver: TlsServed, issuer: Issuer, tmp_path: Path
) -> None:
    wheel, _ = write(tmp_path / "dist", Package("published", "2.0"))
    issuer.job = {"event_name": "pull_request_target"}
    try:
        done = publish(before_pypiserver, tmp_path, issuer.env(), wheel)
    finally:
        issuer.job = {}
    assert done.code != 0
    assert "invalid-publisher" in done.words
    assert "event_name" in done.words


def exchange(served: TlsServed, issuer: Issuer, certificate: Path, place: Path) -> Done:
    summary = place / "summary.md"
    env = {
        **issuer.env(),
        "INPUT_REPOSITORY_URL": served.url + "/",
        "GITHUB_STEP_SUMMARY": str(summary),
        "REQUESTS_CA_BUNDLE": str(certificate),
    }
    return run(place, sys.executable, str(SCRIPT), env=env)


def test_the_script_of_the_publishing_action(
    before_pypiserver: TlsServed,
    pypiserver: Index,
    issuer: Issuer,
    certificate: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    served, (trust, _) = before_pypiserver, certificate
    done = exchange(served, issuer, trust, tmp_path)
    assert done.code == 0, done.said
    assert "::add-mask::pypi-" in done.said
    (token,) = [line for line in done.said.splitlines() if line.startswith("pypi-")]
    wheel, _ = write(tmp_path / "dist", Package("acme_thing", "1.0"))
    done = twine(tmp_path, served.url, "__token__", token, wheel, TWINE_CERT=str(trust))
    assert done.code == 0, done.said
    assert (pypiserver.place / "packages" / wheel.name).exists()

    issuer.job = {"job_workflow_ref": "Acme/Foo/.github/workflows/test.yml@refs/tags/v1"}
    try:
        done = exchange(served, issuer, trust, tmp_path)
    finally:
        issuer.job = {}
    assert done.code == 1
    assert "`invalid-publisher`: The identity token is valid, but" in done.said
    assert "job_workflow_ref" in done.said


def test_nobody_else_uploads_what_is_published_only(
    before_pypiserver: TlsServed, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    served, (trust, _) = before_pypiserver, certificate
    wheel, _ = write(tmp_path / "dist", Package("published", "3.0"))
    words = MESSAGES[Slug.PUBLISHER_ONLY].text.format(project="published")
    password = PYPISERVER_USERS["alice"]
    done = twine(tmp_path, served.url, "alice", password, wheel, TWINE_CERT=str(trust))
    assert done.code != 0
    assert words in done.words

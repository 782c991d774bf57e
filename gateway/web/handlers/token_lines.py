"""What to write where, so that a program uses an API token: shown once, beside the token.

`make docs` writes the same lines into docs/clients/, and a test runs those pages with the programs
themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.core.phrases import _
from gateway.core.upstream import Action, Addresses

NAME: Final = "company"
"""What the lines call the index."""


@dataclass(frozen=True, slots=True)
class Lines:
    """One block to copy. where: the file it goes into, or "shell"."""

    program: str
    where: str
    text: str = field(repr=False)


def upload_lines(token: str, public_url: str, places: Addresses) -> tuple[Lines, ...]:
    """How to upload."""
    url = public_url + places.upload
    return (
        Lines(
            "twine",
            "~/.pypirc",
            f"[distutils]\nindex-servers = {NAME}\n\n[{NAME}]\nrepository = {url}\n"
            f"username = __token__\npassword = {token}",
        ),
        Lines("uv", "shell", _shell(UV_PUBLISH_URL=url, UV_PUBLISH_TOKEN=token)),
        Lines(
            "poetry",
            "shell",
            _shell(
                POETRY_REPOSITORIES_COMPANY_URL=url,
                POETRY_HTTP_BASIC_COMPANY_USERNAME="__token__",
                POETRY_HTTP_BASIC_COMPANY_PASSWORD=token,
            ),
        ),
        Lines(
            "hatch",
            "shell",
            _shell(HATCH_INDEX_REPO=url, HATCH_INDEX_USER="__token__", HATCH_INDEX_AUTH=token),
        ),
        Lines(
            "flit",
            "shell",
            _shell(FLIT_INDEX_URL=url, FLIT_USERNAME="__token__", FLIT_PASSWORD=token),
        ),
        Lines(
            "pdm",
            "shell",
            _shell(
                PDM_PUBLISH_REPO=url, PDM_PUBLISH_USERNAME="__token__", PDM_PUBLISH_PASSWORD=token
            ),
        ),
        Lines(
            "GitHub Actions",
            _("a step of a workflow; the token in the secret INDEX_TOKEN"),
            "- uses: pypa/gh-action-pypi-publish@release/v1\n  with:\n"
            f"    repository-url: {url}\n    password: ${{{{ secrets.INDEX_TOKEN }}}}",
        ),
        Lines(
            "GitLab CI",
            _(".gitlab-ci.yml; the token in the variable INDEX_TOKEN, masked and protected"),
            "upload:\n"
            f"  script: twine upload --repository-url {url} dist/*\n"
            "  variables: {TWINE_USERNAME: __token__, TWINE_PASSWORD: $INDEX_TOKEN}",
        ),
    )


def read_lines(token: str, public_url: str, places: Addresses) -> tuple[Lines, ...]:
    """How to install."""
    url = public_url + places.simple
    scheme, _mark, rest = url.partition("://")
    return (
        Lines(
            "pip",
            _("pip.conf, see `pip config debug`"),
            f"[global]\nindex-url = {scheme}://__token__:{token}@{rest}",
        ),
        Lines(
            "uv",
            "shell",
            _shell(
                UV_DEFAULT_INDEX=f"{NAME}={url}",
                UV_INDEX_COMPANY_USERNAME="__token__",
                UV_INDEX_COMPANY_PASSWORD=token,
            ),
        ),
        Lines(
            "poetry",
            "shell",
            f"poetry source add {NAME} {url}\n"
            + _shell(
                POETRY_HTTP_BASIC_COMPANY_USERNAME="__token__",
                POETRY_HTTP_BASIC_COMPANY_PASSWORD=token,
            ),
        ),
        Lines(
            "pdm",
            "shell",
            _shell(PDM_PYPI_URL=url, PDM_PYPI_USERNAME="__token__", PDM_PYPI_PASSWORD=token),
        ),
        Lines(
            _("pip, uv, curl and others"),
            _("~/.netrc, readable by you alone"),
            f"machine {urlsplit(public_url).hostname}\nlogin __token__\npassword {token}",
        ),
        Lines(
            "GitHub Actions",
            _("env of a job; the token in the secret INDEX_TOKEN"),
            f"env:\n  PIP_INDEX_URL: {scheme}://__token__:${{{{ secrets.INDEX_TOKEN }}}}@{rest}",
        ),
        Lines(
            "GitLab CI",
            _(".gitlab-ci.yml; the token in the variable INDEX_TOKEN, masked and protected"),
            f"variables:\n  PIP_INDEX_URL: {scheme}://__token__:$INDEX_TOKEN@{rest}",
        ),
    )


def lines_for(
    actions: tuple[Action, ...], token: str, public_url: str, places: Addresses
) -> tuple[tuple[str, tuple[Lines, ...]], ...]:
    """The blocks for what a token may do, under a heading each."""
    found = []
    if Action.UPLOAD in actions:
        found.append((_("Upload with it"), upload_lines(token, public_url, places)))
    if Action.READ in actions:
        found.append((_("Install with it"), read_lines(token, public_url, places)))
    return tuple(found)


def _shell(**values: str) -> str:
    return "\n".join(f"export {name}={value}" for name, value in values.items())

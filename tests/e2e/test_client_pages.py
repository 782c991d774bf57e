"""The pages about clients, copied and pasted: their blocks run with the programs themselves, before
both indexes, where reading takes a login. The page of a new token shows the same lines."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from ruamel.yaml import YAML

from gateway.cli.demo.indexes import Package, script, write
from gateway.core.upstream import Addresses
from tests.conftest import PYPISERVER_USERS
from tests.e2e.test_tokens import make
from tests.support.clients import Done, run
from tests.support.gateways import Gateway, running
from tests.support.servers import Index

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/clients").glob("*.md"))
OWNERS = {"devpi": "copying", "pypiserver": "carol"}
HELLO = Package("hello", "1.0")
ADDRESS = re.compile(r"https://([^@/\s]*@)?packages\.example\.org/alice/dev\b(/\+simple)?")
PROJECT = """\
[project]
name = "{name}"
version = "1.0"
description = "Made for a test."
requires-python = ">=3.11"

[tool.pdm]
distribution = false
"""
BUILT_BY_FLIT = """
[build-system]
requires = ["flit_core>=3.11,<5"]
build-backend = "flit_core.buildapi"
"""


@dataclass
class Section:
    """What a page says under one heading: lines for a shell, and files with their places."""

    title: str
    commands: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def sections(page: Path) -> list[Section]:
    """Those of a page that have something to copy."""
    found = []
    for part in re.split(r"^## ", page.read_text("utf-8"), flags=re.M)[1:]:
        section = Section(part.partition("\n")[0])
        pieces = re.split(r"^```(\w+)\n(.*?)^```$", part, flags=re.M | re.S)
        for before, language, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
            if language == "sh":
                section.commands.append(text)
            else:
                named = re.findall(r"`(~/[^`]+)`", before)
                section.files[named[-1] if named else language] = text
        if pieces[1:]:
            found.append(section)
    return found


@dataclass(frozen=True)
class Place:
    """An index with a gateway before it, and somebody's password and token there."""

    gateway: Gateway
    places: Addresses
    token: str
    user: str
    password: str

    def filled(self, text: str, project: str) -> str:
        """A block with everything in the place of what stands for it."""
        for name in ("${{ secrets.INDEX_TOKEN }}", "$INDEX_TOKEN", "devpi-…", "pypi-…"):
            own = self.token.replace("pypi-", "devpi-") if name == "devpi-…" else self.token
            text = text.replace(name, own)
        address = urlsplit(self.gateway.url)

        def ours(found: re.Match[str]) -> str:
            path = self.places.simple if found[2] else self.places.upload
            return f"{address.scheme}://{found[1] or ''}{address.netloc}{path.rstrip('/')}"

        text = ADDRESS.sub(ours, text)
        text = text.replace("https://packages.example.org", self.gateway.url)
        text = text.replace("packages.example.org", str(address.hostname))
        text = text.replace("alice/dev", self.places.upload.strip("/"))
        assert "…" not in text and "alice" not in text
        return re.sub(r"\bhello\b", project, text)

    def listed(self, project: str) -> str:
        address = f"{self.places.simple}{project}/"
        return self.gateway.client().get(address, auth=("__token__", self.token)).text


@pytest.fixture(scope="module")
def indexes(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: Index, pypiserver: Index
) -> Iterator[dict[str, Place]]:
    passwords = {
        "devpi": devpi_server.person(OWNERS["devpi"], HELLO),
        "pypiserver": PYPISERVER_USERS[OWNERS["pypiserver"]],
    }
    places = {
        "devpi": Addresses("/copying/dev/", "/copying/dev/+simple/"),
        "pypiserver": Addresses("/", "/simple/"),
    }
    here = tmp_path_factory.mktemp("pages")
    with (
        running(here / "devpi", "devpi", devpi_server.url, private=True) as one,
        running(here / "pypiserver", "pypiserver", pypiserver.url, private=True) as other,
    ):
        scope = ("--scope", "upload", "--scope", "read")
        made = {}
        for gateway in (one, other):
            kind = gateway.kind
            token = make(gateway, OWNERS[kind], passwords[kind], "copied", *scope)
            made[kind] = Place(gateway, places[kind], token, OWNERS[kind], passwords[kind])
        yield made


@pytest.fixture(scope="module")
def programs() -> str:
    """Where they all are, as PATH says it."""
    subprocess.run([ROOT / "tools/clients"], check=True, timeout=110)
    return (
        f"{Path(script('pip')).parent}:{ROOT / '.cache/clients/bin'}:/usr/local/bin:/usr/bin:/bin"
    )


def variables(home: Path, programs: str) -> dict[str, str]:
    """Where programs put things, and that they ask nothing."""
    return {
        "PATH": programs,
        "PIP_CONFIG_FILE": str(home / ".config/pip/pip.conf"),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_TARGET": str(home / "lib"),
        "PDM_CHECK_UPDATE": "0",
        "POETRY_NO_INTERACTION": "1",
        "TWINE_NON_INTERACTIVE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def follow(home: Path, page: Path, section: Section, place: Place, programs: str) -> Done:
    """Do what a section says, in an empty home with a project in it."""
    project = re.sub(r"\W", "", f"{page.stem}{home.name}")
    named = "hello" if section.title != "Upload" else project
    write(home / "dist", Package(project, "1.0"))
    more = BUILT_BY_FLIT if page.stem == "flit" else ""
    (home / "pyproject.toml").write_text(PROJECT.format(name=project) + more)
    (home / f"{project}.py").write_text('"""A module."""\n')
    env = variables(home, programs)
    commands = [place.filled(text, named) for text in section.commands]
    for name, text in section.files.items():
        text = place.filled(text, named)
        if name == "yml":
            given, command = job(YAML(typ="safe").load(text))
            env |= given
            commands.append(command)
            continue
        file = home / name.removeprefix("~/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = run(home, "sh", "-euc", "\n".join(commands), env=env)
    assert place.token not in done.said
    if done.code == 0 and section.title == "Upload":
        assert f"{project}-1.0" in place.listed(project), done.said
    return done


def job(said: Any) -> tuple[dict[str, str], str]:
    """The variables and the command that a workflow's lines come to."""
    if isinstance(said, list):  # a step with the publishing action, as its script goes on
        given = said[0]["with"]
        env = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": given["password"]}
        return env | {"TWINE_REPOSITORY_URL": given["repository-url"]}, "twine upload dist/*"
    if "upload" in said:
        return said["upload"]["variables"], said["upload"]["script"]
    return said.get("env") or said["variables"], "pip install hello"


def rows() -> Iterator[Any]:
    """Each page with each index; what is slow to start, or the same again, with one of them
    unless --long is given."""
    for page in PAGES:
        yield pytest.param(page, "devpi", id=f"{page.stem}-devpi")
        if page.stem != "devpi-client":
            marks = [] if page.stem in ("pip", "uv", "twine", "curl") else [pytest.mark.long]
            yield pytest.param(page, "pypiserver", id=f"{page.stem}-pypiserver", marks=marks)


@pytest.mark.parametrize(("page", "kind"), list(rows()))
def test_what_is_copied_from_a_page_works(
    page: Path, kind: str, indexes: dict[str, Place], programs: str, tmp_path: Path
) -> None:
    for number, section in enumerate(sections(page)):
        home = tmp_path / f"{kind}{number}"
        home.mkdir()
        done = follow(home, page, section, indexes[kind], programs)
        assert done.code == 0, (section.title, done.said)
        if section.title.startswith("Install"):
            assert list(home.rglob("hello/__init__.py")), (section.title, done.said)
        elif section.title == "Read":
            assert "hello-1.0" in done.said


NETRC = """\
printf 'machine {host} login __token__ password {token}\\n' > ~/.netrc
chmod 600 ~/.netrc
"""
KEPT = """\
export PYTHON_KEYRING_BACKEND=tests.support.file_keyring.FileKeyring FILE_KEYRING=$HOME/kept.json
export PYTHONPATH={root}
printf '{{"{where} __token__": "{token}"}}' > kept.json
"""
POETRY = "poetry source add company {simple}\n"
UV = "uv venv\nuv pip install --no-cache"
OTHER_WAYS = {
    "pip, in the address": "pip install --index-url {named} hello",
    "pip, a code behind the password": "PIP_INDEX_URL={coded} pip install hello",
    "uv, in the address": f"{UV} --default-index {{named}} hello",
    "uv, a code behind the password": f"{UV} --default-index {{coded}} hello",
    "uv, variables of a second index": "export UV_INDEX_COMPANY_USERNAME=__token__\n"
    "export UV_INDEX_COMPANY_PASSWORD={token}\n"
    f"{UV} --default-index file://$HOME/none --index company={{simple}} hello",
    "curl, in the address": "curl -sSf -o answer {named}hello/\ngrep -q hello-1.0 answer",
    "poetry, a netrc": NETRC + POETRY + "poetry add hello",
    "poetry, a keyring": KEPT.replace("{where}", "poetry-repository-company")
    + POETRY + "poetry config http-basic.company __token__ {token}\npoetry add hello",
    "poetry, a code behind the password": POETRY
    + "export POETRY_HTTP_BASIC_COMPANY_USERNAME={user}\n"
    "export POETRY_HTTP_BASIC_COMPANY_PASSWORD='{secret},123456'\npoetry add hello",
    "pdm, in the address": "PDM_PYPI_URL={named} pdm add hello",
    "pdm, a netrc": NETRC + "PDM_PYPI_URL={simple} pdm add hello",
    "pdm, a keyring": KEPT.replace("{where}", "{simple}")
    + "PDM_PYPI_URL={simple} PDM_PYPI_USERNAME=__token__ pdm add hello",
    "twine, a keyring": KEPT.replace("{where}", "{upload}")
    + "twine upload --username __token__ --repository-url {upload} dist/*",
    "flit, a keyring": KEPT.replace("{where}", "{upload}")
    + "FLIT_USERNAME=__token__ FLIT_INDEX_URL={upload} flit publish",
    "hatch, a keyring": KEPT.replace("{where}", "{upload}")
    + "HATCH_INDEX_USER=__token__ HATCH_INDEX_REPO={upload} hatch publish",
}  # fmt: skip
"""What the pages do not say, and works all the same."""
QUICK = ("pip, a code behind the password", "uv, variables of a second index")
"""One of each sort; the rest with --long."""


def other_rows() -> Iterator[Any]:
    for name in OTHER_WAYS:
        for kind in OWNERS:
            quick = kind == "devpi" and name in QUICK
            marks = [] if quick else [pytest.mark.long]
            yield pytest.param(name, kind, id=f"{name}-{kind}", marks=marks)


@pytest.mark.parametrize(("name", "kind"), list(other_rows()))
def test_other_ways_to_give_a_credential(
    name: str, kind: str, indexes: dict[str, Place], programs: str, tmp_path: Path
) -> None:
    place, home = indexes[kind], tmp_path / "home"
    home.mkdir()
    address = place.gateway.url
    simple = address + place.places.simple
    project = re.sub(r"\W", "", f"by{name}{kind}")
    write(home / "dist", Package(project, "1.0"))
    more = BUILT_BY_FLIT if name.startswith("flit") else ""
    (home / "pyproject.toml").write_text(PROJECT.format(name=project) + more)
    (home / f"{project}.py").write_text('"""A module."""\n')

    def holding(user: str, secret: str) -> str:
        return simple.replace("://", f"://{user}:{quote(secret)}@")

    text = OTHER_WAYS[name].format(
        simple=simple,
        upload=address + place.places.upload,
        named=holding("__token__", place.token),
        coded=holding(place.user, f"{place.password},123456"),
        token=place.token,
        user=place.user,
        secret=place.password,
        host=urlsplit(address).hostname,
        root=ROOT,
    )
    done = run(home, "sh", "-euc", text, env=variables(home, programs))
    assert done.code == 0, done.said
    if "publish" in text or "upload --" in text:
        assert f"{project}-1.0" in place.listed(project), done.said
    elif "curl" not in text:
        assert list(home.rglob("hello/__init__.py")), done.said


def test_a_page_for_each_client() -> None:
    names = {page.stem for page in PAGES}
    assert len(names) >= 11
    for page in PAGES:
        assert sections(page), page.name
    text = (ROOT / "docs/clients.md").read_text("utf-8")
    assert {*re.findall(r"\(clients/([\w-]+)\.md\)", text)} == names

"""pip, uv and twine through the gateway: what they did before, they go on doing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, wheel, write
from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS
from tests.e2e.conftest import NewPerson
from tests.support.clients import pip, twine, uv
from tests.support.gateways import Gateway
from tests.support.servers import Index

HELLO = Package("hello", "1.0")


@pytest.fixture(scope="module")
def simple(before_devpi: Gateway, before_pypiserver: Gateway, person: NewPerson) -> dict[str, str]:
    """The address an installer is given, by kind of index."""
    owner = person("owner", HELLO, enrolled=False)
    return {
        "devpi": f"{before_devpi.url}/{owner.index}/+simple/",
        "pypiserver": f"{before_pypiserver.url}/simple/",
    }


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_pip_downloads_the_same_bytes(kind: str, simple: dict[str, str], tmp_path: Path) -> None:
    argv = ["download", "--no-deps", "--no-cache-dir", "--index-url", simple[kind], "hello"]
    done = pip(tmp_path, *argv)
    assert done.code == 0, done.said
    assert (tmp_path / HELLO.wheel_name).read_bytes() == wheel(HELLO)


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_pip_installs(kind: str, simple: dict[str, str], tmp_path: Path) -> None:
    argv = ["install", "--no-cache-dir", "--target", "lib", "--index-url", simple[kind], "hello"]
    done = pip(tmp_path, *argv)
    assert done.code == 0, done.said
    assert (tmp_path / "lib/hello/__init__.py").exists()


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_uv_installs(kind: str, simple: dict[str, str], tmp_path: Path) -> None:
    argv = ["pip", "install", "--no-cache", "--target", "lib", "--index-url", simple[kind], "hello"]
    done = uv(tmp_path, *argv)
    assert done.code == 0, done.said
    assert (tmp_path / "lib/hello/__init__.py").exists()


def test_twine_uploads_to_pypiserver_with_the_password(
    before_pypiserver: Gateway, pypiserver: Index, tmp_path: Path
) -> None:
    files = write(tmp_path, Package("by_twine", "1.0", "x" * 150_000))
    done = twine(tmp_path, before_pypiserver.url, "alice", PYPISERVER_USERS["alice"], *files)
    assert done.code == 0, done.said
    for file in files:
        assert (pypiserver.place / "packages" / file.name).read_bytes() == file.read_bytes()


def test_twine_is_told_of_a_wrong_password_by_the_index_itself(
    before_pypiserver: Gateway, tmp_path: Path
) -> None:
    files = write(tmp_path, Package("unwanted", "1.0"))
    done = twine(tmp_path, before_pypiserver.url, "alice", "wrong", *files)
    assert done.code != 0
    assert "403 Forbidden" in done.words


def test_twine_uploads_to_devpi_with_password_and_with_token(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    url = f"{before_devpi.url}/{alice.index}/"
    files = write(alice.place / "one", Package("by_twine", "1.0"))
    done = twine(alice.place, url, alice.name, alice.password, *files)
    assert done.code == 0, done.said
    sent = {"user": alice.name, "password": alice.with_code()}
    token = before_devpi.client().post("/+login", send=sent).json["result"]["password"]
    files = write(alice.place / "two", Package("by_twine", "2.0"))
    done = twine(alice.place, url, alice.name, token, *files)
    assert done.code == 0, done.said


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_uv_publishes(
    kind: str, before_devpi: Gateway, before_pypiserver: Gateway, person: NewPerson, tmp_path: Path
) -> None:
    if kind == "devpi":
        alice = person("alice")
        url, user, password = f"{before_devpi.url}/{alice.index}/", alice.name, alice.password
    else:
        url, user, password = before_pypiserver.url, "bob", PYPISERVER_USERS["bob"]
    file, _ = write(tmp_path, Package("by_uv", "1.0"))
    login = {"UV_PUBLISH_USERNAME": user, "UV_PUBLISH_PASSWORD": password}
    done = uv(tmp_path, "publish", "--publish-url", url, str(file), **login)
    assert done.code == 0, done.said


def test_an_upload_says_nothing_about_second_factors(
    before_devpi: Gateway, person: NewPerson
) -> None:
    """Somebody without one uploads as before: the rule is `pass`, so nothing is asked."""
    alice = person("alice", enrolled=False)
    files = write(alice.place / "dist", Package("plain", "1.0"))
    done = twine(
        alice.place, f"{before_devpi.url}/{alice.index}/", alice.name, alice.password, *files
    )
    assert done.code == 0, done.said
    assert MESSAGES[Slug.NOT_ENROLLED].text not in done.words

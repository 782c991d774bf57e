"""devpi-client through the gateway: every command with the second factor, and without it."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from gateway.cli.demo.indexes import Package, write
from gateway.core.errors import MESSAGES, Slug
from tests.e2e.conftest import NewPerson, Person
from tests.gate.test_devpi_evidence import another_second
from tests.support.gateways import Gateway
from tests.support.servers import Index

HELLO = Package("hello", "1.0")
WORLD = Package("world", "1.0")


def test_a_day_with_devpi_client(before_devpi: Gateway, person: NewPerson) -> None:
    """Every command that the documentation names, in the order of a day's work."""
    alice = person("alice")
    devpi = alice.devpi
    wheel, sdist = write(alice.place / "dist", HELLO)
    prod = f"{alice.name}/prod"

    assert "current devpi index" in devpi("use", f"{before_devpi.url}/{alice.index}").said
    login = devpi("login", alice.name, "--password", alice.with_code())
    assert f"logged in '{alice.name}'" in login.said, login.said
    assert "200" in devpi("index", alice.index, "volatile=True").said or devpi.logged_in
    created = devpi("index", "-c", prod, f"bases={alice.index}")
    assert created.code == 0, created.said
    uploaded = devpi("upload", str(wheel), str(sdist))
    assert uploaded.said.count("file_upload of") == 2, uploaded.said
    assert "hello-1.0-py3-none-any.whl" in devpi("list", "hello").said
    pushed = devpi("push", "hello==1.0", prod)
    assert pushed.code == 0, pushed.said
    assert "200" in pushed.said
    removed = devpi("remove", "-y", "hello==1.0")
    assert removed.code == 0, removed.said
    assert f"{alice.index}/+f/" not in devpi("list", "hello").said
    modified = devpi("user", "-m", alice.name, "email=alice@example.net")
    assert "user modified" in modified.said, modified.said
    token = devpi("token-create")
    assert token.code == 0, token.said
    assert "devpi-" in token.said
    another_second()
    changed = devpi("user", "-m", alice.name, "password=another password")
    assert "user modified" in changed.said, changed.said
    # A changed password ends what the old one earned; devpi-client does not take up the token
    # that devpi hands out with the change.
    again = devpi("user", "-m", alice.name, "email=alice@example.com")
    assert MESSAGES[Slug.CREDENTIAL_ENDED].text in again.words, again.said
    devpi("login", alice.name, "--password", f"another password,{alice.phone.code()}")
    assert "user modified" in devpi("user", "-m", alice.name, "email=alice@example.com").said
    assert "deleted" in devpi("logoff").said
    assert not devpi.logged_in


def test_passwd_asks_twice_and_goes_through(before_devpi: Gateway, person: NewPerson) -> None:
    """`devpi passwd` reads the terminal; its request is the one of `user -m`."""
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    alice.devpi("login", alice.name, "--password", alice.with_code())
    another_second()  # else the token that comes with the change is the one that it ends
    done = alice.devpi.on_terminal("passwd", alice.name, answers=["a new one", "a new one"])
    assert "user modified" in done.said, done.said
    ended = alice.devpi("use")
    assert MESSAGES[Slug.CREDENTIAL_ENDED].text in ended.words, ended.said
    again = alice.devpi("login", alice.name, "--password", f"a new one,{alice.phone.code()}")
    assert again.code == 0, again.said
    assert alice.devpi.logged_in


@pytest.mark.parametrize(
    ("answer", "slug"),
    [("", "otp_required"), (",000000", "otp_invalid")],
    ids=["no code", "wrong code"],
)
def test_a_login_that_lacks_the_code_prints_why(
    answer: str, slug: str, before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    done = alice.devpi("login", alice.name, "--password", alice.password + answer)
    assert done.code != 0
    assert MESSAGES[Slug(slug)].text in done.words, done.said
    assert not alice.devpi.logged_in


def test_a_wrong_password_is_not_told_about_codes(before_devpi: Gateway, person: NewPerson) -> None:
    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    for secret in ("wrong", f"wrong,{alice.phone.code()}"):
        done = alice.devpi("login", alice.name, "--password", secret)
        assert done.code != 0
        assert "code" not in done.words.lower().replace("status code", "").replace("401", "")


def test_somebody_without_a_factor_is_told_where_to_set_it_up(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice", enrolled=False)
    alice.devpi("use", before_devpi.url)
    done = alice.devpi("login", alice.name, "--password", alice.password)
    assert done.code != 0
    assert MESSAGES[Slug.NOT_ENROLLED].text in done.words
    assert f"{before_devpi.url}/+auth/enrol" in done.words


@pytest.fixture(scope="module")
def unproved(before_devpi: Gateway, devpi_server: Index, person: NewPerson) -> Person:
    """Somebody whose devpi-client holds a token that was earned straight at devpi-server."""
    mallory = person("mallory", HELLO)
    mallory.devpi("use", f"{devpi_server.url}/{mallory.index}")
    mallory.devpi("login", mallory.name, "--password", mallory.password)
    assert mallory.devpi.logged_in
    mallory.devpi.move(devpi_server.url, before_devpi.url)
    assert mallory.devpi.logged_in
    return mallory


@pytest.mark.parametrize(
    "arguments",
    [
        ("index", "-c", "{name}/other"),
        ("index", "{index}", "volatile=False"),
        ("index", "-y", "--delete", "{index}"),
        ("remove", "-y", "hello==1.0"),
        ("remove", "-y", "hello"),
        ("user", "-m", "{name}", "email=mallory@example.net"),
        ("user", "-m", "{name}", "password=another"),
        ("user", "-c", "{name}-2", "password=x"),
        ("user", "-y", "--delete", "{name}"),
        ("token-create",),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_needs_a_factor_is_refused_and_the_login_is_kept(
    arguments: tuple[str, ...], unproved: Person, devpi_server: Index
) -> None:
    before = devpi_server.holds(unproved.name)
    filled = [word.format(name=unproved.name, index=unproved.index) for word in arguments]
    done = unproved.devpi(*filled)
    assert MESSAGES[Slug.SECOND_FACTOR_REQUIRED].text in done.words, done.said
    assert "/+auth/login" in done.words
    assert unproved.devpi.logged_in
    assert devpi_server.holds(unproved.name) == before


def documentation(place: Path, *names: str) -> Path:
    """Zipped documentation of hello 1.0 with members of these names."""
    path = place / "hello-1.0.doc.zip"
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "<p>Hello")
    return path


def test_documentation_and_pushes_need_one(unproved: Person, devpi_server: Index) -> None:
    """They are more than an upload: devpi unpacks the one, and sends the other anywhere."""
    before = devpi_server.holds(unproved.name)
    for arguments in (
        ("upload", str(documentation(unproved.place, "index.html"))),
        ("push", "hello==1.0", f"{unproved.name}/other"),
    ):
        done = unproved.devpi(*arguments)
        assert MESSAGES[Slug.SECOND_FACTOR_REQUIRED].text in done.words, done.said
        assert unproved.devpi.logged_in
    assert devpi_server.holds(unproved.name) == before


def test_documentation_that_leaves_its_folder_is_refused(
    before_devpi: Gateway, person: NewPerson
) -> None:
    """And what stays there goes on, to another index with the results of tests."""
    alice = person("alice", HELLO)
    devpi = alice.devpi
    devpi("use", f"{before_devpi.url}/{alice.index}")
    devpi("login", alice.name, "--password", alice.with_code())
    refused = devpi("upload", str(documentation(alice.place, "a.html", "../../evil.html")))
    why = "'../../evil.html' in it would be written outside of its folder"
    assert why in refused.words, refused.said
    uploaded = devpi("upload", str(documentation(alice.place, "index.html", "down/x.html")))
    assert "doc_upload of hello-1.0.doc.zip" in uploaded.said, uploaded.said
    file = re.search(r"http\S+/\+f/\S+\.whl", devpi("list", "hello").said)
    assert file
    assert "success" in devpi.reports_a_test(file[0]).said
    devpi("index", "-c", f"{alice.name}/prod")
    pushed = devpi("push", "hello==1.0", f"{alice.name}/prod")
    assert "store_doczip" in pushed.said, pushed.said
    assert "store_toxresult" in pushed.said, pushed.said


def test_uploads_and_lists_need_no_factor(unproved: Person) -> None:
    wheel, _ = write(unproved.place / "new", WORLD)
    assert "file_upload of" in unproved.devpi("upload", str(wheel)).said
    assert "world-1.0-py3-none-any.whl" in unproved.devpi("list", "world").said

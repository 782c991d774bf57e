"""An upload to an address that takes none is told where to go, not to log in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, write
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.support import servers
from tests.support.clients import twine
from tests.support.http import Client, basic

FORM = (
    b'--b\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
    b'--b\r\nContent-Disposition: form-data; name="content"; filename="a-1.0.tar.gz"\r\n\r\nx\r\n'
    b"--b--\r\n"
)
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("path", ["/legacy/", "/{user}/dev/+simple/"])
def test_twine_is_told_the_right_address_at_devpi(
    devpi: Served, person: Callable[[], tuple[str, str]], tmp_path: Path, path: str
) -> None:
    user, password = person()
    files = write(tmp_path, Package("lost", "1.0"))
    done = twine(tmp_path, devpi.url + path.format(user=user), user, password, *files)
    assert done.code != 0
    right = f"/{user}/dev/" if "+simple" in path else f"/{user}/INDEX/"
    assert f"Nothing can be uploaded to this address. Upload to {devpi.url}{right}" in done.words
    assert "404" in done.words and "second factor" not in done.words.lower()


def test_twine_is_told_the_right_address_at_pypiserver(simple: Served, tmp_path: Path) -> None:
    files = write(tmp_path, Package("lost", "1.0"))
    done = twine(tmp_path, f"{simple.url}/simple/", "alice", PYPISERVER_USERS["alice"], *files)
    assert done.code != 0
    assert f"Nothing can be uploaded to this address. Upload to {simple.url}/" in done.words


def test_the_index_takes_nothing_there_either(
    devpi: Served,
    simple: Served,
    devpi_server: servers.Index,
    pypiserver: servers.Index,
    person: Callable[[], tuple[str, str]],
) -> None:
    """Where the gateway says so, both servers refuse the same upload themselves."""
    user, password = person()
    for paths, served, index, who in (
        (["/", "/legacy/", "/simple/", f"/{user}", f"/{user}/dev/+simple/"], devpi, devpi_server,
         basic(user, password)),
        (["/legacy/", "/simple/", "/simple/x/", "/packages/", "/a/b/c"], simple, pypiserver,
         basic("alice", PYPISERVER_USERS["alice"])),
    ):  # fmt: skip
        fields = {**MULTIPART, "Authorization": who}
        for path in paths:
            told = served.client().post(path, body=FORM, fields=fields)
            assert (told.status, told.slug) == (404, "nothing_to_upload_to"), path
            straight = Client(index.port).post(path, body=FORM, fields=fields)
            assert straight.status in (404, 405), (path, straight.status)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/+plugin", {}),
        ("/alice/+token-create", {}),
        ("/alice/dev", {}),
        ("/alice/dev/+plugin", {}),
        ("/legacy/", {"Sec-Fetch-Site": "same-origin"}),
        ("/legacy/", {"Origin": "http://evil.example"}),
        ("/legacy/", {"Content-Type": "application/json"}),
    ],
)
def test_what_may_be_more_than_a_wrong_address_is_guarded_as_before(
    devpi: Served, path: str, fields: dict[str, str]
) -> None:
    body = FORM.replace(b"file_upload", b"something_else")
    told = devpi.client().post(path, body=body, fields=MULTIPART | fields)
    assert told.slug == "second_factor_required", path


def test_a_form_that_pypiserver_would_act_on_is_guarded_as_before(simple: Served) -> None:
    body = FORM.replace(b"file_upload", b"something_else")
    told = simple.client().post("/", body=body, fields=MULTIPART)
    assert told.slug == "second_factor_required"

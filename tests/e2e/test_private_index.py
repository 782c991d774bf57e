"""A private index with the programs people have: pip, uv, twine, curl, devpi-client, Chromium."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, Response, expect

from gateway.cli.demo.indexes import Package, wheel, write
from tests.conftest import PYPISERVER_USERS
from tests.e2e.test_tokens import make
from tests.support.clients import DevpiClient, Done, pip, run, twine, uv
from tests.support.gateways import Gateway, running
from tests.support.http import basic
from tests.support.servers import Index, program
from tests.web.chrome import press

HELLO = Package("hello", "1.0")
SECRET = Package("companysecret", "2.0")
ALICE = PYPISERVER_USERS["alice"]
USER = "closed"


@pytest.fixture(scope="module")
def before_pypi(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("private")
    with running(place, "pypiserver", pypiserver.url, private=True) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def before_dev(tmp_path_factory: pytest.TempPathFactory, devpi_server: Index) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("private")
    with running(place, "devpi", devpi_server.url, private=True) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def password(devpi_server: Index, before_dev: Gateway) -> str:
    """Of somebody with a project, documentation and a phone."""
    found = devpi_server.person(USER, SECRET)
    before_dev.enrol(USER)
    return found


def named(address: str, user: str, secret: str) -> str:
    """The address with credentials in it."""
    return address.replace("://", f"://{quote(user)}:{quote(secret)}@")


def download(place: Path, address: str, name: str = "hello", *more: str) -> Done:
    options = ["--no-deps", "--no-cache-dir", "--retries", "0", "--no-input"]
    return pip(place, "download", *options, "--index-url", address, *more, name)


def netrc(place: Path, secret: str) -> None:
    place.mkdir(exist_ok=True)
    file = place / ".netrc"
    file.write_text(f'machine localhost login alice password "{secret}"\n')
    file.chmod(0o600)


def test_pip(before_pypi: Gateway, tmp_path: Path) -> None:
    address = before_pypi.url + "/simple/"
    assert download(tmp_path, address).code != 0
    assert download(tmp_path / "wrong", named(address, "alice", "wrong")).code != 0
    done = download(tmp_path, named(address, "alice", ALICE))
    assert done.code == 0, done.said
    assert (tmp_path / HELLO.wheel_name).read_bytes() == wheel(HELLO)
    netrc(tmp_path / "right", ALICE)
    assert download(tmp_path / "right", address).code == 0
    netrc(tmp_path / "stale", "an old one")
    assert download(tmp_path / "stale", address).code != 0
    more = ("--extra-index-url", named(address, "alice", ALICE))
    done = download(tmp_path / "extra", before_pypi.url + "/nothing/", "hello", *more)
    assert done.code == 0, done.said


def test_uv_goes_to_no_other_index(before_pypi: Gateway, tmp_path: Path) -> None:
    """A second index has a package of the same name: with a wrong password uv must not take it."""
    other = tmp_path / "other" / "hello"
    write(other, HELLO)
    links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in other.iterdir())
    (other / "index.html").write_text(links)
    address = before_pypi.url + "/simple/"
    argv = ["pip", "install", "--no-cache", "--target", "lib", "--index", f"company={address}"]
    argv += ["--default-index", other.parent.as_uri(), "hello"]
    wrong = {"UV_INDEX_COMPANY_USERNAME": "alice", "UV_INDEX_COMPANY_PASSWORD": "wrong"}
    for env in ({}, wrong):
        done = uv(tmp_path, *argv, **env)
        assert done.code != 0, done.said
        assert "401" in done.said, done.said
        assert not (tmp_path / "lib/hello").exists()
    done = uv(tmp_path, *argv, **{**wrong, "UV_INDEX_COMPANY_PASSWORD": ALICE})
    assert done.code == 0, done.said
    assert (tmp_path / "lib/hello").exists()


def test_twine_curl_and_tokens(before_pypi: Gateway, pypiserver: Index, tmp_path: Path) -> None:
    made = write(tmp_path / "dist", Package("closed_upload", "1.0"))
    assert twine(tmp_path, before_pypi.url, "alice", "wrong", *made).code != 0
    done = twine(tmp_path, before_pypi.url, "alice", ALICE, *made)
    assert done.code == 0, done.said
    assert (pypiserver.place / "packages" / made[0].name).exists()

    token = make(before_pypi, "alice", ALICE, "reads", "--scope", "read", "--project", "hello")
    address = named(before_pypi.url + "/simple/", "__token__", token)
    assert download(tmp_path / "token", address).code == 0
    assert download(tmp_path / "world", address, "world").code != 0, "not in its scope"
    before_pypi.command("token", "revoke", "alice", "reads")
    told = before_pypi.client().get("/simple/hello/", auth=("alice", token))
    assert told.status in (200, 401), "a minute at most, then it has ended"

    netrc(tmp_path, ALICE)
    said = ["-s", "-o", "file", "-w", "%{http_code} %{size_download}"]
    file = f"{before_pypi.url}/packages/{HELLO.wheel_name}"
    for options, expected in (
        (["-n"], f"200 {len(wheel(HELLO))}"),
        (["-n", "-I"], "200 0"),
        (["-n", "-r", "0-9"], "206 10"),
        (["-u", "alice:wrong"], "401"),
        ([], "401"),
    ):
        done = run(tmp_path, program("curl"), *said, *options, file)
        assert done.said.startswith(expected), (options, done.said)
    client, target = before_pypi.client(), f"/packages/{HELLO.wheel_name}"
    when = client.get(target, auth=("alice", ALICE)).first("last-modified")
    told = client.get(target, auth=("alice", ALICE), fields={"If-Modified-Since": when})
    assert (told.status, told.first("cache-control")) == (304, "private")
    assert client.get(target, fields={"If-Modified-Since": when}).status == 401


def test_devpi_client(before_dev: Gateway, password: str, tmp_path: Path) -> None:
    devpi = DevpiClient(tmp_path / "home")
    said = devpi("use", f"{before_dev.url}/{USER}/dev").said
    assert "current devpi index" in said, said
    assert "secret" not in said
    assert "companysecret" not in devpi("list").said
    code = before_dev.users[USER].code()
    done = devpi("login", USER, "--password", f"{password},{code}")
    assert f"logged in '{USER}'" in done.said, done.said
    assert "companysecret" in devpi("list").said
    made = write(tmp_path / "dist", Package("by-client", "1.0"))
    done = devpi("upload", *map(str, made))
    assert done.code == 0, done.said
    assert "by-client" in devpi("list").said


def test_what_installers_ask_devpi(before_dev: Gateway, password: str, tmp_path: Path) -> None:
    address = f"{before_dev.url}/{USER}/dev/+simple/"
    assert download(tmp_path, address, SECRET.name).code != 0
    done = download(tmp_path, named(address, USER, password), SECRET.name)
    assert done.code == 0, done.said
    argv = ["pip", "install", "--no-cache", "--target", "lib", SECRET.name, "--default-index"]
    done = uv(tmp_path, *argv, named(address, USER, password))
    assert done.code == 0, done.said
    client = before_dev.client()
    fields = {"Accept": "application/vnd.pypi.simple.v1+json"}
    target = f"/{USER}/dev/+simple/{SECRET.name}/"
    told = client.get(target, fields={**fields, "Authorization": basic(USER, password)})
    assert json.loads(told.body)["name"] == SECRET.name
    told = client.get(target, fields=fields)
    assert (told.status, told.first("www-authenticate")) == (401, 'Basic realm="index"')
    assert client.call("HEAD", target, auth=(USER, password)).status == 200


async def watched(tab: Page) -> list[tuple[int, str]]:
    """All answers a page gets: none asks for a name and a password in a window."""
    seen: list[tuple[int, str]] = []

    def note(answer: Response) -> None:
        challenge = answer.headers.get("www-authenticate", "")
        assert not challenge.lower().startswith("basic"), answer.url
        seen.append((answer.status, answer.url))

    tab.on("response", note)
    return seen


async def test_a_browser_is_led_to_the_login_and_back(tab: Page, before_pypi: Gateway) -> None:
    phone = before_pypi.enrol("alice")
    seen = await watched(tab)
    await tab.goto(before_pypi.url + "/simple/hello/")
    await expect(tab).to_have_url(before_pypi.url + "/+auth/login?next=/simple/hello/")
    await tab.get_by_label("User name").fill("alice")
    await tab.get_by_label("Password").fill(ALICE)
    await press(tab, "Continue")
    await tab.get_by_label("One-time code").fill(phone.code())
    await press(tab, "Log in")
    await expect(tab).to_have_url(before_pypi.url + "/simple/hello/")
    await expect(tab.get_by_text(HELLO.wheel_name)).to_be_visible()
    assert seen


async def test_devpis_login_page_and_documentation(
    tab: Page, before_dev: Gateway, devpi_server: Index, password: str
) -> None:
    documentation = io.BytesIO()
    with zipfile.ZipFile(documentation, "w") as file:
        file.writestr("index.html", "<!DOCTYPE html><title>d</title><h1>How it works</h1>")
    await asyncio.to_thread(upload_documentation, devpi_server, password, documentation.getvalue())
    seen = await watched(tab)
    back = f"{before_dev.url}/{USER}/dev/{SECRET.name}"
    await tab.goto(f"{before_dev.url}/+login?goto_url={back}", wait_until="load", timeout=15_000)
    assert {status for status, _ in seen} == {200}, seen
    assert any(url.endswith("/style.css") for _, url in seen)
    await tab.locator("[name=username]").fill(USER)
    await tab.locator("[name=password]").fill(password)
    await tab.locator("[name=submit]").click()
    await tab.get_by_label("One-time code").fill(before_dev.users[USER].code())
    await press(tab, "Log in")
    await expect(tab).to_have_url(back)
    await expect(tab.get_by_text(SECRET.name).first).to_be_visible()
    await tab.goto(f"{before_dev.url}/{USER}/dev/{SECRET.name}/2.0/+doc/index.html")
    await expect(tab.get_by_role("heading", name="How it works")).to_be_visible()


def upload_documentation(index: Index, password: str, archive: bytes) -> None:
    import httpx

    told = httpx.post(
        f"{index.url}/{USER}/dev/",
        auth=(USER, password),
        data={":action": "doc_upload", "name": SECRET.name, "version": "2.0"},
        files={"content": (f"{SECRET.name}.doc.zip", archive)},
    )
    assert told.status_code == 200, told.text

"""An index under a path of its host: `public_url: https://example.org/devpi/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.cli.demo.indexes import Package, wheel, write
from gateway.cli.demo.processes import Children
from gateway.core.urls import HEALTH, LOGIN, OVERVIEW, VERIFY
from tests.conftest import PYPISERVER_USERS
from tests.support import reports
from tests.support.clients import DevpiClient, pip, twine
from tests.support.gateways import Gateway, configure
from tests.support.names import unused
from tests.support.pages import form
from tests.support.reports import Scanner
from tests.support.servers import Index
from tests.support.wsgi_servers import start_pypiserver_on

HELLO = Package("hello", "1.0")
SCANNER = Scanner()


@dataclass
class Below(Gateway):
    base: str = "/devpi"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}{self.base}"


@contextmanager
def below(place: Path, kind: str, upstream: str, base: str) -> Iterator[Below]:
    front: dict[str, Any] = {}
    if kind == "pypiserver":
        front = {"appearance": {"front_page": True}}
    made = configure(place, kind, upstream, **front)
    text = made.config.read_text()
    reporter = json.dumps([{"name": "our scanner", "keys": {SCANNER.id: SCANNER.pem}}])
    text += f"\ntokens: {{reporters: {reporter}}}\n"
    made.config.write_text(text.replace(made.url, f"{made.url}{base}/"))
    assert f"{made.url}{base}/" in made.config.read_text()
    gateway = Below(made.place, made.port, kind, ready_path=base + HEALTH, base=base)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def devpi(tmp_path_factory: pytest.TempPathFactory, devpi_server: Index) -> Iterator[Below]:
    with below(tmp_path_factory.mktemp("g"), "devpi", devpi_server.url, "/devpi") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def pypi(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Below]:
    with below(tmp_path_factory.mktemp("g"), "pypiserver", pypiserver.url, "/py/simple") as gateway:
        yield gateway


def test_devpi_client_pip_and_twine_work_below_a_path(
    devpi: Below, devpi_server: Index, tmp_path: Path
) -> None:
    """The person is called like the path, so that nothing may take the path off twice."""
    password = devpi_server.person("devpi", HELLO)
    phone = devpi.enrol("devpi")
    client = DevpiClient(tmp_path / "home")
    assert "current devpi index" in client("use", f"{devpi.url}/devpi/dev").said
    login = client("login", "devpi", "--password", f"{password},{phone.code()}")
    assert "logged in 'devpi'" in login.said, login.said
    changed = client("user", "-m", "devpi", "email=new@example.org")
    assert "user modified" in changed.said, changed.said
    assert "new@example.org" in str(devpi_server.holds("devpi"))
    found = ["--no-deps", "--no-cache-dir", "--index-url", f"{devpi.url}/devpi/dev/+simple/"]
    done = pip(tmp_path, "download", *found, "hello")
    assert done.code == 0, done.said
    assert (tmp_path / HELLO.wheel_name).read_bytes() == wheel(HELLO)
    files = write(tmp_path / "dist", Package("later", "1.0"))
    done = twine(tmp_path, f"{devpi.url}/devpi/dev/", "devpi", password, *files)
    assert done.code == 0, done.said
    page = devpi.client().get("/devpi/devpi/dev/+simple/later/").text
    assert "later-1.0" in page
    refused = devpi.client().call("DELETE", "/devpi/devpi/dev/later/1.0", auth=("devpi", password))
    assert refused.slug == "second_factor_required"
    secret = f"{password},{phone.code()}"
    removed = devpi.client().call("DELETE", "/devpi/devpi/dev/later/1.0", auth=("devpi", secret))
    assert removed.status == 200, removed.text
    assert devpi.client().get("/devpi/devpi/dev/+simple/later/").text.count("later-1.0") == 0


@pytest.mark.parametrize("where", ["root", "path"])
async def test_devpis_pages_lead_to_ours(
    where: str, before_devpi: Gateway, devpi: Below, devpi_server: Index, tab: Page
) -> None:
    """By the theme config/devpi-theme; devpi-web's own way back and its other links stay."""
    gateway = {"root": before_devpi, "path": devpi}[where]
    user = unused("way")
    password = devpi_server.person(user, HELLO)
    phone = gateway.enrol(user)
    await tab.goto(f"{gateway.url}/")
    account = tab.get_by_role("link", name="Account", exact=True)
    await expect(account).to_have_attribute("href", f"{gateway.url}/+auth/")
    await expect(account).to_have_css("white-space", "nowrap")
    await tab.goto(f"{gateway.url}/{user}/dev/hello/1.0")
    crumbs = tab.locator("#navigation")
    await expect(crumbs.get_by_role("link", name="dev", exact=True)).to_be_visible()
    await account.click()
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password").fill(password)
    await tab.get_by_role("button", name="Continue", exact=True).click()
    await tab.get_by_label("One-time code").fill(phone.code())
    await tab.get_by_role("button", name="Log in", exact=True).click()
    await tab.wait_for_url(f"{gateway.url}/+auth/")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()
    await tab.goto(f"{gateway.url}/{user}/dev/hello")
    await account.click()
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


@pytest.mark.parametrize("target", ["/devpi/", "/devpi/?x=1"])
def test_the_first_page_is_there(devpi: Below, target: str) -> None:
    """devpi-web leads from a path with a slash at its end to one without, the first page too."""
    page = devpi.client().get(target, fields={"Accept": "text/html"})
    assert page.status == 200, page.first("location")
    assert f'action="{devpi.url}/+search"' in page.text


@pytest.mark.parametrize("server", ["wsgiref", "waitress", "gunicorn", "cheroot"])
def test_pip_and_twine_work_before_pypiserver(
    server: str, children: Children, tmp_path: Path
) -> None:
    """The path ends in the name of one of the index's own. Waitress drops X-Forwarded-Host."""
    index = start_pypiserver_on(server, children, tmp_path / "index")
    with below(tmp_path / "gateway", "pypiserver", index.url, "/py/simple") as gateway:
        files = write(tmp_path / "dist", Package("under_a_path", "1.0"))
        done = twine(tmp_path, f"{gateway.url}/", "alice", "any", *files)
        assert done.code == 0, done.said
        found = ["--no-deps", "--no-cache-dir", "--index-url", f"{gateway.url}/simple/"]
        done = pip(tmp_path, "download", *found, "under_a_path")
        assert done.code == 0, done.said
        start = gateway.client().get("/py/simple/").text
        assert f'href="{gateway.base}/simple/"' in start


def test_people_log_in_below_the_path(pypi: Below) -> None:
    phone = pypi.enrol("bob")
    browser = pypi.client()
    origin = {"Origin": f"http://localhost:{pypi.port}", "Host": f"localhost:{pypi.port}"}
    page = browser.browse("GET", f"{pypi.base}{LOGIN}?next=/simple/")
    style = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert style.startswith(f"{pypi.base}/+auth/static/")
    assert browser.get(style).status == 200
    action = pypi.base + LOGIN
    filled = form(page, action) | {"user": "bob", "password": PYPISERVER_USERS["bob"]}
    answer = browser.browse("POST", action, form=filled, fields=origin)
    assert (answer.status, answer.first("location")) == (303, pypi.base + VERIFY)
    assert all(f"Path={pypi.base}/;" in cookie for cookie in answer.all("set-cookie"))
    action = pypi.base + VERIFY
    filled = form(browser.browse("GET", action), action) | {"code": phone.code()}
    answer = browser.browse("POST", action, form=filled, fields=origin)
    assert (answer.status, answer.first("location")) == (303, f"{pypi.base}/simple/")
    assert all(f"Path={pypi.base}/;" in cookie for cookie in answer.all("set-cookie"))
    overview = browser.browse("GET", pypi.base + OVERVIEW)
    front = browser.browse("GET", pypi.base + "/")
    assert f"--index-url {pypi.url}/simple/ PACKAGE" in front.text
    for shown in (overview, front):
        assert shown.status == 200
        local = set(shown.text.split('="/')[1:])
        assert local
        assert all(one.startswith(pypi.base.removeprefix("/") + "/") for one in local), local


@pytest.mark.parametrize(
    "target",
    ["/", "/devpi", "/devpix/+api", "/+auth/login", "//devpi/+api", "/%64evpi/+api", "/x/devpi/"],
)
def test_what_lies_beside_the_path_is_not_here(devpi: Below, target: str) -> None:
    answer = devpi.client().get(target)
    assert (answer.status, answer.slug) == (404, "not_here")
    assert f"{devpi.url}/" in answer.json["message"]


def test_an_odd_path_below_is_refused_as_ever(devpi: Below) -> None:
    for target in ("/devpi//+login", "/devpi/../+login", "/devpi/%2e%2e/+login"):
        assert devpi.client().post(target).slug == "ambiguous_target"
    assert devpi.client().get("/devpi/+auth/").status in (303, 401, 403)


def test_explain_takes_the_whole_address(devpi: Below) -> None:
    said = devpi.command("explain", "POST", f"{devpi.url}/+login").stdout
    assert "path: /+login" in said
    assert "rule: login" in said


def test_trusted_publishing_and_reports_are_at_the_root_of_the_host(pypi: Below) -> None:
    """Its clients drop the path of an index."""
    for at in ("/_/oidc/audience", f"{pypi.base}/_/oidc/audience"):
        told = pypi.client().get(at)
        assert told.status == 403
        assert told.json == {"message": "Trusted publishing functionality not enabled"}
    for at in (reports.PATH, f"{pypi.base}{reports.PATH}"):
        body, fields = SCANNER.report()
        assert pypi.client().post(at, body=body, fields=fields).status == 204, at
    for at in (
        f"{reports.PATH}x",
        f"{reports.PATH}/",
        "/_/oidc",
        "/_/other",
        "/_/oidcx/audience",
        "/x/_/oidc/audience",
    ):
        assert pypi.client().get(at).slug == "not_here", at

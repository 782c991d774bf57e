"""What a reader sees of uploaded documentation in Chromium: as straight at devpi, and harmless.

Real output of Sphinx and MkDocs, and a page that attacks its reader, before a real devpi-web.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Frame, Page, expect

from gateway.cli.demo.indexes import Package
from tests.e2e.conftest import NewPerson, Person
from tests.support import uploads
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway, configure
from tests.support.http import Client
from tests.support.servers import ROOT, Index
from tests.support.waiting import PATIENCE
from tests.web.chrome import Watch, press

MADE = ROOT / "tests/e2e/documentation"
BUILDERS = ("alabaster", "furo", "mkdocs")
VIEW = (1200, 800)


@pytest.fixture(scope="session")
def with_host(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: Index
) -> Iterator[tuple[Gateway, str]]:
    """A gateway with a host of its own for documentation, and that host's address."""
    place = tmp_path_factory.mktemp("gateway")
    yield from started(configure(place, "devpi", devpi_server.url), own_host=True)


@pytest.fixture(scope="session", params=["sandbox", "own host"])
def closed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, devpi_server: Index
) -> Iterator[tuple[Gateway, str]]:
    """A gateway before a private index, and where its documentation is read."""
    place = tmp_path_factory.mktemp("gateway")
    gateway = configure(place, "devpi", devpi_server.url, private=True)
    yield from started(gateway, own_host=request.param == "own host")


def started(gateway: Gateway, *, own_host: bool) -> Iterator[tuple[Gateway, str]]:
    its_own = f"http://127.0.0.1:{gateway.port}" if own_host else gateway.url
    said = gateway.config.read_text("utf-8")
    written = "# documentation_url: https://docs.example.net"
    assert written in said
    if own_host:
        changed = said.replace(written, f"documentation_url: {its_own}")
        gateway.config.write_text(changed, "utf-8")
    try:
        yield gateway.start(), its_own
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def author(devpi_server: Index, person: NewPerson) -> Person:
    """Somebody whose projects are documented with each of the builders."""
    made = person("author", *(Package(name, "1.0") for name in BUILDERS))
    for name in BUILDERS:
        archive = (MADE / f"{name}.zip").read_bytes()
        uploads.documentation(devpi_server.port, made.index, made.password, name, archive)
    return made


def read_at(**usual: tuple[str, ...]) -> list[Any]:
    """Each way with each builder; usual: those of `make test`, by the name of the way."""
    return [
        pytest.param(
            way.replace("_", " "),
            builder,
            marks=[] if builder in of_it else [pytest.mark.long],
            id=f"{way.replace('_', ' ')}-{builder}",
        )
        for way, of_it in usual.items()
        for builder in BUILDERS
    ]


@pytest.fixture
def home(
    request: pytest.FixtureRequest, devpi_server: Index, before_devpi: Gateway
) -> tuple[str, str]:
    """Where the reader begins, and where they read then."""
    if request.param == "straight":
        return devpi_server.url, f"{re.escape(devpi_server.url)}/{{}}/\\+d/"
    if request.param == "sandbox":
        return before_devpi.url, f"{re.escape(before_devpi.url)}/{{}}/\\+doc/"
    gateway, its_own = request.getfixturevalue("with_host")
    return gateway.url, f"{re.escape(its_own)}/{{}}/\\+d/"


async def shown(tab: Page) -> Frame:
    """The page of the documentation: in devpi-web's frame, once that has come, or by itself."""
    if "/+doc/" in tab.url:
        return tab.main_frame
    element = await tab.wait_for_selector("iframe")
    frame = await element.content_frame() if element else None
    assert frame
    await frame.wait_for_url("**/+doc/**")
    return frame


@pytest.mark.parametrize(
    ("home", "builder"),
    read_at(straight=("alabaster",), sandbox=BUILDERS, own_host=("furo",)),
    indirect=["home"],
)
async def test_documentation_is_read_as_before(
    tab: Page, home: tuple[str, str], author: Person, builder: str
) -> None:
    """Straight at devpi, in a sandbox, and at a host of its own: all of it can be read, searched
    and followed, without a complaint of the browser."""
    watch = Watch()
    watch.on(tab)
    await tab.set_viewport_size({"width": VIEW[0], "height": VIEW[1]})
    await read(tab, home, author, builder)
    assert watch.said == []


async def whole(tab: Page) -> None:
    """It is long, and a frame is as high as what it shows, once that has its fonts."""
    frame, end = await shown(tab), time.monotonic() + PATIENCE
    height = own = 0
    while height <= 2000 or height != own:
        assert time.monotonic() < end, f"{height} pixels in a frame of {own}"
        height = await frame.evaluate("document.documentElement.scrollHeight")
        own = height
        if frame is not tab.main_frame:
            own = await tab.locator("iframe").evaluate("one => one.clientHeight")


PASS = r"/\+auth/read/[A-Za-z0-9_-]{{32}}/"


@pytest.mark.parametrize(
    ("closed", "builder"), read_at(sandbox=("mkdocs",), own_host=("furo",)), indirect=["closed"]
)
async def test_private_documentation_is_read_as_before(
    tab: Page, closed: tuple[Gateway, str], author: Person, builder: str
) -> None:
    gateway, place = closed
    phone = gateway.users.get(author.name) or gateway.enrol(author.name)
    kind = "+doc" if place == gateway.url else "+d"
    home = (gateway.url, f"{re.escape(place)}{PASS}{{}}/{re.escape(kind)}/")
    await log_in(tab, gateway, author, phone)
    watch = Watch()
    watch.on(tab)
    await tab.set_viewport_size({"width": VIEW[0], "height": VIEW[1]})
    await read(tab, home, author, builder)
    assert watch.said == []


async def read(tab: Page, home: tuple[str, str], author: Person, builder: str) -> None:
    """Read one manual as a person does. home: where to begin, and the pattern of where it is."""
    release = f"{author.index}/{builder}/1.0"
    begin, place = home[0], home[1].format(re.escape(release))
    first = f"{begin}/{release}/+d/index.html"

    def at(page: str) -> re.Pattern[str]:
        return re.compile(f"^{place}{re.escape(page)}$")

    await tab.goto(f"{begin}/{author.index}/{builder}/1.0")
    await tab.goto(first)
    await expect(tab).to_have_url(at("index.html"))
    await expect(tab).to_have_title(re.compile("^Example|^example documentation"))
    last = (await shown(tab)).get_by_text("Paragraph 60 ", exact=False)
    await last.scroll_into_view_if_needed()
    await expect(last).to_be_in_viewport()  # the end of the page can be reached
    await whole(tab)

    if builder == "mkdocs":
        loaded = await (await shown(tab)).evaluate(
            """[...document.fonts].filter((one) => one.family.includes("FontAwesome")).at(-1)
                .load().then((font) => font.status)"""
        )
        assert loaded == "loaded", "a web font"
        await (await shown(tab)).get_by_text("Search", exact=True).first.click()
        await (await shown(tab)).locator("#mkdocs-search-query").press_sequentially("quokka")
        await expect(
            (await shown(tab)).locator("#mkdocs-search-results article").first
        ).to_be_visible()
    else:
        async with tab.expect_download() as download:
            await (await shown(tab)).get_by_role("link", name="notes.txt").click()
        saved = await download.value
        assert saved.suggested_filename == "notes.txt"
        if "+doc" in tab.url:  # devpi-web's frame makes it a link to a page around the file
            assert (await saved.path()).read_text() == "notes\n"
        await (await shown(tab)).locator("input[name=q]:visible").first.fill("quokka")
        await tab.keyboard.press("Enter")
        await tab.wait_for_url(re.compile(f"^{place}search.html\\?q=quokka"))
        found = (await shown(tab)).locator("#search-results li a")
        await expect(found).to_have_count(1)
        await found.click()
        await tab.wait_for_url(re.compile(f"^{place}usage.html"))

    await tab.goto(first)
    await (await shown(tab)).get_by_role("link", name=re.compile("usage", re.I)).first.click()
    await expect(tab).to_have_url(at("usage.html"))
    await expect((await shown(tab)).get_by_text("quokka").first).to_be_visible()


# -- a script in it -----------------------------------------------------------------------------

# Each tries something as its reader and says what came of it.
ATTACKS = """<!doctype html><title>evil</title><body><iframe name=sink></iframe><script>
const home = "HOME";
const said = {};
const attempt = async (name, what) => {
  try { said[name] = String(await what()); } catch (error) { said[name] = `blocked: ${error}`; }
};
const send = (address, fields) => new Promise((done) => {
  const form = document.createElement("form");
  Object.assign(form, {method: "post", action: home + address, target: "sink"});
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), {name, value}));
  }
  document.body.append(form);
  document.querySelector("iframe").onload = () => done("sent");
  setTimeout(() => done("sent"), 800);
  form.submit();
});
(async () => {
  const mine = {credentials: "include"};
  await attempt("delete", async () =>
    (await fetch(home + "/RELEASE", {method: "DELETE", ...mine})).status);
  await attempt("delete blindly", async () => {
    try { await fetch(home + "/RELEASE", {method: "DELETE", mode: "no-cors", ...mine}); } catch {}
    return "sent";
  });
  await attempt("read account", async () => (await fetch(home + "/+auth/", mine)).text());
  await attempt("read codes", async () => (await fetch(home + "/+auth/codes", mine)).text());
  await attempt("read tokens", async () => (await fetch(home + "/USER/+tokens", mine)).text());
  await attempt("approve", () => send("APPROVE", {answer: "approve", approve: "yes"}));
  const planted = {":action": "submit", name: "planted", version: "1"};
  await attempt("upload", () => send("/INDEX", planted));
  await attempt("log out", () => send("/+auth/logout", {}));
  await attempt("frame", async () => {
    const frame = document.querySelector("iframe");
    frame.src = home + "/+auth/";
    await new Promise((done) => { frame.onload = done; setTimeout(done, 15000); });
    return frame.contentDocument.body.innerText;
  });
  await attempt("cookies", () => document.cookie);
  await attempt("service worker", () => navigator.serviceWorker.register("worker.js"));
  /* more */
  document.documentElement.dataset.said = JSON.stringify(said);
})();
</script>"""

# At a private index: other documentation that its reader may read.
MORE = """
  const other = "/OTHER/usage.html";
  const beside = location.pathname.replace(/^(\\/\\+auth\\/read\\/[^/]+).*/, "$1") + other;
  for (const address of [home + other, beside]) {
    await attempt("read " + address, async () => (await fetch(address, mine)).text());
    await attempt("frame " + address, async () => {
      const frame = document.querySelector("iframe");
      frame.src = address;
      await new Promise((done) => { frame.onload = done; setTimeout(done, 15000); });
      return frame.contentDocument.body.innerText;
    });
  }
"""


async def attack(tab: Page, address: str) -> dict[str, str]:
    await tab.goto(address)
    done = (await shown(tab)).locator("html[data-said]")
    await done.wait_for(state="attached", timeout=20_000)
    said: dict[str, str] = await done.evaluate("one => JSON.parse(one.dataset.said)")
    return said


async def log_in(tab: Page, gateway: Gateway, who: Person, phone: Authenticator) -> None:
    """By devpi-lockdown's form, so that its cookie is there too."""
    await tab.goto(f"{gateway.url}/+login?goto_url={gateway.url}/{who.index}")
    await tab.locator("[name=username]").fill(who.name)
    await tab.locator("[name=password]").fill(who.password)
    await tab.locator("[name=submit]").click()
    await tab.get_by_label("One-time code").fill(phone.code())
    await press(tab, "Log in")
    await expect(tab).to_have_url(f"{gateway.url}/{who.index}")


@pytest.mark.parametrize("kind", ["sandbox", "own host"])
async def test_a_script_in_documentation_does_nothing_as_its_reader(
    tab: Page,
    request: pytest.FixtureRequest,
    kind: str,
    devpi_server: Index,
    before_devpi: Gateway,
    person: NewPerson,
) -> None:
    reader = person("reader", Package("hello", "1.0"))
    if kind == "sandbox":
        await attacked(tab, devpi_server, before_devpi, "", reader)
        return
    gateway, its_own = request.getfixturevalue("with_host")
    gateway.enrol(reader.name)
    await attacked(tab, devpi_server, gateway, its_own, reader)


async def test_nor_in_private_documentation(
    tab: Page,
    devpi_server: Index,
    closed: tuple[Gateway, str],
    author: Person,
    person: NewPerson,
) -> None:
    """Neither does it read other documentation that its reader may read."""
    gateway, place = closed
    reader = person("reader", Package("hello", "1.0"), enrolled=False)
    gateway.enrol(reader.name)
    more = MORE.replace("OTHER", f"{author.index}/furo/1.0/+doc")
    its_own = "" if place == gateway.url else place
    said = await attacked(tab, devpi_server, gateway, its_own, reader, more)
    others = [text for name, text in said.items() if "furo" in name]
    assert len(others) == 4
    assert all(text.startswith("blocked:") for text in others), said


async def attacked(
    tab: Page, devpi_server: Index, gateway: Gateway, its_own: str, reader: Person, more: str = ""
) -> dict[str, str]:
    """Read a page that attacks, logged in, with a login of one's own that waits for approval.

    its_own: where documentation is read, "" for a sandbox.
    """
    phone = gateway.users[reader.name]
    page = ATTACKS.replace("/* more */", more)
    page = page.replace("RELEASE", f"{reader.index}/hello/1.0").replace("INDEX", reader.index)
    page = page.replace("USER", reader.name).replace("HOME", gateway.url)
    await log_in(tab, gateway, reader, phone)
    kept = {str(one["name"]): one for one in await tab.context.cookies()}
    assert kept["auth_tkt"].get("sameSite") == "Lax"
    assert {"auth_tkt", "ig-session"} <= set(kept)

    login = {"user": reader.name, "password": reader.password}
    here = {"Host": gateway.url.partition("//")[2]}
    asked = gateway.client().post("/+login", send=login, fields=here)
    approval = re.search(r"/\+auth/approve/[\w-]+", asked.text)
    assert approval, asked.text
    page = page.replace("APPROVE", approval[0])
    files = uploads.archive({"index.html": page, "worker.js": "self.onfetch = () => 1"})
    uploads.documentation(devpi_server.port, reader.index, reader.password, "hello", files)

    before = devpi_server.holds(reader.name)
    address = f"{gateway.url}/{reader.index}/hello/1.0/+d/index.html"
    said = await attack(tab, address)

    reading = ("delete", "read account", "read codes", "read tokens", "frame")
    assert all(said[name].startswith("blocked:") for name in reading), said
    assert devpi_server.holds(reader.name) == before, said
    again = gateway.client().post("/+login", send=login, fields=here)
    assert again.status == 401, "nothing was approved"
    if its_own:
        assert said["cookies"] == ""
        assert tab.url.startswith(its_own)
    else:
        assert said["cookies"].startswith("blocked:")
        assert said["service worker"].startswith("blocked:")
    after = {str(one["name"]): one.get("value") for one in await tab.context.cookies()}
    after.pop("ig-reading", None)  # of the documentation's own host
    assert after == {name: one.get("value") for name, one in kept.items()}
    await tab.goto(f"{gateway.url}/{reader.name}/+tokens")
    await expect(tab).to_have_url(f"{gateway.url}/{reader.name}/+tokens")  # still logged in
    return said


async def test_the_attacks_work_where_nothing_is_in_their_way(
    tab: Page, devpi_server: Index, person: NewPerson
) -> None:
    """Straight at devpi, where there are no sessions of ours to take."""
    reader = person("reader", Package("hello", "1.0"), enrolled=False)
    page = ATTACKS.replace("RELEASE", f"{reader.index}/hello/1.0").replace("INDEX", reader.index)
    page = page.replace("HOME", devpi_server.url)
    files = uploads.archive({"index.html": page, "worker.js": "self.onfetch = () => 1"})
    uploads.documentation(devpi_server.port, reader.index, reader.password, "hello", files)
    address = f"{devpi_server.url}/{reader.index}/hello/1.0/+doc/index.html"
    said = await attack(tab, address)
    assert said["delete"] == "403"  # devpi's own answer, which it may read
    assert "frame" in said and not said["frame"].startswith("blocked:")
    assert not said["service worker"].startswith("blocked:")


# -- the host of its own ------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """One way to ask the gateway: by the name of the documentation's host, or by another."""

    client: Client
    name: str

    def get(self, target: str, method: str = "GET", **fields: str) -> tuple[int, str]:
        told = self.client.call(method, target, fields={"Host": self.name, **fields})
        return told.status, told.first("location")


def test_the_host_serves_documentation_and_nothing_else(
    with_host: tuple[Gateway, str], author: Person
) -> None:
    gateway, its_own = with_host
    docs = Host(Client(gateway.port), its_own.partition("//")[2])
    main = Host(Client(gateway.port), gateway.url.partition("//")[2])
    page = f"/{author.index}/furo/1.0/+doc/index.html"
    assert docs.get(page) == (200, "")
    assert main.get(page) == (303, its_own + page)
    assert main.get(f"{page}?q=1") == (303, f"{its_own}{page}?q=1")
    for path in ("/", f"/{author.index}", "/+login", "/+auth/login", "/+search?query=x", "/+api"):
        assert docs.get(path) == (303, gateway.url + path), path
    assert docs.get("/+auth/health")[0] == 303
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert docs.get(page, method)[0] == 403, method
    assert docs.get(f"/{author.index}", "POST")[0] == 403
    static = next(iter(re.findall(r"/\+static-[^\"]+", Client(gateway.port).get("/").text)), "")
    home = main.client.call(
        "GET", f"/{author.index}", fields={"Host": main.name, "Accept": "text/html"}
    )
    static = re.findall(r"/\+static-[^\"]+", home.text)[0]
    assert docs.get(static) == (200, "")


@pytest.mark.parametrize("door", ["/+login?goto_url=", "/+auth/login?next="])
async def test_a_login_leads_back_to_documentation(
    tab: Page, with_host: tuple[Gateway, str], author: Person, door: str
) -> None:
    """Browsers hold the answer to a form to `form-action`, wherever it leads."""
    gateway, its_own = with_host
    phone = gateway.users.get(author.name) or gateway.enrol(author.name)
    page = f"/{author.index}/furo/1.0/+doc/index.html"
    await tab.goto(gateway.url + door + page)
    name = "username" if "goto" in door else "user"
    await tab.locator(f"[name={name}]").fill(author.name)
    await tab.locator("[name=password]").fill(author.password)
    await tab.keyboard.press("Enter")
    await tab.get_by_label("One-time code").fill(phone.code())
    await tab.get_by_role("checkbox").first.check()
    await press(tab, "Log in")
    await expect(tab).to_have_url(its_own + page)

    await tab.goto(gateway.url + door + page)  # from a browser that is remembered: in one step
    await tab.locator(f"[name={name}]").fill(author.name)
    await tab.locator("[name=password]").fill(author.password)
    await tab.keyboard.press("Enter")
    await expect(tab).to_have_url(its_own + page)


def test_no_credential_goes_on_from_the_host(
    with_host: tuple[Gateway, str], author: Person
) -> None:
    """devpi says who it takes a request for in /+api only, so a wrong password shows it: devpi
    answers 401 to one on every route."""
    gateway, its_own = with_host
    docs = Host(Client(gateway.port), its_own.partition("//")[2])
    page = f"/{author.index}/furo/1.0/+doc/index.html"
    for fields in (
        {"Authorization": "Basic eDp5"},
        {"X-Devpi-Auth": "eDp5"},
        {"Cookie": "auth_tkt=x%3Ay; ig-session=z"},
    ):
        assert docs.get(page, **fields) == (200, "")

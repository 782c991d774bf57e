"""What a reader sees of the index's own pages in Chromium: as straight at it, and harmless.

Before a real devpi with devpi-web and devpi-lockdown, a real pypiserver, and a server that writes
the worst page it can.
"""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Page, expect

from gateway.cli.demo.indexes import Package
from tests.conftest import PYPISERVER_USERS
from tests.e2e.conftest import NewPerson
from tests.gate.recorder import Recorder, Seen
from tests.support import uploads
from tests.support.gateways import Gateway, running
from tests.support.http import Client
from tests.support.servers import Index
from tests.support.waiting import eventually
from tests.web.chrome import Watch

MARKUP = "hello-1.2-py3.1-<img src=x onerror=document.title=`taken`>.zip"

LOOK = """() => {
  const style = (one) => one && [getComputedStyle(one).color, getComputedStyle(one).fontFamily,
    getComputedStyle(one).backgroundColor, getComputedStyle(one).display,
    Math.round(one.getBoundingClientRect().height)].join(" ");
  const parts = ["body", "h1", "#search", ".query_doc", "table", "form", "#content"];
  return [document.title, document.body.innerText,
    ...parts.map((one) => style(document.querySelector(one)))].join("\\n");
}"""


async def look(tab: Page, home: str, path: str) -> str:
    """What a page says and how its parts look, whatever the server's address."""
    await tab.goto(home + path)
    said: str = await tab.evaluate(LOOK)
    return said.replace(home, "HOME")


async def test_devpis_pages_look_and_work_as_before(
    tab: Page, devpi_server: Index, before_devpi: Gateway, person: NewPerson
) -> None:
    projects = Package("hello", "1.0"), Package("hello", "1.1"), Package("quagga", "1.0")
    ann = person("pages", *projects)
    search = "/+search?query=quagga"  # which nobody else has
    html = {"Accept": "text/html"}
    assert eventually(lambda: ann.index in Client(devpi_server.port).get(search, fields=html).text)
    release = f"/{ann.index}/hello/1.0"
    watch = Watch()
    watch.on(tab)
    for path in (
        "/",
        f"/{ann.name}",
        f"/{ann.index}",
        f"/{ann.index}/hello",
        release,
        f"/{ann.index}/+simple/hello/",
        f"/{ann.index}/+simple/",
        search,
        "/+searchhelp",
        "/+login",
        "/nobody/nothing",
        f"{release}/+f/nothing",
    ):
        straight = await look(tab, devpi_server.url, path)
        watch.said.clear()
        assert await look(tab, before_devpi.url, path) == straight, path
        assert watch.said == [], path

    await tab.goto(f"{before_devpi.url}{release}")
    for shown in (True, False):
        await tab.locator(".help a").nth(0 if shown else 1).click()
        await expect(tab.locator(".query_doc")).to_be_visible(visible=shown)
    stamp = tab.locator(".timestamp").first
    await expect(stamp).to_have_attribute("title", re.compile("."))  # made by its script
    async with tab.expect_download() as download:
        await tab.get_by_role("link", name="hello-1.0.tar.gz").click()
    assert (await download.value).suggested_filename == "hello-1.0.tar.gz"
    await tab.goto(f"{before_devpi.url}/{ann.index}/+simple/hello/")
    async with tab.expect_download() as download:
        await tab.get_by_role("link", name="hello-1.0.tar.gz").click()
    assert (await download.value).suggested_filename == "hello-1.0.tar.gz"
    await tab.goto(f"{before_devpi.url}/")
    await tab.locator("#search input[name=query]").fill("hello")
    await tab.keyboard.press("Enter")
    await expect(tab).to_have_url(f"{before_devpi.url}/+search?query=hello")
    assert watch.said == []


async def test_names_and_links_of_projects_run_nothing_at_devpi(
    tab: Page, devpi_server: Index, before_devpi: Gateway, person: NewPerson
) -> None:
    """Each runs straight at devpi: markup in a file's name without a click, a link with one."""
    ann = person("names", Package("hello", "1.0"))
    auth = (ann.name, ann.password)
    link = {
        "name": "hello",
        "version": "1.1",
        "home_page": "javascript:void(document.title='taken')",
    }
    uploads.post(devpi_server.port, f"/{ann.index}", auth, {":action": "submit", **link})
    file = {":action": "file_upload", "name": "hello", "version": "1.2", "filetype": "sdist"}
    uploads.post(devpi_server.port, f"/{ann.index}", auth, file, (MARKUP, b"x"))

    for home, taken in ((devpi_server.url, True), (before_devpi.url, False)):
        await tab.goto(f"{home}/{ann.index}/+simple/hello/")
        await tab.wait_for_load_state("networkidle")
        await expect_taken(tab, taken)
        await tab.goto(f"{home}/{ann.index}/hello/1.1")
        await tab.get_by_role("link", name="Homepage").click()
        await tab.wait_for_timeout(200)
        await expect_taken(tab, taken)


async def expect_taken(tab: Page, taken: bool) -> None:
    if taken:
        await expect(tab).to_have_title("taken")
    else:
        assert await tab.title() != "taken"


# -- the worst page -----------------------------------------------------------------------------

WORST = """<!DOCTYPE html><html><head><title>harmless</title>
<base href="http://evil.example/">
<link rel="stylesheet" href="/u/i/p/1/+doc/evil.css">
<style>body { color: rgb(1, 2, 3) }</style></head>
<body onload="document.title='taken by onload'">
<script>document.title = "taken by a script"</script>
<script src="/u/i/p/1/+doc/evil.js"></script>
<script src="/u/i/+f/1/2/evil.js"></script>
<script src="data:text/javascript,document.title='taken by data'"></script>
<script src="/u/i/p/page-that-is-text"></script>
<script type="module">document.title = "taken by a module"</script>
<img src="x" onerror="document.title='taken by onerror'">
<svg onload="document.title='taken by svg'"></svg>
<iframe srcdoc="<script>parent.document.title='taken by srcdoc'</script>"></iframe>
<iframe src="javascript:parent.document.title='taken by a frame'"></iframe>
<object data="/u/i/p/1/+doc/evil.html"></object><embed src="/u/i/p/1/+doc/evil.html">
<a id="link" href="javascript:document.title='taken by a link'">link</a>
<form id="form" action="http://evil.example/" method="post"><input name="a"></form>
<a id="relative" href="here">relative</a>
"""
EVIL = b"document.title = 'taken by a file'"


def worst(seen: Seen) -> bytes:
    path = seen.line.split(b" ")[1].decode()
    kinds = {".js": b"text/javascript", ".css": b"text/css", "text": b"text/plain"}
    kind = next((kind for end, kind in kinds.items() if path.endswith(end)), b"text/html")
    body = EVIL
    if kind == b"text/html":
        body = WORST.encode() if path.endswith("/page") else b"<script>" + EVIL + b"</script>"
    if kind == b"text/css":
        body = b"body { background: rgb(4, 5, 6) }"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


async def test_nothing_in_the_worst_page_runs(tab: Page, tmp_path: Path) -> None:
    """As a page of the index, as a page without scripts, and as a file opened by itself."""
    with Recorder(worst) as upstream, running(tmp_path, "devpi", upstream.url) as gateway:
        tab.on("dialog", lambda dialog: dialog.dismiss())
        for path in ("/u/i/p/page", "/u/i/+simple/p/page", "/u/i/+f/1/2/page"):
            await tab.goto(gateway.url + path)
            await tab.wait_for_load_state("load")
            await tab.wait_for_timeout(200)
            assert await tab.title() == "harmless", path
            await tab.locator("#link").click()
            await tab.wait_for_timeout(100)
            assert await tab.title() == "harmless", path
            color, back = await tab.evaluate(
                "[getComputedStyle(document.body).color, getComputedStyle(document.body)"
                ".backgroundColor]"
            )
            if "+" not in path:  # what is inert may look as it likes
                assert color != "rgb(1, 2, 3)"
                assert back != "rgb(4, 5, 6)", "an uploaded style"
            relative = await tab.locator("#relative").evaluate("one => one.href")
            assert relative.startswith(gateway.url)
            await tab.evaluate("document.querySelector('#form').submit()")
            await tab.wait_for_timeout(200)
            assert tab.url == gateway.url + path, "a form leads nowhere else"


# -- pypiserver ---------------------------------------------------------------------------------


async def test_an_uploaded_page_runs_nothing_at_pypiserver(
    tab: Page, pypiserver: Index, before_pypiserver: Gateway
) -> None:
    """pypiserver takes any ending behind `-py3.1-`, and serves what it says."""
    name = "evil-1.0-py3.1-x.html"
    page = b"<title>harmless</title><p>read</p><script>document.title = 'taken'</script>"
    auth = ("alice", PYPISERVER_USERS["alice"])
    told = uploads.post(before_pypiserver.port, "/", auth, {":action": "file_upload"}, (name, page))
    assert told.status == 200
    for home, title in ((pypiserver.url, "taken"), (before_pypiserver.url, "harmless")):
        await tab.goto(f"{home}/packages/{name}")
        await expect(tab.get_by_text("read")).to_be_visible()
        assert await tab.title() == title


async def test_pypiservers_pages_look_and_work_as_before(
    tab: Page, pypiserver: Index, before_pypiserver: Gateway
) -> None:
    watch = Watch()
    watch.on(tab)
    for path in ("/", "/simple/", "/simple/hello/", "/packages/", "/nothing/json", "/packages/no"):
        straight = await look(tab, pypiserver.url, path)
        watch.said.clear()
        assert await look(tab, before_pypiserver.url, path) == straight, path
        assert watch.said == [], path
    await tab.goto(f"{before_pypiserver.url}/simple/hello/")
    async with tab.expect_download() as download:
        await tab.get_by_role("link", name="hello-1.0.tar.gz").click()
    assert (await download.value).suggested_filename == "hello-1.0.tar.gz"

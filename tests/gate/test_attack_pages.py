"""A script in a page of the index, same origin, no response policy: what it gets of our pages.

The upstream stands for an index that serves what people upload as it is. Everything is tried in a
real Chromium, as the person who is logged in; each way of reading is first shown to work on
another page of the index.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from gateway.core.administration import Admin
from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served
from tests.web.chrome import press

Serve = Callable[..., Served]

RULES = [
    {
        "name": "reading",
        "match": {"methods": ["GET"], "path": "/**"},
        "policy": "pass",
        "response": "plain",
    }
]
RIGHT = base64.b64encode(b"alice:right").decode()
OWN = ["/+auth/", "/+auth/recovery", "/+auth/add", "/+auth/login", "/+auth/logout"]
MARK = "a page of the index"


def index(seen: Seen) -> bytes:
    """Judges passwords, and serves a page or a script at every other address."""
    status, kind, body = b"200 OK", b"text/html", MARK.encode()
    more = b""
    if seen.line.startswith(b"POST"):
        status = (
            b"200 OK" if any(RIGHT in value for value in seen.all("authorization")) else b"403 No"
        )
    elif seen.line.startswith(b"GET /coop"):
        more = b"Cross-Origin-Opener-Policy: same-origin\r\n"
    elif seen.line.startswith(b"GET /worker.js"):
        kind, body = (
            b"text/javascript",
            b"onfetch = (event) => event.respondWith(fetch(event.request))",
        )
        more = b"Service-Worker-Allowed: /\r\n"
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, kind, more, len(body)) + body


@dataclass
class Scene:
    """alice's browser: logged in at the gateway a moment ago, looking at a page of the index."""

    served: Served
    upstream: Recorder
    tab: Page

    async def open(self, path: str) -> None:
        await self.tab.goto(self.served.url + path)
        await expect(self.tab.get_by_text(MARK)).to_be_visible()

    async def run(self, script: str, *values: Any) -> Any:
        return await self.tab.evaluate(script, list(values))

    async def close_others(self) -> None:
        for page in self.tab.context.pages:
            if page is not self.tab:
                await page.close()


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(index) as recorder:
        yield recorder


@pytest.fixture
def served(serve: Serve, upstream: Recorder) -> Served:
    gateway = serve("pypiserver", upstream.url, rules=RULES, tests=None, response="plain")
    gateway.enrol("alice")
    return gateway


@pytest_asyncio.fixture(loop_scope="session")
async def scene(served: Served, upstream: Recorder, chromium: Browser) -> AsyncIterator[Scene]:
    context = await chromium.new_context()
    context.set_default_timeout(15_000)
    tab = await context.new_page()
    await tab.goto(f"{served.url}/+auth/login")
    await tab.get_by_label("User name").fill("alice")
    await tab.get_by_label("Password").fill("right")
    await press(tab, "Continue")
    await tab.get_by_label("One-time code").fill(served.code("alice"))
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()
    made = Scene(served, upstream, tab)
    before = served.run(Admin(served.running.parts.flow.services).show("alice"))
    yield made
    after = served.run(Admin(served.running.parts.flow.services).show("alice"))
    assert (after.factors, after.recovery_left) == (before.factors, before.recovery_left)
    await tab.goto(f"{served.url}/+auth/")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


FETCH = """async ([paths]) => {
  const found = [];
  const tries = [{}, {mode: "same-origin"}, {mode: "no-cors"}, {cache: "force-cache"},
    {headers: {"Upgrade-Insecure-Requests": "1", "Accept": "text/html"}},
    {referrer: "/+auth/"}, {method: "POST", body: new URLSearchParams({saved: "yes"})}];
  for (const path of paths) {
    for (const how of tries) {
      const answer = await fetch(path, how);
      found.push([path, answer.status, await answer.text()]);
    }
    const frame = await fetch(path).then((answer) => answer.status);
    const asked = new XMLHttpRequest();
    asked.open("GET", path, false);
    asked.send();
    found.push([path, asked.status, asked.responseText], [path, frame, ""]);
  }
  return found;
}"""


async def test_what_a_script_fetches_is_refused(scene: Scene) -> None:
    await scene.open("/evil")
    assert any(MARK in text for _, _, text in await scene.run(FETCH, ["/other"]))
    found = await scene.run(FETCH, OWN)
    assert {status for _, status, _ in found} == {403}
    assert not any("form_token" in text for _, _, text in found)


FRAME = """async ([tag, path, patience]) => {
  const frame = document.createElement(tag);
  frame[tag === "object" ? "data" : "src"] = path;
  const loaded = new Promise((done) => { frame.onload = frame.onerror = done; });
  document.body.append(frame);
  await Promise.race([loaded, new Promise((done) => setTimeout(done, patience))]);
  try { return frame.contentDocument.documentElement.outerHTML; } catch (error) { return ""; }
}"""


async def test_no_page_of_ours_is_in_a_frame(scene: Scene) -> None:
    for tag in ("iframe", "object", "embed", "frame"):
        await scene.open("/evil")
        if tag in ("iframe", "object"):
            assert MARK in await scene.run(FRAME, tag, "/other", 15_000)
        for path in OWN:
            assert "form_token" not in await scene.run(FRAME, tag, path, 1500), (tag, path)


OPEN = """async ([path, how, rounds]) => {
  let opened;
  if (how === "open") opened = window.open(path);
  if (how === "later") {
    opened = window.open("/other");
    await new Promise((done) => setTimeout(done, 300));
    opened.location = path;
  }
  if (how === "form") {
    opened = window.open("", "named");
    const form = document.createElement("form");
    form.action = path; form.method = "get"; form.target = "named";
    document.body.append(form); form.submit();
  }
  for (let round = 0; round < rounds; round += 1) {
    await new Promise((done) => setTimeout(done, 100));
    try {
      const text = opened.document.documentElement.outerHTML;
      if (text.includes("form_token") || text.includes("a page of the index") && path === "/last")
        return text;
    } catch (error) { /* another origin, or cut off */ }
  }
  return "";
}"""


@pytest.mark.parametrize("page", ["/evil", "/coop"], ids=["plain", "with an opener policy"])
async def test_a_window_that_a_script_opens_is_cut_off_from_it(scene: Scene, page: str) -> None:
    for how in ("open", "later", "form"):
        await scene.open(page)
        if page == "/evil":
            assert MARK in await scene.run(OPEN, "/last", how, 150), "a page can be read so"
        for path in OWN[:2]:
            assert await scene.run(OPEN, path, how, 12) == "", (how, path)
        await scene.close_others()


async def test_a_window_that_was_opened_is_cut_off_from_ours(scene: Scene) -> None:
    """The other way round: the page that opened it goes to a page of ours."""
    await scene.open("/evil")
    async with scene.tab.expect_popup() as opening:
        await scene.run("() => { window.open('/other'); }")
    popup = await opening.value
    await popup.wait_for_load_state()
    assert MARK in await popup.evaluate("opener.document.body.textContent")
    await popup.evaluate("() => { opener.location = '/+auth/recovery'; }")
    await expect(scene.tab.get_by_role("heading", name="New recovery codes")).to_be_visible()
    cut = """() => {
      try { return opener ? opener.document.documentElement.outerHTML : ""; } catch { return ""; }
    }"""
    assert await popup.evaluate(cut) == ""


async def test_a_form_that_a_script_sends_has_no_token(scene: Scene) -> None:
    for action in ("/+auth/recovery", "/+auth/add/start", "/+auth/sessions/end-others"):
        await scene.open("/evil")
        async with scene.tab.expect_navigation() as going:
            await scene.run(
                """([action]) => {
                  const form = document.createElement("form");
                  form.action = action; form.method = "post";
                  form.innerHTML = '<input name="name" value="x"><input name="kind" value="totp">';
                  document.body.append(form); form.submit();
                }""",
                action,
            )
        answer = await going.value
        assert answer is not None
        assert answer.status == 403
        await expect(scene.tab.get_by_text("csrf")).to_be_visible()


async def test_no_script_becomes_a_service_worker(scene: Scene) -> None:
    """One at the root would be asked for every page of ours."""
    await scene.open("/evil")
    said = await scene.run(
        """() => navigator.serviceWorker.register("/worker.js", {scope: "/"})
             .then(() => "registered", (error) => error.message)"""
    )
    assert "403" in said, said
    assert not any(b"/worker.js" in seen.line for seen in scene.upstream.seen)
    await scene.run("() => fetch('/worker.js')")
    assert any(b"/worker.js" in seen.line for seen in scene.upstream.seen), "a script as any other"

"""Documentation of a private index, read by a pass in the address: what that opens, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.indexes import Package
from tests.gate.served import Served
from tests.gate.test_ended_credentials import send
from tests.gate.test_private_reading import private
from tests.support import servers, uploads
from tests.support.http import Answer, Client

FILES = {
    "index.html": "<!doctype html><title>d</title><p>How it works</p>",
    "_static/a.css": "p { color: green }",
    "frames.html": "<p>framed</p>",
}
OTHERS = "http://127.0.0.1:8999"
PART = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "style"}
OPENED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
FRAMED = {**OPENED, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}


class Browser:
    """Somebody who is logged in with a browser, and documentation of two projects."""

    def __init__(self, served: Served, name: str, password: str, documented: str = "") -> None:
        self.served = served
        self.name = name
        self.documented = documented or name
        if name not in served.secrets:
            served.enrol(name)
        self.client = served.browse_in(name, password)

    def place(self, project: str = "hello", kind: str = "+doc") -> str:
        return f"/{self.documented}/dev/{project}/1.0/{kind}/"

    def open(self, target: str, **fields: str) -> Answer:
        return self.client.get(target, fields={"Accept": "text/html", **OPENED, **fields})

    def led(self, project: str = "hello", kind: str = "+doc") -> str:
        """Where a page is led to, up to its name."""
        told = self.open(self.place(project, kind) + "index.html")
        assert told.status == 303, told.body
        return told.first("location").removesuffix("index.html")


@pytest.fixture(scope="module")
def author(devpi_server: servers.Index) -> tuple[str, str]:
    """Somebody with two projects that are documented, and the password."""
    name = "documented"
    password = devpi_server.person(name, Package("hello", "1.0"), Package("other", "1.0"))
    for project in ("hello", "other"):
        made = uploads.archive(FILES)
        uploads.documentation(devpi_server.port, f"{name}/dev", password, project, made)
    return name, password


@contextmanager
def begun(place: Path, index: servers.Index, changes: dict[str, Any]) -> Iterator[Served]:
    served = Served(place, "devpi", index.url, changes).start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: servers.Index
) -> Iterator[Served]:
    with begun(tmp_path_factory.mktemp("closed"), devpi_server, private("devpi")) as served:
        yield served


@pytest.fixture
def reader(closed: Served, author: tuple[str, str]) -> Browser:
    return Browser(closed, *author)


def part(reader: Browser, target: str, method: str = "GET", **fields: str) -> Answer:
    """What a page takes in: without any cookie, as from another site."""
    return reader.served.client().call(method, target, fields={**PART, **fields})


def test_a_page_and_all_it_is_made_of(reader: Browser) -> None:
    place = reader.led()
    assert re.fullmatch(rf"/\+auth/read/[\w-]{{32}}{re.escape(reader.place())}", place)
    assert reader.led() == place, "the same while it counts for long enough"
    assert reader.led(kind="+d") == place, "devpi-web's frame cannot look into a sandbox"
    told = reader.open(place + "index.html")
    assert told.status == 200
    assert "How it works" in told.text
    assert told.first("referrer-policy") == "same-origin"
    assert "sandbox" in told.first("content-security-policy")
    assert "private" in told.first("cache-control")
    told = part(reader, place + "_static/a.css")
    assert (told.status, told.text) == (200, FILES["_static/a.css"])
    assert "private" in told.first("cache-control")
    told = part(reader, place + "_static/a.css", Origin="null")
    assert told.first("access-control-allow-origin") == "null"
    assert part(reader, place + "_static/a.css", "HEAD").status == 200
    told = reader.served.client().get(place + "frames.html", fields=FRAMED)
    assert told.status == 200, "a frame in a sandbox has no cookies either"
    assert part(reader, reader.place() + "_static/a.css").status == 401, "as before"


def test_whoever_opens_a_page_needs_the_cookies_that_it_is_for(
    reader: Browser, devpi_server: servers.Index
) -> None:
    name = "documents-nothing"
    other = Browser(reader.served, name, devpi_server.person(name), reader.name)
    page = reader.led() + "index.html"
    usual = (303, reader.place() + "index.html")
    asked: list[tuple[Client, dict[str, str]]] = [
        (reader.served.client(), OPENED),
        (other.client, OPENED),
        (reader.served.client(), {"Accept": "text/html", "User-Agent": "Slackbot"}),
    ]
    for client, fields in asked:
        told = client.get(page, fields=fields)
        assert (told.status, told.first("location")) == usual, fields
    told = other.open(usual[1])
    assert told.first("location") not in ("", page), "a pass of their own"
    told = reader.served.client().get(usual[1], fields=OPENED)
    assert told.first("location").startswith("/+auth/login?next=")


def test_it_only_reads(reader: Browser) -> None:
    place = reader.led()
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PUSH", "get"):
        for target in (f"{place}index.html", place.replace(reader.place(), f"/{reader.name}/dev")):
            told = part(reader, target, method)
            assert told.status in (400, 403, 405), (method, target)


def test_it_opens_nothing_else(reader: Browser) -> None:
    place = reader.led()
    head = place.removesuffix(reader.place())
    name = reader.name
    for inside in (
        reader.place("other") + "index.html", f"/{name}/dev", f"/{name}", f"/{name}/dev/hello",
        f"/{name}/dev/hello/1.0", f"/{name}/dev/+simple/hello/", f"/{name}/+tokens", "/+api",
        "/+status", "/+search?query=hello", "/+auth/", "/+auth/api/tokens", "/+login",
        f"{place}index.html", reader.place().replace("1.0", "2.0") + "index.html",
    ):  # fmt: skip
        told = part(reader, head + inside)
        assert (told.status, told.first("location")) == (303, inside), inside
        assert not told.body
    refused = [
        head + "/" + reader.place() + "index.html",
        place + "../../1.0/+doc/index.html",
        place + "%2e%2e/+doc/index.html",
        place.replace("+doc/", "+doc%2f") + "index.html",
        place.replace("/+auth", "/%2Bauth") + "index.html",
        place.replace("/+auth", "//+auth") + "index.html",
        head, head + "/", "/+auth/read/",
    ]  # fmt: skip
    for target in refused:
        told = part(reader, target)
        assert told.status in (303, 400, 404), target
        assert b"How it works" not in told.body
        assert told.status != 303 or told.first("location") == "/"


def test_no_page_of_the_index_takes_in_a_file_by_a_pass(reader: Browser) -> None:
    """`script-src 'self'` would let it run one that the reader of a pass has uploaded."""
    script = reader.led() + "_static/a.css"
    for dest in ("script", "style", "worker", "serviceworker", "sharedworker"):
        told = part(reader, script, **{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": dest})
        assert (told.status, told.slug) == (403, "not_part_of_a_page"), dest


def test_what_is_no_pass_opens_nothing(reader: Browser) -> None:
    place = reader.led()
    text = place.split("/")[3]
    spoilt = ("A" if text[0] != "A" else "B") + text[1:]
    for wrong in (spoilt, text[:-1], text + "A", "x", text.swapcase(), "%00" + text, "é"):
        target = place.replace(text, wrong if wrong.isascii() else "%C3%A9") + "_static/a.css"
        told = part(reader, target)
        assert told.status in (303, 400, 404), wrong
        assert b"green" not in told.body


def test_it_ends_with_the_session(reader: Browser) -> None:
    place = reader.led()
    style = place + "_static/a.css"
    assert part(reader, style).status == 200
    send(reader.served, reader.client, "/+auth/", "/+auth/logout")
    told = part(reader, style)
    assert (told.status, told.first("location")) == (303, reader.place() + "_static/a.css")


def test_it_ends_by_time(reader: Browser) -> None:
    place = reader.led()
    reader.served.offset += 3600
    assert part(reader, place + "_static/a.css").status == 200, "a page that was just opened"
    told = reader.open(place + "index.html")
    assert (told.status, told.first("location")) == (303, reader.place() + "index.html")
    assert reader.led() != place, "which leads to a new one"
    reader.served.offset += 3600
    assert part(reader, place + "_static/a.css").status == 303


def test_rules_decide_as_ever(
    tmp_path: Path, devpi_server: servers.Index, author: tuple[str, str]
) -> None:
    """For whom the documentation is, and which files of it."""
    changed = private("devpi")
    match = {"path": "/{a}/{b}/{c}/{d}/+doc/_static/**"}
    apart = {"name": "apart", "match": match, "policy": "authenticated", "response": "inert"}
    for rule in changed["rules"]:
        if rule["name"] == "documentation":
            rule["match"]["users"] = [author[0]]
    changed["rules"].insert(0, apart)
    with begun(tmp_path, devpi_server, changed) as served:
        reader = Browser(served, *author)
        place = reader.led()
        assert part(reader, place + "_static/a.css").status == 303, "not documentation"
        assert part(reader, place + "frames.html").status == 200
        name = "not-for-them"
        strange = Browser(served, name, devpi_server.person(name), author[0])
        assert strange.open(strange.place() + "index.html").status == 403


# -- at a host of its own -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_hosts(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: servers.Index
) -> Iterator[Served]:
    changes = {"documentation_url": OTHERS, **private("devpi")}
    with begun(tmp_path_factory.mktemp("two"), devpi_server, changes) as served:
        yield served


@pytest.fixture
def apart(two_hosts: Served, author: tuple[str, str]) -> Browser:
    return Browser(two_hosts, *author)


def there(reader: Browser, target: str, client: Client | None = None, **fields: str) -> Answer:
    """Asked at the documentation's host, with cookies of that host alone."""
    asked = {"Host": "127.0.0.1:8999", "Accept": "text/html", **OPENED, **fields}
    return (client or reader.served.client()).get(target, fields=asked)


def test_the_other_host_lets_in_whom_the_first_one_led_there(apart: Browser) -> None:
    page = apart.place(kind="+d") + "index.html"
    address = apart.open(page).first("location")
    assert address.startswith(OTHERS + "/+auth/read/")
    entering = address.removeprefix(OTHERS)
    browser = apart.served.client()
    told = there(apart, entering, browser)
    assert told.status == 303, told.body
    (cookie,) = told.all("set-cookie")
    plain = entering.rpartition("?ig-enter=")[0]
    pass_place = plain.removesuffix(page)
    assert f"; Path={pass_place}/; HttpOnly; SameSite=Lax" in cookie
    assert told.first("location") == OTHERS + plain
    told = there(apart, plain, browser)
    assert told.status == 200
    assert "sandbox" not in told.first("content-security-policy")
    framed = pass_place + apart.place() + "index.html"
    assert framed in told.text, "devpi-web's frame, by the same pass"
    told = there(apart, framed, browser, **FRAMED)
    assert "How it works" in told.text
    shown = there(apart, plain, browser).text
    style = re.findall(r'"[^"]*(/\+auth/read/[^"]+/style\.css)', shown)[0]
    assert there(apart, style).status == 200, "styles of devpi-web are for everybody"


def test_without_its_cookie_it_leads_back(apart: Browser) -> None:
    page = apart.place() + "index.html?q=1"
    entering = apart.open(page).first("location").removeprefix(OTHERS)
    assert "&ig-enter=" in entering
    plain = entering.rpartition("&ig-enter=")[0]
    style = plain.replace("index.html?q=1", "_static/a.css")
    home = apart.served.url
    for target, clean in ((plain, page), (style, apart.place() + "_static/a.css")):
        for fields in (OPENED, PART, FRAMED, {"Cookie": "ig-reading=x"}):
            told = there(apart, target, None, **fields)
            assert (told.status, told.first("location")) == (303, home + clean), fields
    other = entering.replace("hello", "other")
    assert there(apart, other).first("location") == home + page.replace("hello", "other")
    apart.served.offset += 31
    told = there(apart, entering)
    assert (told.status, told.first("location")) == (303, home + page), "half a minute"
    assert not told.all("set-cookie")


def test_nothing_else_is_at_the_other_host(apart: Browser) -> None:
    entering = apart.open(apart.place() + "index.html").first("location")
    entering = entering.removeprefix(OTHERS)
    browser = apart.served.client()
    assert there(apart, entering, browser).status == 303
    head = entering.partition(f"/{apart.name}")[0]
    for inside in (f"/{apart.name}/dev", f"/{apart.name}/dev/+simple/hello/", "/+api"):
        told = there(apart, head + inside, browser)
        assert (told.status, told.first("location")) == (303, apart.served.url + inside)
    other = there(apart, head + apart.place("other") + "index.html", browser)
    assert other.status == 303
    # A page that cannot say what it is for, such as a frame, is not led there: it would be of one
    # origin with whatever framed it.
    told = apart.client.get(apart.place() + "index.html", fields={**OPENED, **FRAMED})
    assert not told.first("location").startswith(OTHERS)

"""Every page of a configuration with sample people, on loopback."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from pytest_aiohttp import AiohttpRawServer

from gateway.app.preview import Preview, listed, sample
from gateway.app.sample_people import Ahead, Anybody, SamplePeople
from gateway.app.wiring import build
from gateway.settings import Settings, loads

CONFIG = b"""\
version: 1
public_url: https://packages.example.org
trusted_proxies: [192.0.2.10]
upstream: {kind: devpi, url: "http://127.0.0.1:1"}
store: sqlite:/nowhere/state.db
second_factor: {enrolment: invite}
notices: {smtp: {host: mail.example.org, from: index@example.org}}
appearance: {name: Example packages, contact: it@example.org}
"""


@dataclass
class Shown:
    address: str
    http: ClientSession

    async def get(self, target: str) -> tuple[int, str, str]:
        """Status, address and text of where a link leads, in a browser of its own."""
        cookies: dict[str, str] = {}
        while True:
            headers = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none", "host": "localhost"}
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
            async with self.http.get(
                self.address + target, headers=headers, allow_redirects=False
            ) as answer:
                for line in answer.headers.getall("set-cookie", []):
                    cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
                if answer.status != 303:
                    return answer.status, target, await answer.text()
                target = answer.headers["location"]


@pytest.fixture
async def shown(tmp_path: Path, aiohttp_raw_server: AiohttpRawServer) -> AsyncIterator[Shown]:
    settings = sample(loads(CONFIG, file="gateway.yaml", base=tmp_path), tmp_path, 80)
    clock = Ahead()
    worker = await build(settings, clock, checker=Anybody())
    people = SamplePeople(worker.parts.flow, clock)
    await people.settle()
    preview = Preview(worker, people)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await preview.answer(request)

    server = await aiohttp_raw_server(answer)
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Shown(str(server.make_url("")).rstrip("/"), http)
    await worker.close()


async def test_every_link_leads_to_a_page_with_the_look(shown: Shown) -> None:
    status, _, text = await shown.get("/")
    assert status == 200
    links = re.findall(r'href="(/\+preview/[^"]+)"', text)
    assert len(links) == len(listed()) > 90
    for link in links:
        status, at, text = await shown.get(link)
        assert "Example packages</title>" in text, link
        if "/refusal/" in link:
            assert status >= 400, link
            assert "it@example.org" in text, link
        else:
            at = at.replace("/+preview/front", "/+auth/")
            assert (status, at.startswith("/+auth/")) == (200, True), (link, at, text)


async def test_what_is_no_link_is_said_so(shown: Shown) -> None:
    assert (await shown.get("/+preview/nothing/"))[0] == 404
    assert (await shown.get("/+preview/refusal/nothing"))[0] == 404


def test_the_configurations_own_places_are_left_alone(tmp_path: Path) -> None:
    before = loads(CONFIG, file="gateway.yaml", base=tmp_path)
    after = sample(before, tmp_path, 8095)
    assert after.store == f"sqlite:{tmp_path / 'sample.db'}"
    assert after.keys.path == tmp_path / "sample.keys"
    assert after.notices.smtp is None
    assert str(after.public_url) == "http://localhost:8095"
    assert after.admins == ("alex",)
    untouched = {"store", "keys", "notices", "public_url", "second_factor", "admins"}
    for name in Settings.__dataclass_fields__:
        assert name in untouched or getattr(after, name) == getattr(before, name)

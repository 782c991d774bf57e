"""A gateway before a real pypiserver, people who do things there, and what they were told."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.app.domain import open_domain
from gateway.cli.demo.processes import Children
from gateway.core.administration import Admin
from gateway.core.urls import ENROL, LOGIN, OVERVIEW, VERIFY
from gateway.settings import load
from tests.contracts.conftest import Server
from tests.support import servers, uploads
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway, configure
from tests.support.http import Client
from tests.support.pages import send

FAILURES: Final = (OSError, http.client.HTTPException, TimeoutError)
"""What a client sees of a gateway that was killed."""


_LATER: Final = 100


@dataclass(frozen=True)
class Deed:
    """Something that was acknowledged: what can be looked for after a crash."""

    kind: str
    user: str
    code: str = ""
    token: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    phone: Authenticator | None = None
    file: str = ""
    at: float = 0.0


class People:
    """Everybody enrolled; one deed at a time for each, the one longest unused first."""

    def __init__(self, phones: dict[str, Authenticator]) -> None:
        self._phones = phones
        self._names = list(phones)
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[tuple[str, Authenticator]]:
        with self._lock:
            name = self._names.pop(0)
        try:
            yield name, self._phones[name]
        finally:
            with self._lock:
                self._names.append(name)


@dataclass
class World:
    """A gateway with its people, before a pypiserver.

    newcomers: who has no second factor yet. begun: the phones that were offered to one of them.
    """

    gateway: Gateway
    people: People
    numbers: Iterator[int] = field(default_factory=itertools.count)
    newcomers: deque[str] = field(default_factory=deque)
    begun: dict[str, list[Authenticator]] = field(default_factory=lambda: defaultdict(list))
    _networks: Iterator[int] = field(default_factory=lambda: itertools.count(256))

    def client(self) -> Client:
        """Somebody in a network of their own: a password whose answer was cut off counts as a
        wrong one there, and all of these together would be throttled."""
        number = next(self._networks)
        return self.gateway.client(timeout=10, source=f"127.{number >> 8 & 127}.{number & 255}.1")

    def token(self) -> Deed:
        """Make a token by the API, with password and code."""
        with self.people.one() as (name, phone):
            code = phone.code()
            told = self.client().post(
                "/+auth/api/tokens",
                send={
                    "user": name,
                    "password": password(name),
                    "code": code,
                    "name": f"token {next(self.numbers)}",
                    "actions": ["upload"],
                    "days": 1,
                },
            )
            assert told.status in (200, 201), told
            return Deed("token", name, code, token=told.json["token"])

    def session(self) -> Deed:
        """Log in at the gateway's page."""
        with self.people.one() as (name, phone):
            browser = self.client()
            self._fill_in(browser, LOGIN, user=name, password=password(name))
            self._fill_in(browser, VERIFY, code=phone.code())
            return Deed("session", name, phone.at(phone.last_step), cookies=dict(browser.cookies))

    def enrolment(self) -> Deed:
        """Log in without a second factor, and set one up; or go on where that was cut off."""
        name = self.newcomers.popleft()
        try:
            browser = self.client()
            told = self._fill_in(browser, LOGIN, user=name, password=password(name))
            if told.endswith(VERIFY):  # only its last answer was cut off
                phone = self._proven(browser, name)
            else:
                phone = self._set_up(browser, name)
        except BaseException:
            self.newcomers.insert(_LATER, name)  # a code can be tried once in 30 seconds
            raise
        return Deed("enrolment", name, cookies=dict(browser.cookies), phone=phone)

    def _set_up(self, browser: Client, name: str) -> Authenticator:
        self._fill_in(browser, f"{ENROL}/start", at=ENROL, name="Phone")
        page = browser.browse("GET", ENROL)
        shown = re.search(r'id="secret">([^<]+)<', page.text)
        assert shown, (page.status, page.text)
        phone = Authenticator(re.sub(r"\s|&nbsp;", "", shown[1]))
        self.begun[name].append(phone)
        told = send(self.gateway, browser, page, ENROL, code=phone.code())
        assert told.status == 303, (told.status, told.text)
        self._fill_in(browser, f"{ENROL}/recovery", saved="yes")
        return phone

    def _proven(self, browser: Client, name: str) -> Authenticator:
        for phone in reversed(self.begun[name]):
            page = browser.browse("GET", VERIFY)
            told = send(self.gateway, browser, page, VERIFY, code=phone.code())
            assert told.status not in (429, 503), (told.status, told.text)
            if told.status == 303:
                return phone
        raise LookupError(f"{name} has a second factor, and none that was shown")

    def upload(self) -> Deed:
        """A file; its entry in the trail is written behind the answer."""
        with self.people.one() as (name, _):
            number = next(self.numbers)
            file = f"kept-{number}.tar.gz"
            fields = {":action": "file_upload", "name": "kept", "version": str(number)}
            told = self.client().post(
                "/",
                auth=(name, password(name)),
                body=uploads.form(fields, (file, b"content")),
                fields={"Content-Type": uploads.CONTENT_TYPE},
            )
            assert told.status == 200, told
            return Deed("upload", name, file=file, at=time.monotonic())

    def _fill_in(self, browser: Client, address: str, *, at: str = "", **values: str) -> str:
        """Send the form to an address; where it leads. at: the page it is on."""
        page = browser.browse("GET", at or address)
        assert page.status == 200, page.status
        told = send(self.gateway, browser, page, address, **values)
        assert told.status == 303, (told.status, told.text)
        return told.first("location")

    def deletion(self) -> Deed:
        """A guarded request with password and code; what it deletes is not there (404)."""
        with self.people.one() as (name, phone):
            code = phone.code()
            told = self.client().post(
                "/",
                auth=(name, f"{password(name)},{code}"),
                form={":action": "remove_pkg", "name": "none", "version": "1.0"},
            )
            assert told.status in (200, 404), told
            return Deed("deletion", name, code)

    def holds(self, deed: Deed, *, again: bool = True) -> str:
        """What is wrong with what was acknowledged; "" where all of it is there.

        again: try its code a second time, too. Such tries are throttled for all of a network.
        """
        client = self.client()
        if deed.kind == "token":
            told = client.post(
                "/+auth/api/tokens/burn", fields={"Authorization": f"Bearer {deed.token}"}
            )
            if told.status not in (200, 204):
                return f"a token is gone: {told.status} {told.body[:200]!r}"
        if deed.phone is not None:
            told = client.post(
                "/",
                auth=(deed.user, f"{password(deed.user)},{deed.phone.code()}"),
                form={":action": "remove_pkg", "name": "none", "version": "1.0"},
            )
            if told.status not in (200, 404):
                return f"a second factor is gone: {told.status} {told.body[:200]!r}"
        if deed.cookies:
            client.cookies = dict(deed.cookies)
            if client.browse("GET", OVERVIEW).status != 200:
                return "a session is gone"
        if not again or not deed.code:
            return ""
        told = self.client().post(
            "/",
            auth=(deed.user, f"{password(deed.user)},{deed.code}"),
            form={":action": "remove_pkg", "name": "none", "version": "1.0"},
        )
        if told.status not in (401, 403, 429):
            return f"a code was taken twice: {told.status} {told.body[:200]!r}"
        return ""

    def wait(self, within: float = 60.0) -> None:
        """Until the store is usable."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            try:
                if self.gateway.client(timeout=5).get("/+auth/ready").json["store"] == "ok":
                    return
            except FAILURES:
                pass
            time.sleep(0.05)
        raise TimeoutError("the store did not come back")


def password(name: str) -> str:
    return f"password of {name}"


def enrolled(config: Path, names: list[str]) -> dict[str, Authenticator]:
    async def everybody() -> dict[str, Authenticator]:
        async with open_domain(load(config)) as domain:
            admin = Admin(domain)
            return {
                name: Authenticator((await admin.enrol(name)).secret.replace(" ", ""))
                for name in names
            }

    return asyncio.run(everybody())


@contextmanager
def world(
    place: Path, store: str, number: int, *, newcomers: int = 0, **changes: Any
) -> Iterator[World]:
    """A running one with that many people, and some without a second factor."""
    names = [f"person{one}" for one in range(number)]
    others = [f"newcomer{one}" for one in range(newcomers)]
    with Children() as children:
        index = servers.start_pypiserver(
            children, place / "pypiserver", {name: password(name) for name in names + others}
        )
        gateway = configure(place / "gateway", "pypiserver", index.url, store=store, **changes)
        people = People(enrolled(gateway.config, names))
        try:
            yield World(gateway.start(), people, newcomers=deque(others))
        finally:
            gateway.stop(40)


@contextmanager
def redis(place: Path) -> Iterator[Server]:
    """A Redis that keeps what it acknowledges."""
    server = Server(place, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        yield server
    finally:
        server.kill()

"""The pages on a real server over the real login flow, and a browser that visits them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestClient
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.app.domain import jar_of
from gateway.core.audit.trail import Trail
from gateway.core.http.facts import Facts
from gateway.core.http.path import parse_target
from gateway.core.login.models import Caller, Held, Session
from gateway.core.upstream import Credential, Issued
from gateway.core.urls import base_of
from gateway.gate.ended import EndedCredentials
from gateway.upstreams.devpi import Devpi
from gateway.web.context import PagesConfig, TokensConfig, unknown_country
from gateway.web.pages import Pages
from tests.core.world import FIREFOX, Person, World, earned, token_of
from tests.web.markup import Form, Markup

URLENCODED = "application/x-www-form-urlencoded"

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Http: TypeAlias = TestClient[web.BaseRequest, None]


@dataclass
class Doorman:
    """Stands for the upstream's judgement of passwords: everybody's is "right".

    asked: who was asked about. failing: raised instead of an answer.
    """

    asked: list[str] = field(default_factory=list)
    failing: Exception | None = None

    async def check(self, user: str, password: str, facts: Facts) -> Held | None:
        self.asked.append(user)
        if self.failing is not None:
            raise self.failing
        return earned(user) if password == "right" else None

    async def right(self, credential: Credential) -> Issued | None:
        self.asked.append(credential.user)
        if self.failing is not None:
            raise self.failing
        return token_of(credential.user) if credential.secret == "right" else None


@dataclass
class NewPasswords:
    """Stands for an index that takes new passwords. taken: who got which."""

    allowed: bool = True
    taken: list[tuple[str, str]] = field(default_factory=list)

    def possible(self, session: Session, facts: Facts) -> bool:
        return self.allowed

    async def change(
        self, session: Session, credential: Credential, new: str, facts: Facts, caller: Caller
    ) -> None:
        self.taken.append((session.user, new))


@dataclass
class Page:
    """What the browser got."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def goes_to(self) -> str:
        assert self.status == 303, (self.status, self.text)
        return self.headers["location"]

    @property
    def markup(self) -> Markup:
        return Markup(self.text)

    @property
    def reason(self) -> str:
        """The slug on a refusal's page."""
        return next((e.text for e in self.markup.all("code")), "")

    @property
    def alert(self) -> str:
        """The sentence above a form that was refused."""
        found = [
            e.text.strip() for e in self.markup.elements if e.attributes.get("id") == "problem"
        ]
        return found[0] if found else ""

    def form(self, action: str) -> Form:
        found = [form for form in self.markup.forms if form.action == action]
        # The way out stands in the header and below the step.
        alike = len({tuple(form.fields.items()) for form in found})
        assert alike == 1, f"{alike} forms for {action}: {self.text}"
        return found[0]

    def set_cookies(self) -> dict[str, str]:
        lines = [line.partition("=") for line in self.headers.getall("set-cookie", [])]
        return {name: value for name, _, value in lines}


@dataclass
class Site:
    """One gateway's pages. `public` is the address people use."""

    world: World
    doorman: Doorman
    public: str
    passwords: NewPasswords = field(default_factory=lambda: NewPasswords())
    found: dict[str, str] = field(default_factory=lambda: {"store": "ok", "index": "ok"})
    country: Callable[[str], str] = unknown_country
    admins: frozenset[str] = frozenset({"alice"})

    @property
    def trail(self) -> Trail:
        return Trail(self.world.store, self.world.ring, self.world.clock)

    @property
    def secure(self) -> bool:
        return self.public.startswith("https:")

    async def ready(self) -> dict[str, str]:
        return dict(self.found)

    def pages(self) -> Pages:
        return Pages(
            flow=self.world.flow,
            checker=self.doorman,
            activity=self.trail,
            index_logins=EndedCredentials(
                Devpi(),
                self.world.flow.services.credentials,
                self.world.clock,
                base=base_of(self.public),
                refused=True,
            ),
            passwords=self.passwords,
            jar=jar_of(self.world.ring, self.public),
            keys=self.world.ring,
            clock=self.world.clock,
            random=lambda size: bytes(range(size)),
            config=PagesConfig(
                "Example packages",
                self.public,
                tokens=TokensConfig(False, True, Devpi().addresses),
                admins=self.admins,
            ),
            ready=self.ready,
            country=self.country,
        )

    def handler(self) -> Handler:
        """What a server on loopback calls (`aiohttp_raw_server`)."""
        pages = self.pages()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await pages.handle(request, facts_of(request))

        return handle


def facts_of(request: web.BaseRequest) -> Facts:
    """What the gateway's front knows of a request by the time the pages see it."""
    target = parse_target(request.raw_path)
    fields = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1").strip())
        for name, value in request.raw_headers
    )
    client = ip_address("192.0.2.10")
    return Facts(request.method, request.raw_path, target.path, target.query, fields, client)


Connect: TypeAlias = Callable[[Site], Awaitable[Http]]
"""Serves the pages of a site; the fixture `connect`."""


@dataclass
class Browser:
    """Keeps cookies, says where its requests come from, and never follows by itself."""

    site: Site
    http: Http
    cookies: dict[str, str] = field(default_factory=dict)

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | None = None,
    ) -> Page:
        """One request. headers: further ones; None leaves out what a browser would send."""
        given: dict[str, str | None] = {
            "host": urlsplit(self.site.public).netloc,
            "user-agent": FIREFOX,
            "sec-fetch-mode": "navigate",
            "sec-fetch-site": "same-origin",
            "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()) or None,
        }
        if method not in ("GET", "HEAD"):
            given["origin"] = self.site.public
            given["content-type"] = URLENCODED
        given |= headers or {}
        async with self.http.request(
            method,
            target,
            headers=CIMultiDict(
                {name: value for name, value in given.items() if value is not None}
            ),
            skip_auto_headers=["content-type", "accept"],
            data=body,
            allow_redirects=False,
        ) as answer:
            page = Page(answer.status, answer.headers, await answer.text())
        self._keep(page)
        return page

    def _keep(self, page: Page) -> None:
        for name, line in page.set_cookies().items():
            value, _, attributes = line.partition(";")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    async def get(self, target: str) -> Page:
        return await self.send("GET", target)

    async def post(self, target: str, fields: Mapping[str, str]) -> Page:
        return await self.send("POST", target, body=urlencode(fields).encode())

    async def fill(self, page: Page, action: str, **values: str) -> Page:
        """Send a form of a page with some fields filled in."""
        form = page.form(action)
        return await self.post(form.action, {**form.fields, **values})

    async def follow(self, page: Page) -> Page:
        """Go where a redirect leads; off this site is a failure of the test."""
        target = page.goes_to
        assert not urlsplit(target).netloc, target
        return await self.get(target)

    # -- what people do ----------------------------------------------------------------------

    async def give_password(self, user: str, *, next: str = "", password: str = "right") -> Page:
        door = await self.get("/+auth/login" + (f"?next={next}" if next else ""))
        return await self.fill(door, "/+auth/login", user=user, password=password)

    async def log_in(self, person: Person, *, next: str = "", remember: bool = False) -> Page:
        """Password and code; the last answer, a redirect."""
        asked = await self.follow(await self.give_password(person.name, next=next))
        more = {"remember": "yes"} if remember else {}
        return await self.fill(asked, "/+auth/verify", code=self.site.world.code(person), **more)

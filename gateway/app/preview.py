"""`preview`: the pages of a configuration with sample people, on loopback only.

They are the real ones, on a store and keys of their own in a temporary directory. Any password is
right, no notice is sent and no index is asked. `/` lists them; each link makes what its page needs
(a login half-way, say) and leads there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.app.sample_people import KNOWN, USER, Ahead, Anybody, Cookies, SamplePeople
from gateway.app.wiring import GatewayWorker, build
from gateway.core import urls
from gateway.core.crypto.keyring import new_key
from gateway.core.errors import MESSAGES, Refusal, Slug
from gateway.core.http.facts import Facts, Field
from gateway.core.http.path import parse_target
from gateway.core.login.models import Enrolment, Step
from gateway.core.wording import in_words
from gateway.keystore import create_key_file
from gateway.settings.addresses import parse_public_url
from gateway.settings.files import Source
from gateway.settings.model import NoticeSettings
from gateway.web import rendering
from gateway.web.context import ForAdmin, ForPending, ForSession, Open
from gateway.web.handlers import activity, admin, admin_audit
from gateway.web.handlers.admin_acts import ACTS
from gateway.web.routes import ROUTES

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.settings import Settings

SHOW: Final = "/+preview/"
_REFUSAL: Final = "refusal"
_FRONT: Final = f"{SHOW}front"
_ELSEWHERE: Final = (
    urls.FRONT,
    urls.VERIFY,
    f"{urls.ENROL}/recovery",
    urls.HEALTH,
    urls.READY,
    *(f"{activity.ACTIVITY}.{name}" for name in activity.FILES),
    *(f"{admin.AUDIT}.{name}" for name in admin_audit.FILES),
    *(act.path for act in ACTS),
    admin.PERSON,
)
"""Shown in several states, for programs, or files and no pages."""
_SAMPLES: Final = {
    "accepted": "application/x-www-form-urlencoded",
    "address": "https://packages.example.org/alex/dev/",
    "limit": "10",
    "max_age": in_words(120),
    "name": "upload",
    "offset": "about 2 minutes slow",
    "place": "https://pypi.org",
    "user": USER,
    "wait": in_words(300),
    "what": "The name",
    "why": "this is a sample",
}


def sample(settings: Settings, folder: Path, port: int) -> Settings:
    """The same configuration on a store, keys and an address of its own; it tells nobody."""
    keys = folder / "sample.keys"
    create_key_file(keys, (new_key((), secrets.token_bytes),))
    return replace(
        settings,
        store=f"sqlite:{folder / 'sample.db'}",
        keys=Source("file", str(keys)),
        public_url=parse_public_url(f"http://localhost:{port}"),
        notices=NoticeSettings(),
        admins=(USER,),
        second_factor=replace(
            settings.second_factor, enrolment=Enrolment.REQUIRED, required_from=None
        ),
    )


def run(settings: Settings, port: int, ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted.

    Raises:
        OSError: the port is taken.
    """
    with TemporaryDirectory(prefix="index-gateway-preview-") as folder:
        asyncio.run(_serve(sample(settings, Path(folder), port), port, ready))


async def _serve(settings: Settings, port: int, ready: Callable[[str], None]) -> None:
    from aiohttp import web

    clock = Ahead()
    worker = await build(settings, clock, checker=Anybody())
    people = SamplePeople(worker.parts.flow, clock)
    preview = Preview(worker, people)
    runner = web.ServerRunner(web.Server(preview.answer, access_log=None))
    try:
        await people.settle()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready(f"http://localhost:{port}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        await worker.close()


class Preview:
    """What is shown, and how a browser gets into the state for it."""

    def __init__(self, worker: GatewayWorker, people: SamplePeople) -> None:
        self._worker: Final = worker
        self._people: Final = people
        self._states: Final[dict[str, Callable[[], Awaitable[Cookies]]]] = {
            "nobody": people.nobody,
            "asked": people.asked,
            "in": people.logged_in,
            "new": people.newcomer,
            "offered": people.offered,
            "saving": people.saving,
        }
        self._places: Final[dict[str, Callable[[], Awaitable[tuple[Cookies, str]]]]] = {
            "approving": people.approving,
            "invited": people.invited,
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The list at `/`, what leads to a page below `SHOW`, and the pages."""
        from aiohttp import web

        try:
            facts = _facts(request)
        except Refusal as refusal:
            return self._refused(None, refusal)
        if request.path == _FRONT:
            facts = replace(facts, target=urls.FRONT, path=urls.FRONT)
            return await self._worker.pages.handle(request, facts)
        if urls.own(facts.path):
            return await self._worker.pages.handle(request, facts)
        state, _slash, target = request.path.removeprefix(SHOW).partition("/")
        if not request.path.startswith(SHOW):
            return web.Response(text=_listed(), content_type="text/html")
        if state == _REFUSAL and target in MESSAGES:
            return self._refused(facts, Refusal(Slug(target), retry_after=None, **_SAMPLES))
        return await self._led(state, f"/{target}", request.query_string)

    async def _led(self, state: str, target: str, query: str) -> web.Response:
        from aiohttp import web

        if state in self._places:
            given, target = await self._places[state]()
        elif state in self._states:
            given = await self._states[state]()
        else:
            return web.Response(status=404, text="There is no such state.\n")
        jar = self._worker.parts.jar
        answer = web.Response(status=303, headers={"Location": target + (query and f"?{query}")})
        for name in ("ig-session", "ig-pending", "ig-device"):
            held = given.get(name, "")
            answer.headers.add("Set-Cookie", jar.set(name, held) if held else jar.clear(name))
        return answer

    def _refused(self, facts: Facts | None, refusal: Refusal) -> web.Response:
        from aiohttp import web
        from multidict import CIMultiDict

        status, fields, body = self._worker.pages.refusal(facts, refusal)
        return web.Response(status=status, headers=CIMultiDict(fields), body=body)


def _facts(request: web.BaseRequest) -> Facts:
    target = parse_target(request.raw_path)
    fields: tuple[Field, ...] = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1").strip())
        for name, value in request.raw_headers
    )
    return Facts(request.method, request.raw_path, target.path, target.query, fields, None)


def listed() -> list[tuple[str, str]]:
    """Every link of the list: what it shows and where it leads."""
    found = [
        ("front page", "front"),
        ("invitation", "invited/"),
        ("by app", f"asked{urls.VERIFY}?use=totp"),
        ("by key", f"asked{urls.VERIFY}?use=webauthn"),
        ("by recovery code", f"asked{urls.VERIFY}?use=recovery"),
        ("connect an app", f"offered{urls.ENROL}"),
        ("save recovery codes", f"saving{urls.ENROL}/recovery"),
        ("a key", f"in{urls.PREFIX}/factor/a2V5"),
        ("approve a command line", "approving/"),
        ("administration: a person", f"in{admin.PERSON}?user={KNOWN}"),
        ("administration: oneself", f"in{admin.PERSON}?user={USER}"),
        *((f"administration: {act.title}", f"in{act.path}?user={KNOWN}") for act in ACTS),
    ]
    for path, route in ROUTES.items():
        state = _state(route)
        if state and path not in _ELSEWHERE:
            found.append((path, f"{state}{path}" + ("/" if path == urls.PREFIX else "")))
    shown = (slug for slug in MESSAGES if slug != Slug.STEP_UP_REQUIRED)  # that one leads on
    found.extend((f"refusal: {slug}", f"{_REFUSAL}/{slug}") for slug in shown)
    return [(name, SHOW + quote(leads, safe="/?=")) for name, leads in found]


def _state(route: object) -> str:
    """The state in which a page can be looked at; "" for what is no page."""
    if isinstance(route, ForPending) and route.get is not None:
        return "new" if route.step is Step.ENROL else "asked"
    if isinstance(route, ForSession | ForAdmin) and route.get is not None:
        return "in"
    return "nobody" if isinstance(route, Open) and route.get is not None else ""


def _listed() -> str:
    rows = "".join(f'<li><a href="{escape(to)}">{escape(name)}</a></li>' for name, to in listed())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Preview</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{rendering.address("style.css")}"></head><body>'
        "<main><h1>Preview</h1><p>The pages with sample people. Any password is right; nothing "
        f"is kept, and nobody gets a notice.</p><ul>{rows}</ul></main></body></html>\n"
    )

"""A whole gateway in a thread of the test's process, so that time and faults can be arranged."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Coroutine, Mapping
from html import unescape
from pathlib import Path
from typing import Any, TypeVar

import pyotp

from gateway.app.listening import listeners_of
from gateway.app.wiring import GatewayWorker, build
from gateway.core.administration import Admin
from gateway.keystore import create_key_file
from gateway.serving.deployed import Serving
from gateway.serving.server import work
from gateway.serving.sockets import tls_context
from gateway.settings import Settings
from tests.gate.yaml_config import shipped
from tests.support.http import Answer, Client
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

T = TypeVar("T")


class Served:
    """One gateway over a real upstream. offset: seconds its clock is ahead of the real one."""

    def __init__(self, place: Path, kind: str, upstream: str, changes: Mapping[str, Any]) -> None:
        self.port = free_port()
        self.place = place
        self.offset = 0.0
        self.secrets: dict[str, str] = {}
        self.recovery: dict[str, tuple[str, ...]] = {}
        create_key_file(place / "gateway.keys", (("k1", b"k" * 32),))
        self.settings: Settings = shipped(
            place,
            kind,
            {
                "listen": f"127.0.0.1:{self.port}",
                "public_url": self.url,
                "upstream.url": upstream,
                "store": "sqlite:state.db",
                "keys": "file:gateway.keys",
                **changes,
            },
        )
        self.running: GatewayWorker
        self._loop = asyncio.new_event_loop()
        self._parent, self._alive = os.pipe()  # the gateway stops when its parent is gone
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def clock(self) -> float:
        return time.time() + self.offset

    def start(self) -> Served:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def stop(self) -> None:
        os.close(self._alive)
        self._thread.join(PATIENCE)
        os.close(self._parent)
        assert not self._thread.is_alive()

    def run(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Run something in the gateway's own loop."""
        return asyncio.run_coroutine_threadsafe(awaited, self._loop).result(PATIENCE)

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async def start() -> GatewayWorker:
            self.running = await build(self.settings, self.clock)
            self._loop.call_soon(self._ready.set)
            return self.running

        sockets = listeners_of(self.settings)[0].bind()
        tls = self.settings.tls
        context = tls_context(str(tls.certificate), str(tls.key)) if tls else None
        await work(Serving(start, [], tls=context), sockets, self._parent)
        for sock in sockets:
            sock.close()

    # -- people ---------------------------------------------------------------------------

    def enrol(self, *users: str) -> None:
        async def all_of_them() -> None:
            for user in users:
                made = await Admin(self.running.parts.flow.services).enrol(user)
                self.secrets[user] = made.secret.replace(" ", "")
                self.recovery[user] = made.codes

        self.run(all_of_them())

    def code(self, user: str) -> str:
        """A fresh code: the gateway's clock moves one step on, so there always is one."""
        self.offset += 30
        return self.current(user)

    def current(self, user: str) -> str:
        return pyotp.TOTP(self.secrets[user]).at(int(self.clock()))

    def wrong(self, user: str) -> str:
        totp = pyotp.TOTP(self.secrets[user])
        near = {totp.at(int(self.clock()) + 30 * step) for step in range(-3, 4)}
        return next(code for code in ("000000", "111111", "222222") if code not in near)

    # -- clients --------------------------------------------------------------------------

    def client(self) -> Client:
        return Client(self.port)

    def login(self, user: str, password: str, client: Client | None = None) -> str:
        """A devpi login with a code in the password; the token."""
        told = (client or self.client()).post(
            "/+login", send={"user": user, "password": f"{password},{self.code(user)}"}
        )
        assert told.status == 200, told.body
        return str(told.json["result"]["password"])

    def browse_in(self, user: str, password: str, *, goto: str = "", **more: str) -> Client:
        """A browser login on the gateway's own page. more: fields beside the code."""
        client = self.client()
        told = self.give_password(client, user, password, goto)
        assert told.first("location") == "/+auth/verify", told.fields
        self.verify(client, user, **more)
        return client

    def give_password(self, client: Client, user: str, password: str, goto: str = "") -> Answer:
        page = client.browse("GET", "/+auth/login" + (f"?next={goto}" if goto else ""))
        form = {**hidden(page), "user": user, "password": password}
        told = client.browse("POST", "/+auth/login", form=form, fields=self.ours())
        assert told.status == 303, (told.status, told.body)
        return told

    def verify(self, client: Client, user: str, **more: str) -> Answer:
        page = client.browse("GET", "/+auth/verify")
        assert page.status == 200, page
        form = {**hidden(page), "kind": "totp", "code": self.code(user), **more}
        told = client.browse("POST", "/+auth/verify", form=form, fields=self.ours())
        assert told.status == 303, (told.status, told.body)
        return told

    def ours(self) -> dict[str, str]:
        """What a browser adds to a form sent from one of our own pages."""
        return {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}


def hidden(page: Answer) -> dict[str, str]:
    """The hidden fields of the first form below a page's header that has any."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page.text.partition("<main")[2]):
        if 'type="hidden"' in tag:
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name:
                found.setdefault(unescape(name[1]), unescape(value[1]) if value else "")
    return found

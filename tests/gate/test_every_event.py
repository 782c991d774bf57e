"""Each event of the audit trail, brought about at a running gateway, and its entry looked at.

On the way every kind of secret is used; none may be left in what was logged, told or stored.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import pypitoken
import pytest
import redis

from gateway.cli.demo import stage
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.verify import verify
from gateway.core.tokens.models import NewToken
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Credential
from tests.factors.authenticator import SecurityKey
from tests.gate.recorder import Recorder
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second
from tests.gate.yaml_config import by_session
from tests.support import issuer as issuers
from tests.support import reports, servers, uploads
from tests.support.gateways import in_process
from tests.support.http import Answer, Client
from tests.support.issuer import Issuer
from tests.support.pages import form
from tests.support.reports import Scanner
from tests.support.traces import Traces

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
DEVPI_CLIENT = "devpi-client/7.3.0 (py3.11; linux)"
TWINE = "twine/7.0.0"
UV = "uv/0.13.9"
DAY = 86400
SCANNER = Scanner()
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
LATER = "2999-01-01"
OF_FILES = {Event.UPLOAD, Event.UPLOAD_REFUSED, Event.UPLOAD_FAILED, Event.DOWNLOAD}
"""Seen by tests/gate/test_files_in_the_trail.py."""


@dataclass
class Story:
    """alice, her browser, her devpi-client and the administrator at one gateway."""

    served: Served
    index: servers.Index
    browser: Client
    other: Client
    user: str
    password: str
    key: SecurityKey
    issuer: Issuer = field(kw_only=True)
    recovery: list[str] = field(default_factory=list)
    traces: Traces = field(default_factory=Traces)
    answers: list[Answer] = field(default_factory=list)
    told: Recorder = field(default_factory=lambda: Recorder(lambda _: NO_CONTENT))
    seen: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    token: NewToken = field(init=False)
    text: str = ""

    # -- what she does ---------------------------------------------------------------------

    def send(self, page: Answer, action: str, browser: Client | None = None, **more: str) -> Answer:
        fields = {**self.served.ours(), "User-Agent": FIREFOX}
        values = form(page, action) | more
        return (browser or self.browser).browse("POST", action, form=values, fields=fields)

    def page(self, target: str, browser: Client | None = None) -> Answer:
        told = (browser or self.browser).browse("GET", target, fields={"User-Agent": FIREFOX})
        assert told.status == 200, (target, told.status, told.fields)
        return told

    def give_password(self, browser: Client | None = None, at: str = "/+auth/login") -> Answer:
        page = self.page(at, browser)
        return self.send(page, at, browser, user=self.user, password=self.password)

    def verify(self, browser: Client | None = None, **more: str) -> None:
        page = self.page(f"/+auth/verify?use={more.get('kind', 'totp')}", browser)
        code = more.pop("code", "") or self.served.code(self.user)
        told = self.send(page, "/+auth/verify", browser, code=code, **more)
        assert told.status == 303, told.text

    def log_in(self, browser: Client | None = None, **more: str) -> None:
        assert self.give_password(browser).first("location") == "/+auth/verify"
        self.verify(browser, **more)

    def devpi(self, password: str, **fields: str) -> Answer:
        send = {"user": self.user, "password": password}
        given = {"User-Agent": DEVPI_CLIENT, **fields}
        return self.served.client().post("/+login", send=send, fields=given)

    def options(self, page: Answer, address: str, **more: str) -> Any:
        """What the page's script asks for."""
        found = re.search(rf'data-options="{re.escape(address)}" data-token="([^"]+)"', page.text)
        assert found, page.text
        fields = {**self.served.ours(), "User-Agent": FIREFOX}
        values = {"form_token": unescape(found[1]), **more}
        told = self.browser.post(address, form=values, fields=fields)
        assert told.status == 200, (told.status, told.text)
        return told.json

    def confirm(self) -> None:
        self.send(
            self.page("/+auth/confirm?use=totp"), "/+auth/confirm", code=self.served.code(self.user)
        )

    def run(self, *words: str) -> str:
        config = self.served.place / "gateway.yaml"
        return in_process(*words[:2], "-c", str(config), *words[2:])

    # -- what was written ------------------------------------------------------------------

    def fresh(self) -> list[dict[str, Any]]:
        """The entries since the last look; given-up notices and files come when they come."""

        async def read() -> list[bytes]:
            return [raw async for raw in self.served.running.parts.audit.lines(after=self.seen)]

        found = [json.loads(raw) for raw in self.served.run(read())]
        self.seen = max([self.seen, *(one["n"] for one in found)])
        self.entries += found
        later = {Event.NOTICE_GIVEN_UP, *OF_FILES}
        return [one for one in found if one["event"] not in later]


def password_alone(it: Story) -> None:
    assert it.give_password().status == 303


def enrol(it: Story) -> None:
    started = it.send(it.page("/+auth/add"), "/+auth/add/start", name="phone")
    assert started.status == 303, started.text
    offer = it.page("/+auth/add")
    secret = re.search(r"secret=([A-Z2-7]{32})", offer.text)
    shown = secret[1] if secret else "".join(re.findall(r"\b[A-Z2-7]{4}\b", offer.text)[:8])
    it.served.secrets[it.user] = shown
    assert it.send(offer, "/+auth/add", code=it.served.code(it.user)).status == 303
    codes = it.page("/+auth/add/recovery")
    it.recovery = re.findall(r"<li>([^<]+)</li>", codes.text)
    assert it.send(codes, "/+auth/add/recovery", saved="yes").status == 303


def add_key(it: Story) -> None:
    page = it.page("/+auth/add/key")
    asked = it.options(page, "/+auth/webauthn/add", name="laptop")
    answer = it.key.create(json.dumps(asked.get("options", asked)))
    told = it.send(page, "/+auth/add/key", code=answer)
    assert told.status == 303, told.text


def log_out(it: Story) -> None:
    it.send(it.page("/+auth/"), "/+auth/logout")


def passkey(it: Story) -> None:
    page = it.page("/+auth/login")
    asked = it.options(page, "/+auth/webauthn/login")
    answer = it.key.get(json.dumps(asked["options"]))
    told = it.send(page, "/+auth/passkey", ticket=asked["ticket"], code=answer)
    assert told.status == 303, told.text


def factor_page(it: Story, name: str) -> Answer:
    rows = re.findall(r'href="(/\+auth/factor/[^"]+)"', it.page("/+auth/").text)
    return next(page for page in map(it.page, rows) if f'value="{name}"' in page.text)


def rename(it: Story) -> None:
    assert it.send(factor_page(it, "phone"), "/+auth/rename", name="mobile").status == 303


def remove(it: Story) -> None:
    assert it.send(factor_page(it, "laptop"), "/+auth/remove").status == 303


def approve(it: Story) -> None:
    told = it.devpi(it.password)
    path = re.search(r"/\+auth/approve/[\w-]+", told.text)
    number = re.search(r"type ([0-9]{2}) there", told.text)
    assert told.status == 401 and path and number, told.text
    assert it.send(it.page(path[0]), path[0], number=number[1]).status == 303


def deny(it: Story, *, how: str = "yes", agent: str = DEVPI_CLIENT) -> None:
    told = it.devpi(it.password, **{"User-Agent": agent})
    path = re.search(r"/\+auth/approve/[\w-]+", told.text)
    assert path, told.text
    assert it.send(it.page(path[0]), path[0], deny=how).status == 403


def report(it: Story) -> None:
    deny(it, how="report", agent="devpi-client/7.2.0")


def command_line(it: Story, password: str) -> None:
    another_second()
    it.devpi(password)


def form_login(it: Story) -> None:
    another_second()
    page = it.page("/+login", it.other)
    del page
    fields = {**it.served.ours(), "User-Agent": FIREFOX}
    values = {"username": it.user, "password": it.password, "submit": ""}
    assert it.other.browse("POST", "/+login", form=values, fields=fields).status == 303
    it.verify(it.other, remember="yes")


def by_device(it: Story) -> None:
    kept = {name: value for name, value in it.other.cookies.items() if "device" in name}
    assert kept
    third = Client(it.served.port, cookies=kept)
    assert it.give_password(third).status == 303


def forget(it: Story) -> None:
    page = it.page("/+auth/", it.other)
    assert it.send(page, "/+auth/devices/forget", it.other).status == 303


def end_one(it: Story) -> None:
    page = it.page("/+auth/sessions")
    assert it.send(page, "/+auth/sessions/end").status == 303


def end_others(it: Story) -> None:
    assert it.send(it.page("/+auth/"), "/+auth/sessions/end-others").status == 303


def act(it: Story) -> None:
    told = it.browser.call(
        "PATCH",
        f"/{it.user}",
        send={"title": "Alice"},
        fields={**it.served.ours(), "User-Agent": FIREFOX},
    )
    assert told.status == 200, told.text


def change_password(it: Story) -> None:
    fields = {**it.served.ours(), "User-Agent": FIREFOX}
    told = it.browser.call(
        "PATCH", f"/{it.user}", send={"password": "an0ther s3cret/word"}, fields=fields
    )
    assert told.status == 200, told.text
    it.password = "an0ther s3cret/word"


def make_token(it: Story) -> None:
    scope, held = scope_of(["upload"]), Credential(it.user, it.password)
    tokens, here = it.served.running.parts.tokens, Origin("127.0.0.1", FIREFOX, "POST", "/+auth/x")
    it.token = it.served.run(tokens.make(it.user, "ci", scope, 7 * DAY, held, here))
    it.traces.add("token", it.token.text)


def with_token(it: Story, *, project: str = "foo") -> Answer:
    body = uploads.form({":action": "submit", "name": project, "version": "1.0"})
    kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
    fields = {"Content-Type": kind, "User-Agent": TWINE, "Authorization": f"Bearer {it.text}"}
    return it.served.client().post(f"/{it.user}/dev/", body=body, fields=fields)


def use_token(it: Story) -> None:
    it.text = it.token.text
    assert with_token(it).status == 200


def narrow_token(it: Story) -> None:
    narrowed = pypitoken.Token.load(it.token.text).restrict(project_names=["bar"])
    it.text = narrowed.dump()
    assert with_token(it).slug == "token_scope"


def password_gone(it: Story) -> None:
    it.served.offset += 301
    it.text = it.token.text
    assert with_token(it).slug == "token_needs_renewal"


def keep_token(it: Story) -> None:
    tokens, here = it.served.running.parts.tokens, Origin("127.0.0.1", FIREFOX, "POST", "/+auth/x")
    assert it.served.run(tokens.keep(it.user, it.token.token.id, here))


def revoke_token(it: Story) -> None:
    tokens, here = it.served.running.parts.tokens, Origin("127.0.0.1", FIREFOX, "POST", "/+auth/x")
    assert it.served.run(tokens.revoke(it.user, it.token.token.id, here))


def raw_upload(it: Story) -> None:
    fields = {":action": "file_upload", "name": "foo", "version": "7.0"}
    body = uploads.form(fields, ("foo-7.0.tar.gz", b"x"))
    kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
    told = it.served.client().post(
        f"/{it.user}/dev/",
        body=body,
        auth=(it.user, it.password),
        fields={"Content-Type": kind, "User-Agent": TWINE},
    )
    assert told.status == 200, told.text
    it.served.run(it.served.running.raw_uploads.close())


def leak(it: Story) -> None:
    tokens, here = it.served.running.parts.tokens, Origin("127.0.0.1", FIREFOX, "POST", "/+auth/x")
    held = Credential(it.user, it.password)
    made = it.served.run(tokens.make(it.user, "cd", scope_of(["upload"]), DAY, held, here))
    it.traces.add("token", made.text)
    body, fields = SCANNER.report(reports.record(made.text, "https://example.org/" + made.text))
    for sent, status in ((body + b" ", 400), (body, 204)):
        told = it.served.client().call(
            "POST", reports.PATH, body=sent, fields={**fields, "User-Agent": FIREFOX}
        )
        assert told.status == status, told.text


def job(it: Story) -> None:
    claims = issuers.github(
        it.served.clock(), f"localhost:{it.served.port}", event_name="workflow_run"
    )
    text = it.issuer.token(claims)
    it.traces.add("token", text)
    send = {"token": text}
    told = it.served.client().post("/_/oidc/mint-token", send=send, fields={"User-Agent": UV})
    assert told.json["errors"][0]["code"] == "invalid-publisher", told.text


def strangers(it: Story) -> None:
    for _ in range(25):
        told = it.served.client().call(
            "PATCH",
            f"/{it.user}",
            send={},
            auth=(it.user, "a wr0ng guess"),
            fields={"User-Agent": "curl/8"},
        )
        assert told.status == 401


def guess(it: Story) -> None:
    slugs = [it.devpi(f"{it.password},{it.served.wrong(it.user)}").slug for _ in range(6)]
    assert slugs == ["otp_invalid"] * 5 + ["throttled"]


def new_codes(it: Story) -> None:
    asked = it.page("/+auth/recovery?use=totp")
    assert it.send(asked, "/+auth/recovery", code=it.served.code(it.user)).status == 303
    codes = it.page("/+auth/add/recovery")
    it.recovery = re.findall(r"<li>([^<]+)</li>", codes.text)
    it.send(codes, "/+auth/add/recovery", saved="yes")


def invite(it: Story) -> None:
    link = str(json.loads(it.run("user", "invite", it.user, "--json"))["link"])
    it.traces.add("link", link.rpartition("/")[2])
    it.other.browse("GET", "/" + link.split("/", 3)[3], fields={"User-Agent": FIREFOX})


def wait(seconds: float) -> Callable[[Story], None]:
    def turn(it: Story) -> None:
        it.served.offset += seconds
        it.served.run(it.served.running.parts.flow.sweep())

    return turn


def stay_busy(it: Story) -> None:
    for _ in range(3):
        it.served.offset += 3000
        it.page("/+auth/")
    wait(3000)(it)


def retention(it: Story) -> None:
    it.served.offset += 500 * DAY
    assert it.served.run(it.served.running.parts.audit.tidy()) > 0


@dataclass(frozen=True)
class Chapter:
    """What is done, and the entries it leaves: event, factor, detail, path, rule."""

    name: str
    act: Callable[[Story], object]
    entries: tuple[tuple[Event, str, str, str, str], ...]
    agent: str = FIREFOX
    times: int = 1


E = Event
VERIFY, PAGE = "/+auth/verify", "/+auth"
CLI = "index-gateway"
NOBODYS = {E.KEYS_ROTATED, E.LEAK_REPORT_REFUSED}
KEY = "webauthn laptop"
GONE = "a factor or the password changed"
CHAPTERS = [
    Chapter(
        "the password alone, before the day",
        password_alone,
        ((E.LOGIN_WITHOUT_FACTOR, "", "", "/+auth/login", ""),),
    ),
    Chapter(
        "an app and recovery codes",
        enrol,
        (
            (E.ENROLLED, "totp phone", "", "/+auth/add/recovery", ""),
            (E.RECOVERY_CODES_MADE, "", "", "/+auth/add/recovery", ""),
        ),
    ),
    Chapter("a key", add_key, ((E.FACTOR_ADDED, "webauthn laptop", "", "/+auth/add/key", ""),)),
    Chapter("a new name", rename, ((E.FACTOR_RENAMED, "totp mobile", "", "/+auth/rename", ""),)),
    Chapter("logging out", log_out, ((E.SESSION_ENDED, "", "logged out", "/+auth/logout", ""),)),
    Chapter(
        "a passkey alone",
        passkey,
        ((E.LOGIN, "webauthn laptop", "passkey alone", "/+auth/passkey", ""),),
    ),
    Chapter("out again", log_out, ((E.SESSION_ENDED, "", "logged out", "/+auth/logout", ""),)),
    Chapter("an own page", Story.log_in, ((E.LOGIN, "totp mobile", "", VERIFY, ""),)),
    Chapter(
        "a key less", remove, ((E.FACTOR_REMOVED, "webauthn laptop", "", "/+auth/remove", ""),)
    ),
    Chapter("a step up", Story.confirm, ((E.STEP_UP, "totp mobile", "", "/+auth/confirm", ""),)),
    Chapter(
        "approving a command line",
        approve,
        ((E.COMMAND_LINE_APPROVED, "", "devpi-client", "/+auth/approve", ""),),
    ),
    Chapter(
        "the approved login",
        lambda it: command_line(it, it.password),
        ((E.LOGIN, "approval", "", "/+login", "login"),),
        DEVPI_CLIENT,
    ),
    Chapter(
        "denying a command line",
        deny,
        ((E.COMMAND_LINE_DENIED, "", "devpi-client", "/+auth/approve", ""),),
    ),
    Chapter(
        "reporting a command line",
        report,
        ((E.COMMAND_LINE_REPORTED, "", "devpi-client", "/+auth/approve", ""),),
    ),
    Chapter(
        "a login of devpi-client",
        lambda it: command_line(it, f"{it.password},{it.served.code(it.user)}"),
        ((E.LOGIN, "totp mobile", "", "/+login", "login"),),
        DEVPI_CLIENT,
    ),
    Chapter(
        "devpi's own form, remembered",
        form_login,
        (
            (E.LOGIN, "totp mobile", "", VERIFY, ""),
            (E.DEVICE_REMEMBERED, "", "", VERIFY, ""),
        ),
    ),
    Chapter(
        "a remembered device",
        by_device,
        ((E.LOGIN, "device", "Firefox on Linux", "/+auth/login", ""),),
    ),
    Chapter(
        "a device no longer remembered",
        forget,
        ((E.DEVICE_FORGOTTEN, "", "", "/+auth/devices/forget", ""),),
    ),
    Chapter(
        "one session ended",
        end_one,
        ((E.SESSION_ENDED, "", "Firefox on Linux", "/+auth/sessions/end", ""),),
    ),
    Chapter(
        "the others ended",
        end_others,
        (
            (E.SESSION_ENDED, "", "Firefox on Linux", "/+auth/sessions/end-others", ""),
            (E.SESSION_ENDED, "", "as of a command line", "/+auth/sessions/end-others", ""),
        ),
    ),
    Chapter("a guarded act", act, ((E.GUARDED_ACT, "totp", "", "/{user}", "account"),)),
    Chapter(
        "new codes",
        new_codes,
        (
            (E.STEP_UP, "totp mobile", "", "/+auth/recovery", ""),
            (E.RECOVERY_CODES_MADE, "", "", "/+auth/recovery", ""),
        ),
    ),
    Chapter(
        "a recovery code",
        lambda it: it.log_in(it.other, kind="recovery", code=it.recovery[0]),
        (
            (E.RECOVERY_CODE_USED, "", "9 left", VERIFY, ""),
            (E.LOGIN, "recovery", "", VERIFY, ""),
        ),
    ),
    Chapter(
        "a token",
        make_token,
        ((E.TOKEN_MADE, "token ci", ": upload, for 7 days", "/+auth/x", ""),),
    ),
    Chapter(
        "its first use",
        use_token,
        ((E.TOKEN_USED, "token ci", "for the first time", "/{user}/dev", "uploads"),),
        TWINE,
    ),
    Chapter(
        "another project",
        narrow_token,
        ((E.TOKEN_REFUSED, "token ci", "token_scope", "/{user}/dev", ""),),
        TWINE,
    ),
    Chapter(
        "a new password",
        change_password,
        (
            (E.GUARDED_ACT, "totp", "", "/{user}", "account"),
            (E.SESSION_ENDED, "", GONE, "", ""),
            (E.SESSION_ENDED, "", GONE, "", ""),
            (E.PASSWORD_CHANGED, "", "", "/{user}", "account"),
        ),
    ),
    Chapter(
        "a token of the old one",
        password_gone,
        (
            (E.TOKEN_NEEDS_RENEWAL, "token ci", "", "/{user}/dev", "uploads"),
            (E.TOKEN_REFUSED, "token ci", "token_needs_renewal", "/{user}/dev", "uploads"),
        ),
        TWINE,
    ),
    Chapter("a token kept", keep_token, ((E.TOKEN_KEPT, "token ci", "", "/+auth/x", ""),)),
    Chapter(
        "no token",
        revoke_token,
        ((E.TOKEN_REVOKED, "token ci", ": revoked", "/+auth/x", ""),),
    ),
    Chapter(
        "an upload by password",
        raw_upload,
        ((E.UPLOAD_BY_PASSWORD, "", "first of the day", "", "uploads"),),
        TWINE,
    ),
    Chapter(
        "a leak",
        leak,
        (
            (E.TOKEN_MADE, "token cd", "", "/+auth/x", ""),
            (E.LEAK_REPORT_REFUSED, "", "not the signature of our scanner", reports.PATH, ""),
            (E.TOKEN_LEAKED, "token cd", "https://example.org/pypi-...", reports.PATH, ""),
        ),
    ),
    Chapter(
        "a job",
        job,
        ((E.PUBLISHER_REFUSED, "", "releases: event_name differ", "/_/oidc/mint-token", ""),),
        UV,
    ),
    Chapter("one more login", Story.log_in, ((E.LOGIN, "totp mobile", "", VERIFY, ""),)),
    Chapter("an hour away", wait(3601), ((E.SESSION_ENDED, "", "not used for too long", "", ""),)),
    Chapter("and another", Story.log_in, ((E.LOGIN, "totp mobile", "", VERIFY, ""),)),
    Chapter("three hours busy", stay_busy, ((E.SESSION_ENDED, "", "its time was over", "", ""),)),
    Chapter(
        "strangers",
        strangers,
        (
            *((E.GUARDED_REFUSED, "", "second_factor_required", "/{user}", "account"),) * 20,
            (E.NOT_RECORDED, "", "the rest is left out", "/{user}", "account"),
        ),
        "curl/8",
    ),
    Chapter(
        "guessing",
        guess,
        (
            *((E.FACTOR_REFUSED, "totp", "", "/+login", "login"),) * 5,
            (E.THROTTLED, "totp", "", "/+login", "login"),
        ),
        DEVPI_CLIENT,
    ),
    Chapter(
        "unlocked",
        lambda it: it.run("user", "unlock", it.user),
        ((E.UNLOCKED, "", "", "", ""),),
        CLI,
    ),
    Chapter(
        "logged out",
        lambda it: it.run("user", "logout", it.user, "--reason", "left laptop"),
        ((E.LOGINS_ENDED, "", "left laptop", "", ""),),
        CLI,
    ),
    Chapter(
        "a reset",
        lambda it: it.run("user", "reset", it.user, "--reason", "phone in the lake"),
        ((E.RESET, "", "phone in the lake", "", ""), (E.INVITED, "", "", "", "")),
        CLI,
    ),
    Chapter(
        "stopped",
        lambda it: it.run(
            *("freeze", f"user:{it.user}", "--for", "1h", "--reason", "laptop stolen")
        ),
        ((E.FROZEN, "", "laptop stolen", "", ""),),
        CLI,
    ),
    Chapter(
        "no longer stopped",
        lambda it: it.run("unfreeze", f"user:{it.user}"),
        ((E.UNFROZEN, "", "laptop stolen", "", ""),),
        CLI,
    ),
    Chapter(
        "removed",
        lambda it: it.run("user", "remove", it.user),
        ((E.REMOVED, "", "", "", ""),),
        CLI,
    ),
    Chapter(
        "an invitation",
        invite,
        ((E.INVITED, "", "", "", ""),),
        CLI,
    ),
    Chapter(
        "the keys",
        lambda it: it.run("keys", "rotate", "--reseal-only"),
        ((E.KEYS_ROTATED, "", "k1 active", "", ""),),
        CLI,
    ),
]


@pytest.fixture(params=["sqlite", "redis"])
def story(
    request: pytest.FixtureRequest,
    serve: Callable[..., Served],
    devpi_server: servers.Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Story]:
    caplog.set_level(logging.DEBUG)
    traces, answers, call = Traces(), [], Client.call
    (tmp_path / "webhook.key").write_text("s3cret of the webhook\n")
    traces.add("key", "k" * 32, "s3cret of the webhook")

    def listen(client: Client, method: str, target: str, **more: Any) -> Answer:
        traces.sent(more.get("form") or {}, more.get("send"), more.get("auth"))
        answer = call(client, method, target, **more)
        traces.given(answer)
        answers.append(answer)
        return answer

    monkeypatch.setattr(Client, "call", listen)
    store = "sqlite:state.db"
    if request.param == "redis":
        store = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/9"
    changes: dict[str, Any] = {
        "store": store,
        "second_factor.required_from": LATER,
        "second_factor.session": {"idle": "1h", "absolute": "3h"},
        "notices.addresses": {},
        "notices.smtp": {"host": "127.0.0.1", "port": 9, "from": "gateway@example.org"},
    }
    user = f"story{request.param}"
    told, issuing = Recorder(lambda _: NO_CONTENT).__enter__(), issuers.running()
    issuer = issuing.__enter__()
    changes["publishers"] = [
        {
            "name": "releases",
            "kind": "github",
            "issuer": issuer.url,
            "repository": "acme/foo",
            "owner_id": 4711,
            "workflow": "release.yml",
            "projects": ["foo"],
            "index": f"{user}/dev",
            "user": user,
        }
    ]
    reporter = {"name": "our scanner", "keys": {SCANNER.id: SCANNER.pem}}
    changes["tokens.reporters"] = [reporter]
    changes["notices.webhook"] = {"url": told.url, "key": f"file:{tmp_path}/webhook.key"}
    rules = by_session("devpi", "account")  # a browser stands for whoever acts
    dry = {"policy": "token", "enforce": False}
    rules = [rule | dry if rule["name"] == "uploads" else rule for rule in rules]
    served = serve("devpi", devpi_server.url, rules=rules, **changes)
    keys: dict[str, Any] = {"listen": f"127.0.0.1:{served.port}", "public_url": served.url}
    keys |= {"upstream.url": devpi_server.url, "keys": "file:gateway.keys", **changes}
    stage.write_configuration(served.place / "gateway.yaml", "devpi", keys)
    password = devpi_server.person(user)
    key = SecurityKey(origin=served.url)
    browsers = served.client(), served.client()
    yield Story(
        *(served, devpi_server, *browsers, user, password, key),
        issuer=issuer,
        traces=traces,
        answers=answers,
        told=told,
    )
    told.__exit__()
    issuing.__exit__(None, None, None)


@pytest.mark.timeout(400)  # an hour of several people, whole
def test_every_event_is_recorded_with_all_that_is_known(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    for chapter in CHAPTERS:
        chapter.act(story)
        found = story.fresh()
        told = [(one["event"], one["factor"]) for one in found]
        assert told == [(event, factor) for event, factor, *_ in chapter.entries], (
            chapter.name,
            [(one["event"], one["factor"], one["detail"], one["origin"]) for one in found],
        )
        for entry, (event, _, detail, path, rule) in zip(found, chapter.entries, strict=True):
            origin, place = entry["origin"], (chapter.name, entry)
            assert entry["user"] == ("" if event in NOBODYS else story.user), place
            assert detail in entry["detail"], place
            assert origin["path"].startswith(path.format(user=story.user)), place
            assert origin["rule"] == rule, place
            assert origin["address"] == ("" if chapter.agent is CLI else "127.0.0.1"), place
            assert chapter.agent in origin["user_agent"], place
            assert bool(path) == bool(origin["method"]), place
            at = datetime.fromisoformat(entry["at"]).timestamp()
            ahead = 0.0 if chapter.agent is CLI else story.served.offset
            assert abs(at - time.time() - ahead) < 120, place
    shown = story.run("audit", "export") + story.run("audit", "tail", "-n", "1000")
    retention(story)
    assert [one["event"] for one in story.fresh()] == [Event.RETENTION]
    provoked = {one["event"] for one in story.entries}
    elsewhere = {Event.STORE_RESTORED, *OF_FILES}  # tests/cli/test_store.py
    assert provoked - OF_FILES == set(Event) - elsewhere, set(Event) ^ provoked
    lost = [one for one in story.entries if one["event"] == Event.NOTICE_GIVEN_UP]
    assert lost and all("no mail address" in one["detail"] for one in lost)
    assert story.served.run(verify(story.served.running.parts.audit)).sound
    nothing_secret_is_left(story, caplog.text, shown)


def nothing_secret_is_left(story: Story, logged: str, shown: str) -> None:
    traces, served = story.traces, story.served
    traces.add("TOTP secret", *served.secrets.values())
    traces.add("recovery code", *story.recovery)
    assert {"password", "code", "TOTP secret", "recovery code", "token", "key"} <= traces.kinds
    assert {"cookie ig-session", "cookie ig-pending", "cookie auth_tkt"} <= traces.kinds
    assert {"cookie ig-device", "cookie's part", "form token", "link"} <= traces.kinds
    told = b"".join(seen.head + seen.body for seen in story.told.seen)
    assert b"wrong second factor" in told and b"recovery code" in told
    assert "notice" in logged
    places: dict[str, str | bytes] = {
        "log": logged,
        "notices": told,
        "trail": json.dumps(story.entries),
        "commands": shown,
        "store": stored(served),
    }
    for place, text in places.items():
        assert not traces.found(text), place
    for answer in story.answers:
        lines = [f"{name}: {value}" for name, value in answer.fields if name != "set-cookie"]
        assert not traces.found("\n".join(lines), apart_from=("link",)), answer.status
        if answer.status >= 400:  # a form that is shown again has a token
            assert not traces.found(answer.body, apart_from=("form token",)), answer.status


def stored(served: Served) -> bytes:
    """All that the store holds, as it lies there."""
    address = str(served.settings.store)
    if address.startswith("sqlite:"):
        return b"".join(file.read_bytes() for file in served.place.glob("state.db*"))
    with redis.Redis.from_url(address) as direct:
        return b"".join(key + (direct.dump(key) or b"") for key in direct.keys())  # noqa: SIM118


def test_removals_before_pypiserver(simple: Served) -> None:
    """An act by a password with its code, and a session that is not enough: each names its rule."""
    form = {":action": "remove_pkg", "name": "nothing", "version": "1.0"}
    told = simple.client().post(
        "/", form=form, auth=("alice", f"password of alice,{simple.code('alice')}")
    )
    assert told.status != 401, told.text
    browser = simple.browse_in("bob", "password of bob")
    told = browser.post("/", form=form, fields=simple.ours())
    assert (told.status, told.slug) == (401, "session_not_enough")

    async def read() -> list[bytes]:
        return [raw async for raw in simple.running.parts.audit.lines()]

    entries = [json.loads(raw) for raw in simple.run(read())]
    found = [(one["event"], one["user"], one["factor"], one["origin"]["rule"]) for one in entries]
    rule = "release deletion"
    assert found[-4:] == [
        (Event.LOGIN, "alice", "totp phone", rule),
        (Event.GUARDED_ACT, "alice", "totp", rule),
        (Event.LOGIN, "bob", "totp phone", ""),
        (Event.GUARDED_REFUSED, "bob", "", rule),
    ]

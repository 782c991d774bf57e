"""Every page in every state worth looking at, by name. Tests judge them all alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.core.accounts.records import Account, WebauthnKey
from gateway.core.administration import Admin
from gateway.core.errors import Refusal
from gateway.core.upstream import Action
from gateway.web.handlers.activity import WORDS
from tests.core.world import Person, Phone, World, caller, token_of, wrong_code
from tests.web.site import Browser, Connect, Page, Site

TOKEN_FAULTS = {
    "name": {"name": "x" * 61},
    "scope": {"upload": "", "read": ""},
    "indexes": {"indexes": "alice"},
    "projects": {"projects": "../x"},
    "networks": {"networks": "300.0.0.0/8"},
    "days": {"days": "other", "other": "9999"},
    "password": {"password": "wrong"},
}
"""What a field of the form for a token does not take."""

DEVPI_CLIENT = "devpi-client/7.3.0 (py3.11.2; linux)"


async def give_key(world: World, user: str, *, last: bool = False) -> None:
    """Put a security key on an account, as if it had been registered."""

    def work(account: Account) -> tuple[Account, None]:
        key = WebauthnKey("a2V5", "Blue key", "cHVibGlj", 0, ("usb",), True, "", world.clock())
        used = "webauthn" if last else account.last
        return replace(account, webauthn=(*account.webauthn, key), last=used), None

    await world.flow.services.accounts.change(user, user, work, now=world.clock())


def phone_in(offer: Page) -> Phone:
    """The authenticator app that has scanned an offer."""
    links = [link.attributes["href"] for link in offer.markup.all("a")]
    return Phone(next(link for link in links if link.startswith("otpauth:")))


async def command_line_login(world: World, user: str, agent: str = DEVPI_CLIENT) -> tuple[str, str]:
    """A login without a code that now waits for approval; the address and number it names."""
    try:
        await world.flow.at_once.prove(user, None, (token_of(user),), caller(agent=agent))
    except Refusal as refusal:
        path = "/+auth/approve" + refusal.detail["approve"].partition("/+auth/approve")[2]
        return path, refusal.detail["number"]
    raise AssertionError("it passed without a code")


@dataclass
class Tour:
    """Visits the pages as nobody, bob (for the first time), alice, and carol, who has time."""

    nobody: Browser
    bob: Browser
    alice: Browser
    person: Person
    connect: Connect
    seen: dict[str, Page] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.nobody.site.world

    async def all(self) -> dict[str, Page]:
        await self._doors()
        await self._first_time()
        await self._second_factor()
        await self._account()
        await self._changes()
        await self._tokens()
        await self._administration()
        await self._stale()
        await self._grace()
        return self.seen

    async def _doors(self) -> None:
        nobody, seen = self.nobody, self.seen
        seen["login"] = await nobody.get("/+auth/login?next=/x")
        seen["login refused"] = await nobody.give_password("alice", password="no")
        invited = await Admin(self.world.flow.services).invite("dora")
        seen["invitation"] = await nobody.get(invited.link.removeprefix(nobody.site.public))
        seen["no invitation"] = await nobody.get("/+auth/invite/some-token")
        elsewhere = {"host": "127.0.0.1:8080"}
        seen["login elsewhere"] = await nobody.send("GET", "/+auth/login", headers=elsewhere)
        form = seen["login"].form("/+auth/login").fields
        seen["form out of date"] = await nobody.post("/+auth/login", {**form, "form_token": "x"})
        seen["no such page"] = await nobody.get("/+auth/nothing")
        seen["wrong method"] = await nobody.post("/+auth/health", {})
        foreign = {"origin": "https://evil.example"}
        seen["another site"] = await nobody.send("POST", "/+auth/login", headers=foreign)
        seen["health"] = await nobody.get("/+auth/health")
        seen["ready"] = await nobody.get("/+auth/ready")
        seen["away"] = await nobody.get("/+auth/")
        seen["logged out"] = await nobody.get("/+auth/logout")
        seen["front page"] = await nobody.get("/")
        seen["in a frame"] = await nobody.send(
            "GET", "/+auth/login", headers={"sec-fetch-dest": "iframe"}
        )

    async def _first_time(self) -> None:
        bob, seen = self.bob, self.seen
        seen["begin"] = begin = await bob.follow(await bob.give_password("bob"))
        seen["begin refused"] = await bob.fill(begin, "/+auth/enrol/start", name="")
        await bob.fill(begin, "/+auth/enrol/start", name="Phone <b>")
        seen["offer"] = offer = await bob.get("/+auth/enrol")
        seen["offer refused"] = await bob.fill(offer, "/+auth/enrol", code="000000")
        seen["first key"] = await bob.get("/+auth/enrol/key")
        self.world.clock.turn(30)
        code = phone_in(offer).code(self.world.clock())
        seen["codes"] = await bob.follow(await bob.fill(offer, "/+auth/enrol", code=code))
        seen["codes wait"] = await bob.get("/+auth/enrol")
        seen["set-up waits"] = await bob.get("/+auth/login")
        seen["codes not confirmed"] = await bob.fill(seen["codes"], "/+auth/enrol/recovery")

    async def _second_factor(self) -> None:
        alice, seen = self.alice, self.seen
        await give_key(self.world, "alice")
        seen["verify"] = asked = await alice.follow(await alice.give_password("alice"))
        wrong = wrong_code(self.person, self.world.clock())
        seen["verify refused"] = await alice.fill(asked, "/+auth/verify", code=wrong)
        seen["verify by key"] = await alice.get("/+auth/verify?use=webauthn")
        seen["verify by recovery code"] = await alice.get("/+auth/verify?use=recovery")
        code = self.world.code(self.person)
        seen["login ran out"] = await self._ran_out()
        seen["passed"] = await alice.fill(asked, "/+auth/verify", code=code, remember="yes")

    async def _ran_out(self) -> Page:
        late = Browser(self.alice.site, self.alice.http)
        asked = await late.follow(await late.give_password("alice", next="/simple/"))
        self.world.clock.turn(self.world.limits.pending + 1)
        page = await late.fill(asked, "/+auth/verify", code="123456")
        self.world.clock.turn(-self.world.limits.pending - 1)
        return page

    async def _account(self) -> None:
        alice, seen = self.alice, self.seen
        await self.world.login(self.person)  # a second session to list
        seen["overview"] = overview = await alice.get("/+auth/?done=renamed")
        links = [a.attributes["href"] for a in overview.markup.all("a")]
        seen["device"] = device = await alice.get(next(a for a in links if "/factor/" in a))
        seen["device refused"] = await alice.fill(device, "/+auth/rename", name="Blue key")
        seen["add app"] = await alice.get("/+auth/add")
        seen["add key"] = await alice.get("/+auth/add/key")
        origin = self.person.caller.origin
        for event in WORDS:
            await alice.site.trail.record(event, "alice", origin, factor="totp phone")
        seen["activity"] = await alice.get("/+auth/activity")
        seen["activity of a kind"] = await alice.get("/+auth/activity?show=alarming")
        seen["sessions"] = await alice.get("/+auth/sessions?done=session")
        waiting, number = await command_line_login(self.world, "alice")
        seen["approve"] = approve = await alice.get(waiting)
        form = next(one for one in approve.markup.forms if "number" in one.fields)
        seen["approve refused"] = await alice.post(waiting, {**form.fields, "number": "x"})
        seen["overview, a login waits"] = await alice.get("/+auth/")
        await alice.post(waiting, {**form.fields, "number": number})
        seen["approved"] = await alice.get(waiting)
        actions = (Action.UPLOAD, Action.READ)
        from_shell = caller("198.51.100.9", "index-gateway (Linux)")
        asked = await self.world.flow.granting.ask(actions, 12 * 3600, from_shell)
        place = f"/+auth/connect/{asked.id}"
        seen["let in"] = let_in = await alice.get(place)
        form = next(one for one in let_in.markup.forms if "number" in one.fields)
        seen["let in refused"] = await alice.post(place, {**form.fields, "number": "x"})
        await alice.post(place, {**form.fields, "number": asked.number})
        seen["was let in"] = await alice.get(place)
        asked = await self.world.flow.granting.ask(actions, 3600, from_shell)
        place = f"/+auth/connect/{asked.id}"
        form = (await alice.get(place)).markup.forms[-1]
        seen["let in reported"] = await alice.post(place, {**form.fields, "deny": "report"})
        seen["logged in already"] = await alice.get("/+auth/login?next=/simple/")
        seen["password"] = door = await alice.get("/+auth/password")
        seen["password refused"] = await alice.fill(door, "/+auth/password", old="right", new="x")
        alice.site.passwords.allowed = False
        seen["password of the administrator"] = await alice.get("/+auth/password")
        alice.site.passwords.allowed = True
        seen["password changed"] = await self._password_changed()
        seen["no such device"] = await alice.get("/+auth/factor/none")
        denied, _number = await command_line_login(self.world, "alice", "devpi-client/7")
        form = (await alice.get(denied)).markup.forms[-1]
        seen["reported"] = await alice.post(denied, {**form.fields, "deny": "report"})
        seen["log out"] = await alice.get("/+auth/logout")
        seen["front page of somebody"] = await alice.get("/")
        seen["nothing to approve"] = await alice.get("/+auth/approve/other")

    async def _password_changed(self) -> Page:
        """The page alone: what stands for the index here ends nobody's sessions."""
        own = Browser(self.alice.site, self.alice.http, dict(self.alice.cookies))
        door = await own.get("/+auth/password")
        typed = {"old": "right", "new": "wholly new", "again": "wholly new"}
        return await own.fill(door, "/+auth/password", **typed)

    async def _changes(self) -> None:
        alice, seen = self.alice, self.seen
        seen["new codes"] = form = await alice.get("/+auth/recovery")
        code = self.world.code(self.person)
        seen["codes refused"] = await alice.fill(form, "/+auth/recovery", code="")
        await alice.fill(form, "/+auth/recovery", code=code)
        seen["codes made"] = made = await alice.get("/+auth/add/recovery")
        seen["codes on a lost page"] = await alice.get("/+auth/?next=/simple/")
        refused = await alice.fill(made, "/+auth/add/recovery", code="AAAA")
        seen["codes to confirm, refused"] = refused

    async def _tokens(self) -> None:
        alice, seen, made = self.alice, self.seen, self.world.flow.tokens
        seen["tokens, none"] = await alice.get("/+auth/tokens")
        seen["token form"] = form = await alice.get("/+auth/tokens/new")
        typed = {"name": "CI of <b>foo</b>", "upload": "yes", "read": "yes", "projects": "acme-*"}
        for about, value in TOKEN_FAULTS.items():
            name = f"token form, {about} refused"
            seen[name] = await alice.fill(form, "/+auth/tokens/new", **{**typed, **value})
        typed["password"] = "right"
        seen["token made"] = await alice.fill(form, "/+auth/tokens/new", **typed)
        await alice.fill(form, "/+auth/tokens/new", **{**typed, "name": "laptop", "read": ""})
        seen["revoke all"] = await alice.get("/+auth/tokens/revoke-all")
        seen["tokens"] = await alice.get("/+auth/tokens")
        left = await made.password_changed("alice", self.person.caller.origin)
        await made.index_says(left[0], self.person.caller.origin, right=False)
        seen["token"] = await alice.get(f"/+auth/token/{left[0].id}")
        seen["tokens left"] = await alice.get("/+auth/tokens")
        seen["overview, tokens left"] = await alice.get("/+auth/")
        await made.revoke("alice", left[1].id, self.person.caller.origin)
        seen["tokens, one revoked"] = await alice.get("/+auth/tokens?done=revoked")
        seen["token, another's"] = await alice.get("/+auth/token/aaaaaaaaaaaaaaaa")

    async def _administration(self) -> None:
        alice, seen = self.alice, self.seen
        place, person = "/+auth/admin", {"user": "dan"}
        await self.world.enrol(Person("dan"))
        await Admin(self.world.flow.services).invite("erin")
        seen["admin people"] = await alice.get(f"{place}/")
        seen["admin everybody"] = await alice.get(f"{place}/?show=all")
        seen["admin person"] = await alice.get(f"{place}/person?user=dan&done=ended")
        seen["admin own page"] = await alice.get(f"{place}/person?user=alice")
        seen["admin invite"] = await alice.get(f"{place}/invite")
        seen["admin reset of oneself"] = await alice.get(f"{place}/reset?user=alice")
        seen["admin end logins"] = await alice.get(f"{place}/end-logins?user=dan")
        seen["admin reset"] = form = await alice.get(f"{place}/reset?user=dan")
        seen["admin reset refused"] = await alice.fill(form, f"{place}/reset", **person, reason="")
        seen["admin link"] = await alice.fill(form, f"{place}/reset", **person, reason="phone")
        seen["admin audit"] = await alice.get(f"{place}/audit")
        seen["admin audit refused"] = await alice.get(f"{place}/audit?since=soon")
        seen["admin stats"] = await alice.get(f"{place}/stats")

    async def _stale(self) -> None:
        alice, seen = self.alice, self.seen
        self.world.clock.turn(self.world.limits.step_up + 1)
        seen["codes to confirm"] = await alice.get("/+auth/add/recovery")
        seen["needs step-up"] = away = await alice.get("/+auth/add")
        seen["step-up"] = form = await alice.follow(away)
        wrong = wrong_code(self.person, self.world.clock())
        seen["step-up refused"] = await alice.fill(form, "/+auth/confirm", code=wrong)
        seen["step-up by key"] = await alice.get("/+auth/confirm?use=webauthn&next=/%2Bauth/add")

    async def _grace(self) -> None:
        """Before `required_from`: somebody without a factor is let in, and reminded."""
        site = self.nobody.site
        later = site.world.other(required_from=site.world.clock() + 5 * 86400 + 60)
        gentle = Site(later, site.doorman, site.public)
        carol = Browser(gentle, await self.connect(gentle))
        first = await carol.give_password("carol", next="/simple/")
        self.seen["grace period"] = await carol.follow(first)

"""Tokens over a store: what is stored, what opens it, how they end and who is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pymacaroons
import pypitoken
import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice
from gateway.core.store import Key
from gateway.core.tokens import macaroon
from gateway.core.tokens.caveats import Use
from gateway.core.tokens.models import Bearer, TokenLimits
from gateway.core.tokens.records import Scope, dump, load, scope_of
from gateway.core.tokens.repository import LINGER
from gateway.core.tokens.tokens import REMEMBERED, TOUCH
from gateway.core.upstream import Action, Credential
from tests.core.tokens.conftest import ORIGIN, YEAR, Desk
from tests.core.tokens.reference import append

DAY = 86400.0


async def slug(desk: Desk, text: str, **more: bool) -> Slug | None:
    try:
        await desk.tokens.verify(text, ORIGIN, **more)
    except Refusal as refusal:
        return refusal.slug
    return None


def allowed(bearer: Bearer, use: Use) -> bool:
    try:
        bearer.check(use)
    except Refusal:
        return False
    return True


async def stored(desk: Desk) -> bytes:
    found = b""
    for kind in ("token", "token-use"):
        for owner in ("alice", "bob"):
            for name, record in await desk.store.items(kind, owner):
                found += name.encode() + record.value
    return found


# -- made and used ----------------------------------------------------------------------------


async def test_a_token_is_its_owners_and_stands_for_a_credential(desk: Desk) -> None:
    made = await desk.make(projects=["Foo_Bar", "acme-*"])
    bearer = await desk.tokens.verify(made.text, ORIGIN)
    assert (bearer.token.owner, bearer.token.user, bearer.token.name) == ("alice", "Alice", "ci")
    assert desk.tokens.credential(bearer) == Credential("Alice", "secret of Alice")
    assert desk.ledger.names() == [Event.TOKEN_MADE]
    assert desk.ledger.notices == [(Notice.TOKEN_MADE, "alice")]
    assert desk.ledger.details == [f"{made.token.id}: upload; foo-bar, acme-*, for 30 days"]


async def test_its_identifier_is_what_the_clients_of_devpi_take_for_a_user(desk: Desk) -> None:
    made = await desk.make(user="mary-ann")
    found = pymacaroons.Macaroon.deserialize(made.text.removeprefix("pypi-"))
    user, rest = found.identifier_bytes.decode().rsplit("-", 1)
    assert user == "mary-ann"
    assert re.fullmatch("[a-z2-7]{64}", rest)
    assert (await desk.tokens.verify(made.text, ORIGIN)).token.owner == "mary-ann"


async def test_it_may_be_called_devpis(desk: Desk) -> None:
    """`devpi token-login` takes what begins with devpi-, and nothing else."""
    text = (await desk.make()).text.replace("pypi-", "devpi-")
    assert macaroon.looks_like(text)
    assert (await desk.tokens.verify(text, ORIGIN)).token.owner == "alice"
    theirs = macaroon.make("", "alice-Xy45Zw78", b"key", ["expires=never"])
    assert not macaroon.looks_like(theirs.replace("pypi-", "devpi-"))


async def test_scopes_hold(desk: Desk) -> None:
    made = await desk.make(
        actions=["upload"], indexes=["alice/dev"], projects=["acme-*"], networks=["192.0.2.0/24"]
    )
    bearer = await desk.tokens.verify(made.text, ORIGIN)
    good = Use(Action.UPLOAD, desk.clock(), _ip("192.0.2.7"), "alice/dev", "acme-core")
    assert allowed(bearer, good)
    for other in (
        replace(good, action=Action.READ),
        replace(good, action=Action.MANAGE),
        replace(good, index="alice/prod"),
        replace(good, index=""),
        replace(good, project="acme"),
        replace(good, project=None),
        replace(good, address=_ip("198.51.100.7")),
        replace(good, address=None),
        replace(good, now=desk.clock() + 30 * DAY),
    ):
        assert not allowed(bearer, other), other
    # Programs ask before they do something.
    assert allowed(bearer, Use(Action.LOOK, desk.clock(), _ip("192.0.2.7")))
    assert not allowed(bearer, Use(Action.LOOK, desk.clock(), _ip("198.51.100.7")))


def _ip(text: str):  # type: ignore[no-untyped-def]
    from ipaddress import ip_address

    return ip_address(text)


async def test_narrowing_keeps_what_opens_the_credential(desk: Desk) -> None:
    made = await desk.make()
    now = int(desk.clock())
    narrowed = pypitoken.Token.load(made.text)
    assert narrowed.restrictions  # devpi-client looks at them first
    narrowed.restrict(project_names=["foo"], not_before=now - 1, not_after=now + 60)
    bearer = await desk.tokens.verify(narrowed.dump(), ORIGIN)
    assert desk.tokens.credential(bearer) == Credential("Alice", "secret of Alice")
    assert allowed(bearer, Use(Action.UPLOAD, desk.clock(), project="foo"))
    assert not allowed(bearer, Use(Action.UPLOAD, desk.clock(), project="bar"))
    assert not allowed(bearer, Use(Action.UPLOAD, desk.clock() + 61, project="foo"))


# -- what is stored ---------------------------------------------------------------------------


async def test_the_store_and_the_keys_open_nothing_without_the_token(desk: Desk) -> None:
    made = await desk.make()
    kept = await stored(desk)
    secret = macaroon.read(made.text).identifier[-48:]
    for part in (made.text, secret, "secret of Alice"):
        assert part.encode() not in kept
    # Another token's secret does not open it, with all the keys at hand.
    other = await desk.tokens.verify((await desk.make("other")).text, ORIGIN)
    bearer = await desk.tokens.verify(made.text, ORIGIN)
    assert desk.tokens.credential(replace(bearer, secret=other.secret)) is None
    assert desk.tokens.credential(replace(bearer, secret=b"")) is None


async def test_a_secret_of_ones_own_is_no_token(desk: Desk) -> None:
    """Somebody who reads the store knows ids, and could put any secret behind them."""
    made = await desk.make()
    identifier = f"alice-{made.token.id}{'a' * 48}"
    assert await slug(desk, macaroon.make("packages.example.org", identifier, b"k" * 32, ())) == (
        Slug.TOKEN_UNKNOWN
    )


async def test_nobody_else_may_be_named_in_it(desk: Desk) -> None:
    made = await desk.make()
    found = pymacaroons.Macaroon.deserialize(made.text.removeprefix("pypi-"))
    found.identifier = found.identifier_bytes.replace(b"Alice", b"bob")
    assert await slug(desk, f"pypi-{found.serialize()}") is Slug.TOKEN_UNKNOWN


async def test_after_a_rotation_a_use_brings_it_under_the_active_key(desk: Desk) -> None:
    made = await desk.make()
    desk.keys = (("k2", bytes(32)), *desk.keys)
    bearer = await desk.tokens.verify(made.text, ORIGIN)
    await desk.tokens.used(bearer, ORIGIN)
    desk.keys = desk.keys[:1]
    bearer = await desk.gateway().verify(made.text, ORIGIN)
    assert desk.tokens.credential(bearer) == Credential("Alice", "secret of Alice")


async def test_without_its_key_it_is_not_known(desk: Desk) -> None:
    made = await desk.make()
    desk.keys = (("k2", bytes(32)),)
    assert await slug(desk, made.text) is Slug.TOKEN_UNKNOWN


SCOPE = scope_of(["read", "upload"], ["alice/dev"], ["foo", "acme-*"], ["2001:db8::/32"])
STORED = (
    b'{"user":"Alice","name":"ci","scope":{"actions":["upload","read"],"indexes":["alice/dev"],'
    b'"projects":["foo","acme-*"],"networks":["2001:db8::/32"]},"created":1.0,"expires":2.0,'
    b'"key":"a2V5","credential":"","revoked":0.0,"refused":0.0,"undecided":0.0,"made_by":"",'
    b'"index_token":"","format":1}'
)


def test_a_record_has_these_bytes() -> None:
    token = load("alice", "abc", STORED)
    assert token.scope == SCOPE
    assert dump(token) == STORED
    assert load("alice", "abc", STORED.replace(b'"index_token":"",', b"")) == token


# -- broken, foreign and ended ones -----------------------------------------------------------


async def test_each_kind_of_broken_token_has_its_sentence(desk: Desk) -> None:
    made = await desk.make()
    pypi = pypitoken.Token.create("pypi.org", "0d7a", "key").dump()
    other = await desk.gateway(TokenLimits("other.example.org")).make(
        "alice", "x", SCOPE, 3600, None, ORIGIN
    )
    await desk.store.delete(Key("token", "alice", other.token.id))
    told = {
        made.text[:-1]: Slug.TOKEN_UNREADABLE,
        pypi: Slug.TOKEN_ELSEWHERE,
        other.text: Slug.TOKEN_ELSEWHERE,
        append(made.text, "[99]"): Slug.TOKEN_CONDITION,
        append(made.text, "expires=4102444800"): Slug.TOKEN_CONDITION,
        macaroon.make("packages.example.org", "alice-x", b"k", ()): Slug.TOKEN_UNREADABLE,
    }
    for text, wanted in told.items():
        assert await slug(desk, text) is wanted, text
    with pytest.raises(Refusal) as caught:
        await desk.tokens.verify(pypi, ORIGIN)
    assert caught.value.text.startswith("This token is for pypi.org, not for this index.")


async def test_a_new_address_of_the_index_ends_no_token(desk: Desk) -> None:
    made = await desk.make()
    await desk.gateway(TokenLimits("new.example.org")).verify(made.text, ORIGIN)


async def test_it_ends_with_its_time(desk: Desk) -> None:
    made = await desk.make(lifetime=7 * DAY)
    desk.clock.turn(7 * DAY - 1)
    assert await slug(desk, made.text) is None
    desk.clock.turn(1)
    assert await slug(desk, made.text) is Slug.TOKEN_EXPIRED
    assert desk.ledger.events[-1] == (Event.TOKEN_REFUSED, "alice", "token ci")
    desk.clock.turn(LINGER)
    assert await slug(desk, made.text) is Slug.TOKEN_UNKNOWN


async def test_a_revoked_one_is_refused_and_its_owner_told_once_a_day(desk: Desk) -> None:
    made = await desk.make()
    assert await desk.tokens.revoke("alice", made.token.id, ORIGIN)
    assert not await desk.tokens.revoke("alice", made.token.id, ORIGIN)
    assert b'"credential":""' in await stored(desk)
    tried = (Notice.REVOKED_TOKEN_TRIED, "alice")
    for times in (1, 1, 2):
        assert await slug(desk, made.text) is Slug.TOKEN_REVOKED
        assert desk.ledger.notices.count(tried) == times or times == 2
        desk.clock.turn(DAY / 2 + 1)
    assert desk.ledger.notices.count(tried) == 2


async def test_all_of_one_person_end_at_once(desk: Desk) -> None:
    texts = [(await desk.make(f"ci {n}")).text for n in range(3)]
    theirs = await desk.make(user="bob")
    assert len(await desk.tokens.revoke_all("alice", ORIGIN)) == 3
    assert {await slug(desk, text) for text in texts} == {Slug.TOKEN_REVOKED}
    assert await slug(desk, theirs.text) is None


async def test_a_token_revokes_itself_narrowed_too(desk: Desk) -> None:
    made = await desk.make()
    before, digit, behind = made.text[:-9], made.text[-9], made.text[-8:]
    with pytest.raises(Refusal):
        await desk.tokens.burn(before + ("A" if digit != "A" else "B") + behind, ORIGIN)
    await desk.tokens.burn(append(made.text, '[1,["foo"]]'), ORIGIN)
    assert await slug(desk, made.text) is Slug.TOKEN_REVOKED
    assert (Notice.TOKEN_BURNT, "alice") in desk.ledger.notices


async def test_a_read_believes_for_a_minute_what_it_read(desk: Desk) -> None:
    made = await desk.make()
    other = desk.gateway()
    await desk.tokens.verify(made.text, ORIGIN, remembered=True)
    await other.revoke("alice", made.token.id, ORIGIN)
    assert await slug(desk, made.text, remembered=True) is None
    assert await slug(desk, made.text) is Slug.TOKEN_REVOKED  # an upload asks the store
    assert await slug(desk, made.text, remembered=True) is Slug.TOKEN_REVOKED
    again = await desk.make("again")
    await desk.tokens.verify(again.text, ORIGIN, remembered=True)
    await other.revoke("alice", again.token.id, ORIGIN)
    desk.clock.turn(REMEMBERED)
    assert await slug(desk, again.text, remembered=True) is Slug.TOKEN_REVOKED


# -- what is noted ----------------------------------------------------------------------------


async def test_the_last_use_is_written_once_a_minute(desk: Desk) -> None:
    made = await desk.make()
    bearer = await desk.tokens.verify(made.text, ORIGIN)
    for _ in range(3):
        await desk.tokens.used(bearer, ORIGIN)
        desk.clock.turn(1)
    (listed,) = await desk.tokens.of("alice")
    assert listed.use.at == desk.clock() - 3
    assert (listed.use.address, listed.use.client) == ("192.0.2.10", "twine/7.0.0")
    desk.clock.turn(TOUCH)
    await desk.tokens.used(bearer, ORIGIN)
    (listed,) = await desk.tokens.of("alice")
    assert listed.use.at == desk.clock()
    assert desk.ledger.names().count(Event.TOKEN_USED) == 1


async def test_a_credential_that_the_index_refuses_marks_the_token(desk: Desk) -> None:
    made = await desk.make()
    await desk.tokens.index_says(made.token, ORIGIN, right=True)
    await desk.tokens.index_says(made.token, ORIGIN, right=False)
    (listed,) = await desk.tokens.of("alice")
    assert listed.token.refused == desk.clock()
    await desk.tokens.index_says(listed.token, ORIGIN, right=False)
    assert desk.ledger.names().count(Event.TOKEN_NEEDS_RENEWAL) == 1
    await desk.tokens.index_says(listed.token, ORIGIN, right=True)
    (listed,) = await desk.tokens.of("alice")
    assert not listed.token.refused


async def test_after_a_changed_password_the_owner_decides(desk: Desk) -> None:
    made = await desk.make()
    ended = await desk.make("old")
    await desk.tokens.revoke("alice", ended.token.id, ORIGIN)
    (left,) = await desk.tokens.password_changed("alice", ORIGIN)
    assert left.id == made.token.id
    assert desk.ledger.notices[-1] == (Notice.TOKENS_LEFT, "alice")
    assert await slug(desk, made.text) is None
    found = await desk.tokens.find("alice", "ci")
    assert found is not None
    assert found.token.undecided
    assert await desk.tokens.keep("alice", made.token.id, ORIGIN)
    found = await desk.tokens.find("alice", made.token.id)
    assert found is not None
    assert not found.token.undecided
    assert await desk.tokens.password_changed("bob", ORIGIN) == ()


# -- what may be asked for --------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        {"actions": []},
        {"actions": ["everything"]},
        {"actions": ["look"]},
        {"actions": ["upload"], "indexes": ["alice"]},
        {"actions": ["upload"], "indexes": ["alice/dev/x"]},
        {"actions": ["upload"], "indexes": ["+x/dev"]},
        {"actions": ["upload"], "projects": ["[x]"]},
        {"actions": ["upload"], "projects": [f"p{n}" for n in range(51)]},
        {"actions": ["upload"], "networks": ["192.0.2.1/24"]},
        {"actions": ["upload"], "networks": ["here"]},
    ],
    ids=json.dumps,
)
def test_a_scope_that_cannot_be(scope: dict[str, list[str]]) -> None:
    with pytest.raises(Refusal) as caught:
        scope_of(**scope)
    assert caught.value.slug is Slug.TOKEN_REQUEST


@pytest.mark.parametrize(
    ("name", "lifetime", "actions"),
    [
        ("", 3600, ["upload"]),
        ("x" * 61, 3600, ["upload"]),
        ("a\x07b", 3600, ["upload"]),
        ("ci", YEAR + 1, ["upload"]),
        ("ci", 0, ["upload"]),
        ("ci", -3600, ["upload"]),
        ("ci", float("nan"), ["upload"]),
        ("taken", 3600, ["upload"]),
        ("ci", 3600, ["manage"]),
    ],
)
async def test_a_token_that_is_not_made(
    desk: Desk, name: str, lifetime: float, actions: list[str]
) -> None:
    await desk.make("taken")
    with pytest.raises(Refusal) as caught:
        await desk.make(name, lifetime=lifetime, actions=actions)
    assert caught.value.slug is Slug.TOKEN_REQUEST
    assert len(await desk.tokens.of("alice")) == 1


async def test_nobody_has_more_than_allowed(desk: Desk) -> None:
    desk.tokens = desk.gateway(TokenLimits("packages.example.org", most=2))
    made = await desk.make("1")
    await desk.make("2")
    with pytest.raises(Refusal):
        await desk.make("3")
    await desk.tokens.revoke("alice", made.token.id, ORIGIN)
    await desk.make("3")


async def test_manage_ends_where_it_is_no_longer_allowed(desk: Desk) -> None:
    desk.tokens = desk.gateway(TokenLimits("packages.example.org", manage=True))
    made = await desk.make(actions=["manage"])
    assert await slug(desk, made.text) is None
    desk.tokens = desk.gateway()
    assert await slug(desk, made.text) is Slug.TOKEN_SCOPE


async def test_everybodys_are_listed(desk: Desk) -> None:
    await desk.make(user="bob")
    await desk.make()
    assert [one.token.owner async for page in desk.tokens.pages() for one in page] == [
        "alice",
        "bob",
    ]


def test_what_clients_do_not_know_is_not_written_into_it() -> None:
    named = Scope((Action.UPLOAD,), projects=("foo",)).written(expires=2, not_before=1)
    assert named == ("[0,2,1]", '[1,["foo"]]')
    pattern = Scope((Action.UPLOAD,), ("a/b",), ("foo", "b*")).written(expires=2, not_before=1)
    assert pattern == ("[0,2,1]",)

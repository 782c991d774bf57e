"""The stored form of accounts, and changes that meet each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.core.accounts.records import (
    Account,
    Invitation,
    Recovery,
    TotpDevice,
    WebauthnKey,
    dump,
    load,
)
from gateway.core.accounts.repository import Accounts
from gateway.core.store import Key, StoreUnavailable
from tests.core.world import World

ALICE = Account(
    id="alice",
    user="Alice",
    epoch=3,
    handle="aGFuZGxl",
    totp=(TotpDevice("d1", "phone", "c2VhbGVk", 59999999, 1000.0, 2000.0),),
    webauthn=(
        WebauthnKey("a2V5", "blue", "Y29zZQ", 7, ("usb",), True, "aGFuZGxl", 1500.0, model="A key"),
    ),
    recovery=Recovery(("digest-1", "digest-2"), 1000.0, confirmed=False),
    invitation=Invitation("digest-3", 9000.0),
    last="webauthn",
    known=("network",),
    agents=("agent",),
    created=900.0,
    enrolled=1000.0,
    language="de",
)
STORED = (
    b'{"v":1,"id":"alice","user":"Alice","epoch":3,"handle":"aGFuZGxl",'
    b'"totp":[{"id":"d1","name":"phone","secret":"c2VhbGVk","step":59999999,'
    b'"added":1000.0,"used":2000.0}],'
    b'"webauthn":[{"id":"a2V5","name":"blue","public_key":"Y29zZQ","sign_count":7,'
    b'"transports":["usb"],"passkey":true,"handle":"aGFuZGxl",'
    b'"added":1500.0,"used":0.0,"model":"A key"}],'
    b'"recovery":{"codes":["digest-1","digest-2"],"made":1000.0,"confirmed":false},'
    b'"invitation":{"digest":"digest-3","expires":9000.0},'
    b'"last":"webauthn","known":["network"],"agents":["agent"],'
    b'"created":900.0,"enrolled":1000.0,"invited_only":false,"removed":0.0,"language":"de"}'
)


def test_the_stored_form_is_this() -> None:
    assert dump(ALICE) == STORED
    assert load(STORED) == ALICE


def test_codes_of_an_account_that_says_nothing_of_it_are_confirmed() -> None:
    before = load(STORED.replace(b',"confirmed":false', b""))
    assert before == replace(ALICE, recovery=replace(ALICE.recovery, confirmed=True))


def test_an_account_that_says_nothing_of_a_reset_had_none() -> None:
    assert load(STORED.replace(b',"invited_only":false,"removed":0.0', b"")) == ALICE


def test_a_key_that_says_nothing_of_its_model_has_none() -> None:
    (key,) = load(STORED.replace(b',"model":"A key"', b"")).webauthn
    assert key == replace(ALICE.webauthn[0], model="")


def test_an_account_that_says_nothing_of_a_language_has_none() -> None:
    assert load(STORED.replace(b',"language":"de"', b"")) == replace(ALICE, language="")


def test_an_empty_account_reads_back() -> None:
    account = Account("zoë", "Zoë")
    assert load(dump(account)) == account
    assert not account.protected


def test_recovery_codes_alone_protect_nobody() -> None:
    assert not Account("a", "a", recovery=Recovery(("digest",), 1.0)).protected
    assert ALICE.protected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no version"),
        pytest.param(STORED.replace(b'"v":1', b'"v":2'), id="a newer version"),
        pytest.param(STORED[:-10], id="cut short"),
        pytest.param(STORED.replace(b'"step"', b'"stop"'), id="an unknown field in a device"),
        pytest.param(STORED.replace(b'"epoch":3,', b""), id="fine without a default field"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff", id="not text"),
    ],
)
def test_what_cannot_be_read_is_refused_not_emptied(
    value: bytes, request: pytest.FixtureRequest
) -> None:
    """An unreadable account must never look like a person without a factor."""
    if "fine" in request.node.callspec.id:
        assert load(value) == replace(ALICE, epoch=0)
        return
    with pytest.raises(StoreUnavailable):
        load(value)


async def test_a_hundred_changes_at_once_are_all_kept(world: World) -> None:
    accounts = Accounts(world.store)

    def bump(account: Account) -> tuple[Account, int]:
        return account.bumped(), account.epoch

    seen = await asyncio.gather(
        *(accounts.change("alice", "Alice", bump, now=1.0) for _ in range(40))
    )
    assert sorted(seen) == list(range(40))
    assert await accounts.epoch("alice") == 40
    assert [page async for page in accounts.pages()] == [["alice"]]


async def test_a_change_that_changes_nothing_writes_nothing(world: World) -> None:
    accounts = Accounts(world.store)
    await accounts.change("alice", "Alice", lambda one: (one, None), now=5.0)
    before = await world.store.get(Key("user", "alice", ""))
    await accounts.change("alice", "Alice", lambda one: (one, None), now=9.0)
    assert await world.store.get(Key("user", "alice", "")) == before

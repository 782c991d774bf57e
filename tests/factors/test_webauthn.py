"""Security keys and passkeys: a software key against our relying party."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.accounts.factor import WrongAnswer
from gateway.core.accounts.records import Account
from gateway.factors.webauthn import Webauthn
from tests.factors.authenticator import SecurityKey, challenge_of

ORIGIN = "https://packages.example.org"
ALICE = Account("alice", "Alice")
relying_party = Webauthn("Example packages", ORIGIN, ("https://old.packages.example.org",))
CHALLENGE = bytes(range(32))


def enrolled(key: SecurityKey, account: Account = ALICE, name: str = "blue key") -> Account:
    offer = relying_party.offer(account, name, secrets.token_bytes)
    made = relying_party.confirm(
        account, name, offer.state, key.create(offer.shown), now=1000.0, id=""
    )
    return account.with_device(made)


def check(account: Account, answer: str, challenge: bytes = CHALLENGE) -> Account:
    return relying_party.check(account, answer, challenge=challenge, now=2000.0).account


def ask(account: Account | None) -> str:
    return relying_party.ask(account, CHALLENGE)


def test_the_options_for_a_new_key_ask_for_little() -> None:
    options = json.loads(relying_party.offer(ALICE, "blue key", secrets.token_bytes).shown)
    assert options["rp"] == {"id": "packages.example.org", "name": "Example packages"}
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert options["extensions"] == {"credProps": True}
    assert "alice" not in json.dumps(options["user"]["id"]).lower()
    assert len(challenge_of(json.dumps(options))) == 32


def test_the_handle_is_random_and_kept_for_the_next_key() -> None:
    first = json.loads(relying_party.offer(ALICE, "a", secrets.token_bytes).shown)
    other = json.loads(relying_party.offer(ALICE, "a", secrets.token_bytes).shown)
    assert first["user"]["id"] != other["user"]["id"]
    account = replace(enrolled(SecurityKey()), handle=first["user"]["id"])
    again = json.loads(relying_party.offer(account, "b", secrets.token_bytes).shown)
    assert again["user"]["id"] == first["user"]["id"]
    assert [one["id"] for one in again["excludeCredentials"]] == [account.webauthn[0].id]


def test_a_key_is_registered_and_used() -> None:
    key = SecurityKey()
    account = enrolled(key)
    (kept,) = account.webauthn
    assert (kept.name, kept.passkey, kept.transports) == ("blue key", True, ("usb",))
    proof = relying_party.check(account, key.get(ask(account)), challenge=CHALLENGE, now=2000.0)
    assert (proof.name, proof.alone) == ("blue key", True)
    assert proof.account.webauthn[0] == replace(kept, sign_count=1, used=2000.0)


def test_a_key_that_checks_nobody_is_a_second_factor_but_not_enough_alone() -> None:
    key = SecurityKey(verifies=False)
    account = enrolled(key)
    proof = relying_party.check(account, key.get(ask(account)), challenge=CHALLENGE, now=2000.0)
    assert not proof.alone


def test_signing_in_without_a_name_asks_for_verification_and_tells_the_handle() -> None:
    key = SecurityKey()
    account = enrolled(key)
    options = json.loads(ask(None))
    assert options["userVerification"] == "required"
    assert not options.get("allowCredentials")
    assert relying_party.whose(key.get(ask(None))) == account.webauthn[0].handle


def test_a_copied_key_shows_by_its_count() -> None:
    key = SecurityKey()
    account = check(enrolled(key), key.get(ask(None)))
    copy = replace(key, count=0)
    with pytest.raises(WrongAnswer):
        check(account, copy.get(ask(None)))


def test_a_passkey_that_never_counts_is_fine() -> None:
    key = SecurityKey(counts=False)
    account = check(enrolled(key), key.get(ask(None)))
    check(account, key.get(ask(None)))


def test_a_further_origin_is_accepted_and_others_are_not() -> None:
    key = SecurityKey(origin="https://old.packages.example.org")
    check(enrolled(key), key.get(ask(None)))
    key.origin = "https://packages.example.org.evil.example"
    with pytest.raises(WrongAnswer):
        check(enrolled(SecurityKey()), key.get(ask(None)))


WRONG_CLIENTS = [
    pytest.param({"type": "webauthn.create"}, id="a registration"),
    pytest.param({"origin": "https://evil.example"}, id="another site"),
    pytest.param({"origin": "http://packages.example.org"}, id="not https"),
    pytest.param({"challenge": "AAAA"}, id="another challenge"),
    pytest.param({"crossOrigin": True}, id="in a frame"),
    pytest.param({"topOrigin": "https://evil.example"}, id="under another top"),
]


@pytest.mark.parametrize("changes", WRONG_CLIENTS)
def test_an_answer_given_elsewhere_is_refused(changes: dict[str, Any]) -> None:
    key = SecurityKey()
    account = enrolled(key)
    with pytest.raises(WrongAnswer):
        check(account, key.get(ask(account), **changes))


def test_an_answer_needs_its_challenge() -> None:
    key = SecurityKey()
    account = enrolled(key)
    with pytest.raises(WrongAnswer):
        check(account, key.get(ask(account)), challenge=b"")
    empty = relying_party.ask(account, b"")
    with pytest.raises(WrongAnswer):
        check(account, key.get(empty), challenge=b"")


def test_another_persons_key_is_refused() -> None:
    key, other = SecurityKey(), SecurityKey()
    account = enrolled(key)
    enrolled(other, Account("mallory", "mallory"))
    with pytest.raises(WrongAnswer):
        check(account, other.get(ask(account)))
    swapped = replace(key, handle=other.handle)
    with pytest.raises(WrongAnswer):
        check(account, swapped.get(ask(account)))


def test_a_key_is_taken_once() -> None:
    key = SecurityKey()
    account = enrolled(key)
    with pytest.raises(WrongAnswer):
        enrolled(key, account)


JUNK = [
    "",
    "null",
    "[]",
    "{}",
    "{",
    '{"id":1}',
    '{"id":"x","response":[]}',
    "[" * 5000,
    "x" * 30000,
]


@pytest.mark.parametrize("answer", JUNK, ids=lambda text: text[:12] or "empty")
def test_junk_is_a_wrong_answer(answer: str) -> None:
    key = SecurityKey()
    account = enrolled(key)
    offer = relying_party.offer(account, "x", secrets.token_bytes)
    with pytest.raises(WrongAnswer):
        check(account, answer)
    with pytest.raises(WrongAnswer):
        relying_party.confirm(account, "x", offer.state, answer, now=1.0, id="")
    assert relying_party.whose(answer) == ""


@pytest.mark.parametrize("gone", ["id", "rawId", "type", "response"])
@pytest.mark.parametrize("value", [None, 7, "", [], {}], ids=repr)
def test_an_answer_with_a_broken_part_is_refused(gone: str, value: object) -> None:
    key = SecurityKey()
    account = enrolled(key)
    answer = json.loads(key.get(ask(account)))
    answer[gone] = value
    with pytest.raises(WrongAnswer):
        check(account, json.dumps(answer))


@pytest.mark.parametrize("gone", ["clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("value", [None, 7, "", "AA", [], {}], ids=repr)
def test_a_response_with_a_broken_part_is_refused(gone: str, value: object) -> None:
    key = SecurityKey()
    account = enrolled(key)
    answer = json.loads(key.get(ask(account)))
    answer["response"][gone] = value
    with pytest.raises(WrongAnswer):
        check(account, json.dumps(answer))

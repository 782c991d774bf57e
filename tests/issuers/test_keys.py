"""Signatures under the keys that an issuer publishes, with real keys; and when it is asked."""

from __future__ import annotations

import asyncio
import hmac
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OKPKey

from gateway.core.errors import Refusal, Slug
from gateway.core.publishing import identity
from gateway.issuers.discovery import Discovery, IssuerFault, Published
from gateway.issuers.keys import EVERY, FRESH, STALE, PublishedKeys, usable
from tests.core.publishing.test_identity import coded
from tests.core.world import Clock
from tests.support import issuer as issuers
from tests.support.issuer import public, signed

ISSUER = "https://issuer.example.org"
ALL = ("RS256", "ES256", "EdDSA", "HS256", "none")
RSA = issuers.rsa("rsa")
EC = issuers.ec("ec")
ED = issuers.ed("ed")


class Told(Discovery):
    """An issuer that answers what a test says."""

    def __init__(self, *keys: dict[str, Any], algorithms: tuple[str, ...] = ALL) -> None:
        super().__init__()
        self.said = Published(algorithms, keys)
        self.fault = ""
        self.asked = 0

    async def ask(self, issuer: str) -> Published:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fault:
            raise IssuerFault(self.fault)
        return self.said


def token(key: Key, algorithm: str, **header: object) -> identity.IdentityToken:
    return identity.read(signed(key, {"iss": ISSUER}, algorithm, **header))


async def refused(keys: PublishedKeys, wanted: identity.IdentityToken) -> str:
    with pytest.raises(Refusal) as caught:
        await keys.verify(wanted)
    assert caught.value.slug is Slug.OIDC_TOKEN
    return caught.value.detail["why"]


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")], ids=["rsa", "ec", "ed"]
)
async def test_signatures(key: Key, algorithm: str) -> None:
    keys = PublishedKeys(Told(public(RSA), public(EC), public(ED)), Clock())
    good = token(key, algorithm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await keys.verify(good)
    head, body, signature = good.text.split(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    bent = f"{head}.{body}.{signature[:middle]}{other}{signature[middle + 1 :]}"
    assert await refused(keys, identity.read(bent)) == "its signature is wrong"
    said = signed(key, {"iss": ISSUER, "sub": "x"}, algorithm).split(".")[1]
    assert "wrong" in await refused(keys, identity.read(f"{head}.{said}.{signature}"))
    empty = identity.read(f"{head}.{body}.AA")
    assert await refused(keys, empty) == "its signature is wrong"


async def test_certificates_in_a_header_are_passed_over() -> None:
    keys = PublishedKeys(Told(public(RSA)), Clock())
    await keys.verify(token(RSA, "RS256", x5t="abc", x5c=["MII" * 1000], more={"a": 1}))


async def test_keys_in_a_header_are_nothing() -> None:
    """Signed rightly, by a key that it brings along under the id of the issuer's."""
    told = Told(public(RSA))
    keys = PublishedKeys(told, Clock())
    own = issuers.rsa("rsa")
    for more in (
        {"jwk": public(own)},
        {"jku": "https://evil.example.org/keys"},
        {"x5u": "https://evil.example.org/keys"},
    ):
        assert await refused(keys, token(own, "RS256", **more)) == "its signature is wrong"
    assert told.asked == 1


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
async def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Signed by HMAC under what everybody can read."""
    head, body = coded({"alg": algorithm, "kid": "rsa"}), coded({"iss": ISSUER})
    made = hmac.digest(RSA.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    text = f"{head}.{body}.{urlsafe_b64encode(made).decode().rstrip('=')}"
    keys = PublishedKeys(Told(public(RSA)), Clock())
    with pytest.raises(Refusal) as caught:
        await keys.verify(identity.read(text))
    assert caught.value.slug is Slug.OIDC_TOKEN


CONFUSED: dict[str, tuple[Callable[[], list[dict[str, Any]]], Key, str, str]] = {
    "another id": (lambda: [public(RSA, kid="b")], RSA, "RS256", "no key of the id"),
    "an id that begins so": (lambda: [public(RSA, kid="rsa2")], RSA, "RS256", "no key of the id"),
    "no id": (lambda: [{**public(RSA), "kid": None}], RSA, "RS256", "no key of the id"),
    "no keys": (list, RSA, "RS256", "no key of the id"),
    "an id twice": (lambda: [public(RSA)] * 2, RSA, "RS256", "not the only one"),
    "another kind": (lambda: [public(EC, kid="rsa")], RSA, "RS256", "of another kind"),
    "another curve": (
        lambda: [public(ECKey.generate_key("P-384", {"kid": "ec"}))],
        EC,
        "ES256",
        "of another kind",
    ),
    "a curve for exchange": (
        lambda: [public(OKPKey.generate_key("X25519", {"kid": "ed"}))],
        ED,
        "EdDSA",
        "of another kind",
    ),
    "for encryption": (lambda: [public(RSA, use="enc")], RSA, "RS256", "of another kind"),
    "for signing only": (lambda: [public(RSA, key_ops=["sign"])], RSA, "RS256", "of another kind"),
    "for PS256": (lambda: [public(RSA, alg="PS256")], RSA, "RS256", "of another kind"),
    "a secret": (lambda: [{"kty": "oct", "k": "a" * 43, "kid": "rsa"}], RSA, "RS256", "kind"),
    "short": (lambda: [public(issuers.rsa("rsa", 1024))], RSA, "RS256", "signature is wrong"),
    "garbage": (lambda: [{"kty": "RSA", "kid": "rsa", "n": "?", "e": 3}], RSA, "RS256", "wrong"),
    "off the curve": (lambda: [public(EC, x="AAAA")], EC, "ES256", "signature is wrong"),
}


@pytest.mark.parametrize(
    ("published", "key", "algorithm", "why"), CONFUSED.values(), ids=list(CONFUSED)
)
async def test_keys_that_do_not_fit(
    published: Callable[[], list[dict[str, Any]]], key: Key, algorithm: str, why: str
) -> None:
    keys = PublishedKeys(Told(*published()), Clock())
    assert why in await refused(keys, token(key, algorithm))


async def test_only_as_the_issuer_says_that_it_signs() -> None:
    keys = PublishedKeys(Told(public(RSA), public(EC), algorithms=("RS256", "none")), Clock())
    await keys.verify(token(RSA, "RS256"))
    assert await refused(keys, token(EC, "ES256")) == "its issuer does not sign with ES256"


# -- when it is asked ---------------------------------------------------------------------------


async def test_it_is_asked_once_by_many() -> None:
    told, clock = Told(public(RSA)), Clock()
    keys = PublishedKeys(told, clock)
    await asyncio.gather(*(keys.verify(token(RSA, "RS256")) for _ in range(20)))
    assert told.asked == 1
    clock.turn(FRESH - 1)
    await keys.verify(token(RSA, "RS256"))
    assert told.asked == 1
    clock.turn(1)
    await keys.verify(token(RSA, "RS256"))
    assert told.asked == 2


async def test_a_new_key_is_found_within_a_minute_and_strangers_ask_nothing_more() -> None:
    told, clock = Told(public(RSA)), Clock()
    keys = PublishedKeys(told, clock)
    await keys.verify(token(RSA, "RS256"))
    fresh = issuers.ec("fresh")
    told.said = Published(ALL, (public(fresh),))
    for number in range(20):
        await refused(keys, token(issuers.ec(f"made up {number}"), "ES256"))
    assert told.asked == 1
    clock.turn(EVERY)
    await keys.verify(token(fresh, "ES256"))
    assert told.asked == 2
    assert "no key of the id" in await refused(keys, token(RSA, "RS256"))
    assert told.asked == 2


async def test_an_issuer_that_does_not_answer() -> None:
    told, clock = Told(public(RSA)), Clock()
    told.fault = "it cannot be reached"
    keys = PublishedKeys(told, clock)
    for _ in range(3):
        assert "cannot be read now (it cannot be reached)" in await refused(
            keys, token(RSA, "RS256")
        )
    assert told.asked == 1
    told.fault = ""
    clock.turn(EVERY)
    await keys.verify(token(RSA, "RS256"))
    told.fault = "it answers 500"
    clock.turn(STALE - 1)
    await keys.verify(token(RSA, "RS256"))  # what it said lately goes on for a while
    clock.turn(1)
    assert "it answers 500" in await refused(keys, token(RSA, "RS256"))


async def test_a_clock_that_was_put_back() -> None:
    told, clock = Told(public(RSA)), Clock()
    keys = PublishedKeys(told, clock)
    await keys.verify(token(RSA, "RS256"))
    clock.turn(-1e6)
    await keys.verify(token(RSA, "RS256"))
    assert told.asked == 2


def test_usable_keys_are_counted() -> None:
    short = public(issuers.rsa("short", 1024))
    said = Published(("RS256", "ES256"), (public(RSA), public(EC), public(ED), short))
    assert usable(said) == 2

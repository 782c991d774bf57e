"""Identity tokens that are none, or that could be read in two ways: each has its sentence."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Refusal, Slug
from gateway.core.publishing import identity
from tests.core.publishing.conftest import AUDIENCE
from tests.core.world import START

ISSUER = "https://issuer.example.org"
HEADER: dict[str, Any] = {"alg": "RS256", "kid": "k", "typ": "JWT"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": int(START),
    "exp": int(START) + 300,
    "jti": "one",
}


def coded(data: object) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def token(header: object = HEADER, claims: object = CLAIMS, signature: str = "c2ln") -> str:
    return f"{coded(header)}.{coded(claims)}.{signature}"


def refused(text: object) -> tuple[Slug, str]:
    with pytest.raises(Refusal) as caught:
        identity.check(identity.read(text), AUDIENCE, START)
    return caught.value.slug, caught.value.detail["why"]


def test_a_plain_one_is_read() -> None:
    found = identity.read(token())
    identity.check(found, AUDIENCE, START)
    assert (found.issuer, found.algorithm, found.key) == (ISSUER, "RS256", "k")
    assert found.once == "jti one"
    assert found.expires == START + 300


GOOD = token()
NONE_AT_ALL: dict[str, object] = {
    "nothing": None,
    "a number": 7,
    "a list": [GOOD],
    "empty": "",
    "two parts": "a.b",
    "four parts": f"{GOOD}.x",
    "five parts, encrypted": "a.b.c.d.e",
    "no signature": GOOD.rpartition(".")[0] + ".",
    "blanks": f" {GOOD}",
    "a line end": f"{GOOD}\n",
    "padding": GOOD.replace(".", "=.", 1),
    "other letters": GOOD.replace("e", "é", 1),
    "too long": token(claims=CLAIMS | {"x": "y" * identity.LONGEST}),
    "no JSON": token(claims="nothing"),
    "a list of claims": token(claims=[CLAIMS]),
    "a text": token(claims='"x"'),
    "a name twice": token(claims=json.dumps(CLAIMS)[:-1] + ', "iss": "https://other"}'),
    "a header's name twice": token(json.dumps(HEADER)[:-1] + ', "alg": "none"}'),
    "NaN": token(claims=json.dumps(CLAIMS)[:-1] + ', "x": NaN}'),
    "infinite": token(claims=json.dumps(CLAIMS)[:-1] + ', "x": -Infinity}'),
    "five thousand digits": token(claims=json.dumps(CLAIMS)[:-1] + f', "x": {"9" * 5000}' + "}"),
    "deep": token(claims="[" * 5000),
    "no issuer": token(claims={**CLAIMS, "iss": None}),
    "an issuer that is a list": token(claims={**CLAIMS, "iss": [ISSUER]}),
    "bits that no byte needs": GOOD.partition(".")[0] + ".e30x.c2ln",
}


@pytest.mark.parametrize("text", NONE_AT_ALL.values(), ids=list(NONE_AT_ALL))
def test_what_is_no_token(text: object) -> None:
    assert refused(text) == (Slug.OIDC_PAYLOAD, "malformed JWT")


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "alg none": ({"alg": "none"}, "not signed by one of"),
    "alg None": ({"alg": "nOnE"}, "not signed by one of"),
    "alg HS256": ({"alg": "HS256"}, "not signed by one of"),
    "alg RS1": ({"alg": "RS1"}, "not signed by one of"),
    "alg a list": ({"alg": ["RS256"]}, "not signed by one of"),
    "no alg": ({"alg": None}, "not signed by one of"),
    "crit": ({"crit": ["exp"]}, "asks for an extension"),
    "crit, empty": ({"crit": []}, "asks for an extension"),
    "b64": ({"b64": False}, "asks for an extension"),
    "nested": ({"cty": "JWT"}, "holds another token"),
    "access token": ({"typ": "at+jwt"}, "holds another token"),
    "typ a list": ({"typ": ["JWT"]}, "holds another token"),
    "no kid": ({"kid": None}, "names no key"),
    "kid a number": ({"kid": 1}, "names no key"),
    "kid empty": ({"kid": ""}, "names no key"),
    "kid long": ({"kid": "k" * 256}, "names no key"),
}


@pytest.mark.parametrize(("changes", "why"), HEADERS.values(), ids=list(HEADERS))
def test_headers(changes: dict[str, Any], why: str) -> None:
    slug, said = refused(token(HEADER | changes))
    assert slug is Slug.OIDC_TOKEN
    assert why in said


def test_keys_in_a_header_are_nothing() -> None:
    own = {"jku": "https://evil", "x5u": "https://evil", "jwk": {"kty": "oct"}, "x5c": ["MII"]}
    assert identity.read(token(HEADER | own)).key == "k"


NOW = int(START)
TIMES: dict[str, tuple[dict[str, Any], str]] = {
    "over": ({"exp": NOW - 30, "iat": NOW - 300}, "its time is over"),
    "no exp": ({"exp": None}, "its exp is missing"),
    "no iat": ({"iat": None}, "its iat is missing"),
    "exp a float": ({"exp": NOW + 300.5}, "its exp is missing, or no whole number"),
    "exp a whole float": ({"exp": NOW + 300.0}, "its exp is missing, or no whole number"),
    "exp a text": ({"exp": str(NOW + 300)}, "its exp is missing, or no whole number"),
    "exp true": ({"exp": True}, "its exp is missing, or no whole number"),
    "exp huge": ({"exp": 10**30}, "its exp is missing, or no whole number"),
    "exp too large for a float": ({"exp": 10**400}, "its exp is missing, or no whole number"),
    "exp negative": ({"exp": -1}, "its exp is missing, or no whole number"),
    "exp in years": ({"exp": NOW + 400 * 86400}, "lives for years"),
    "exp before iat": ({"iat": NOW + 20, "exp": NOW + 10}, "ends before it begins"),
    "iat in the future": ({"iat": NOW + 31}, "made in the future"),
    "iat a float": ({"iat": 1e300}, "its iat is missing, or no whole number"),
    "nbf in the future": ({"nbf": NOW + 31}, "not valid yet"),
    "nbf a text": ({"nbf": "now"}, "its nbf is missing, or no whole number"),
    "jti a number": ({"jti": 7}, "its jti"),
    "jti empty": ({"jti": ""}, "its jti"),
    "jti null": ({"jti": None}, "its jti"),
    "jti long": ({"jti": "j" * 256}, "its jti"),
    "another audience": ({"aud": "pypi"}, "another audience"),
    "no audience": ({"aud": None}, "another audience"),
    "an audience of other letters": ({"aud": AUDIENCE.upper()}, "another audience"),
    "an audience with a slash": ({"aud": AUDIENCE + "/"}, "another audience"),
    "two audiences": ({"aud": [AUDIENCE, "pypi"]}, "more than one audience"),
    "ours twice": ({"aud": [AUDIENCE, AUDIENCE]}, "more than one audience"),
    "a list of none": ({"aud": []}, "more than one audience"),
    "a list of a number": ({"aud": [7]}, "another audience"),
    "a mapping": ({"aud": {AUDIENCE: True}}, "another audience"),
}


@pytest.mark.parametrize(("changes", "why"), TIMES.values(), ids=list(TIMES))
def test_times_and_audiences(changes: dict[str, Any], why: str) -> None:
    slug, said = refused(token(claims=CLAIMS | changes))
    assert slug is Slug.OIDC_TOKEN
    assert why in said


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 29, "iat": NOW - 300},
        {"iat": NOW + 30},
        {"nbf": NOW + 30},
        {"aud": [AUDIENCE]},
        {"typ": "jwt"},
    ],
    ids=str,
)
def test_leeway(changes: dict[str, Any]) -> None:
    identity.check(identity.read(token(claims=CLAIMS | changes)), AUDIENCE, START)


def test_without_a_jti_the_token_itself_is_used_up() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "jti"}
    one, same, other = (
        identity.read(token(claims=claims)),
        identity.read(token(claims=claims, signature="b3RoZXI")),
        identity.read(token(claims=claims | {"iat": NOW - 1})),
    )
    assert one.once == same.once != other.once


@given(st.text(max_size=200))
def test_nothing_breaks_it(text: str) -> None:
    with pytest.raises(Refusal):
        identity.read(text)


@given(st.dictionaries(st.sampled_from([*HEADER, "crit"]), st.none() | st.integers() | st.text()))
def test_no_header_breaks_it(header: dict[str, Any]) -> None:
    with contextlib.suppress(Refusal):
        assert identity.read(token(header)).algorithm in identity.ALGORITHMS

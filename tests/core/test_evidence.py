"""The judge of second factors: named cases, and what holds for every request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Refusal
from gateway.core.evidence import (
    CLOCK_SKEW,
    Code,
    Evidence,
    Shown,
    Site,
    find_code,
    judge,
    site_of,
)
from gateway.core.http.facts import Facts
from gateway.core.login.models import Session, Verified
from gateway.core.typed import split_code
from gateway.core.upstream import Carrier, Credential

NOW = 1_000_000.0
HOUR = 3600.0
HOME = "https://packages.example.org"


def verified(user: str, age: float = 60.0) -> Verified:
    return Verified(user, NOW - age if age else 0.0, "totp")


def session(user: str, age: float = 60.0) -> Session:
    return Session("s", user, user, NOW - age if age else 0.0, "totp", NOW, NOW)


def header(user: str, earned: Verified | None, secret: str = "token") -> Shown:
    return Shown(Carrier("authorization", Credential(user, secret)), earned)


def other(user: str, earned: Verified | None, secret: str = "token") -> Shown:
    return Shown(Carrier("x-devpi-auth", Credential(user, secret)), earned)


def cookie(user: str, earned: Verified | None, secret: str = "token") -> Shown:
    return Shown(Carrier("cookie:auth_tkt", Credential(user, secret)), earned)


UNREADABLE = Shown(Carrier("authorization", None), None)


def evidence(
    *shown: Shown,
    session: Session | None = None,
    site: Site = Site.UNKNOWN,
    safe: bool = False,
    by_session: bool = True,
) -> Evidence:
    return Evidence(shown, session, site, safe, by_session)


def shut(*shown: Shown, session: Session | None = None, site: Site = Site.OWN) -> Evidence:
    """A change by a rule that takes no session."""
    return evidence(*shown, session=session, site=site, by_session=False)


ALICE, BOB = verified("alice"), verified("bob")
OLD = verified("alice", 2 * HOUR)
NEVER = verified("alice", 0)
EARLIER = verified("alice", -2 * CLOCK_SKEW)

BY_A_DEVICE = Verified("alice", NOW - 1, "device")

CASES = {
    "earned by a remembered device": (
        evidence(header("alice", BY_A_DEVICE)),
        "second_factor_stale",
    ),
    "a session by a remembered device": (
        evidence(session=replace(session("alice", 1), factor="device"), safe=True),
        "second_factor_stale",
    ),
    "nothing at all": (evidence(), "second_factor_required"),
    "a raw password": (evidence(header("alice", None)), "second_factor_required"),
    "an unreadable carrier": (evidence(UNREADABLE), "second_factor_required"),
    "a verified header": (evidence(header("alice", ALICE)), ""),
    "a verified header and a raw password": (
        evidence(header("alice", ALICE), other("alice", None)),
        "second_factor_required",
    ),
    "a session and a raw password": (
        evidence(header("alice", None), session=session("alice"), site=Site.OWN),
        "second_factor_required",
    ),
    "two verified headers of one person": (
        evidence(header("alice", ALICE), other("alice", OLD)),
        "",
    ),
    "two people": (evidence(header("alice", ALICE), other("bob", BOB)), "mixed_credentials"),
    "a session of another person": (
        evidence(header("alice", ALICE), session=session("bob"), site=Site.OWN),
        "mixed_credentials",
    ),
    "netrc beside devpi's login": (
        evidence(other("alice", ALICE), header("alice", None, "password")),
        "mixed_credentials",
    ),
    "netrc beside a cookie": (
        evidence(cookie("alice", ALICE), header("alice", None), site=Site.OWN),
        "mixed_credentials",
    ),
    "a change by a session": (shut(session=session("alice")), "session_not_enough"),
    "a change by a cookie": (shut(cookie("alice", ALICE)), "session_not_enough"),
    "a change by both": (
        shut(cookie("alice", ALICE), session=session("alice")),
        "session_not_enough",
    ),
    "a change by a token": (shut(header("alice", ALICE), site=Site.UNKNOWN), ""),
    "a change by a token, beside a session": (
        shut(header("alice", ALICE), session=session("alice")),
        "",
    ),
    "a change by an old token, beside a young session": (
        shut(header("alice", OLD), session=session("alice")),
        "second_factor_stale",
    ),
    "too old": (evidence(header("alice", OLD)), "second_factor_stale"),
    "just young enough": (evidence(header("alice", verified("alice", HOUR))), ""),
    "never proven": (evidence(header("alice", NEVER)), "second_factor_required"),
    "proven in the future": (evidence(header("alice", EARLIER)), "second_factor_stale"),
    "proven by a clock a little ahead": (
        evidence(header("alice", verified("alice", -CLOCK_SKEW / 2))),
        "",
    ),
    "an old header renewed by its session": (
        evidence(header("alice", OLD), session=session("alice"), site=Site.OWN),
        "",
    ),
    "the same from elsewhere": (
        evidence(header("alice", OLD), session=session("alice"), site=Site.UNKNOWN),
        "cross_site",
    ),
    "a session from our own page": (evidence(session=session("alice"), site=Site.OWN), ""),
    "a session that only reads": (evidence(session=session("alice"), safe=True), ""),
    "a session from a foreign page": (
        evidence(session=session("alice"), site=Site.FOREIGN),
        "cross_site",
    ),
    "a session, and nobody says from where": (
        evidence(session=session("alice")),
        "cross_site",
    ),
    "an upstream cookie from our own page": (evidence(cookie("alice", ALICE), site=Site.OWN), ""),
    "an upstream cookie from elsewhere": (evidence(cookie("alice", ALICE)), "cross_site"),
    "a header that a foreign page made a browser send": (
        evidence(header("alice", ALICE), site=Site.FOREIGN),
        "cross_site",
    ),
    "a header beside the cookie of the same person": (
        evidence(header("alice", ALICE), cookie("alice", ALICE)),
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_judge(name: str) -> None:
    case, slug = CASES[name]
    verdict = judge(case, max_age=HOUR, now=NOW)
    assert (verdict.slug or "") == slug
    if not slug:
        assert verdict.user_id == "alice"
        assert verdict.proof is not None


def test_the_newest_proof_is_named() -> None:
    case = evidence(header("alice", OLD), other("alice", replace(ALICE, factor="webauthn")))
    assert judge(case, max_age=None, now=NOW).factor == "webauthn"


# -- what holds for every request -----------------------------------------------------------

USERS = st.sampled_from(["alice", "bob"])
AGES = st.sampled_from([-3600.0, -30.0, 0.0, 1.0, 600.0, HOUR, HOUR + 1, 1e6])
PROOFS = st.one_of(st.none(), st.builds(verified, USERS, AGES))
PLACES = st.sampled_from(["authorization", "x-devpi-auth", "cookie:auth_tkt"])
SECRETS = st.sampled_from(["token", "password,123456", "x,abcd-efgh-ijkl-mnop", ",123456"])
CREDENTIALS = st.one_of(st.none(), st.builds(Credential, USERS, SECRETS))
SHOWN = st.builds(
    lambda place, credential, proof: Shown(
        Carrier(place, credential), proof if credential else None
    ),
    PLACES,
    CREDENTIALS,
    PROOFS,
)
EVIDENCE = st.builds(
    Evidence,
    st.lists(SHOWN, max_size=3, unique_by=lambda one: one.carrier.place).map(tuple),
    st.one_of(st.none(), st.builds(session, USERS, AGES)),
    st.sampled_from(Site),
    st.booleans(),
    st.booleans(),
)


@given(EVIDENCE, st.one_of(st.none(), st.just(HOUR)))
def test_what_passes_has_earned_it(case: Evidence, max_age: float | None) -> None:
    verdict = judge(case, max_age=max_age, now=NOW)
    if not verdict.passes:
        return
    assert all(shown.verified is not None for shown in case.carriers)
    assert case.carriers or case.session is not None
    people = {shown.verified.user_id for shown in case.carriers if shown.verified}
    people |= {case.session.user_id} if case.session else set()
    assert people == {verdict.user_id}
    assert verdict.proof is not None
    age = NOW - verdict.proof.proved_at
    assert verdict.proof.proved_at > 0
    assert age >= -CLOCK_SKEW
    assert max_age is None or age <= max_age
    if not case.safe:
        assert case.site is not Site.FOREIGN
        if not case.by_session:
            assert any(not s.ambient and s.verified is verdict.proof for s in case.carriers)
        if case.site is Site.UNKNOWN:  # then a header itself is the proof
            assert any(not s.ambient and s.verified is verdict.proof for s in case.carriers)


@given(EVIDENCE)
def test_one_more_credential_never_opens_a_closed_door(case: Evidence) -> None:
    """Adding a carrier that is not verified refuses whatever was there before."""
    more = (*case.carriers, Shown(Carrier("x-new", None), None))
    assert not judge(replace(case, carriers=more), max_age=None, now=NOW).passes


@given(EVIDENCE, st.sampled_from(["", "123456", "anything"]))
def test_a_code_never_speaks_for_somebody_else(case: Evidence, otp: str) -> None:
    try:
        code = find_code(request(otp), case)
    except Refusal as refusal:
        assert refusal.slug in (
            "second_factor_required",
            "mixed_credentials",
            "cross_site",
            "session_not_enough",
        )
        return
    if code is None:
        return
    assert case.carriers, "a session alone takes no code: it has a page for that"
    for shown in case.carriers:
        if shown.verified is None:
            assert shown.carrier is code.carrier
        else:
            assert shown.verified.user_id == code.user
    assert case.session is None or case.session.user_id == code.user
    assert case.safe or case.site is not Site.FOREIGN


# -- codes ----------------------------------------------------------------------------------


def request(otp: str = "", *fields: tuple[str, str]) -> Facts:
    own = (("x-otp", otp),) if otp else ()
    return Facts("POST", "/", "/", "", (*own, *fields), None)


SPLITS: dict[str, tuple[str, str] | None] = {
    "password,123456": ("password", "123456"),
    "pass,word,123456": ("pass,word", "123456"),
    "p,1234-abcd-EFGH-5678": ("p", "1234-abcd-EFGH-5678"),
    "line\nfeed,123456": ("line\nfeed", "123456"),
    ",123456": None,
    "password": None,
    "password,12345": None,
    "password,1234567": None,
    "password, 123456": ("password", " 123456"),
    "password,123456 ": ("password", "123456 "),
    "password,123456\n": ("password", "123456\n"),
    "password,123 456": ("password", "123 456"),
    "password,123-456": ("password", "123-456"),
    "password,１２３４５６": ("password", "１２３４５６"),
    "password，１２３－４５６": ("password", "１２３－４５６"),
    "password,abcdefghijklmnop": ("password", "abcdefghijklmnop"),
    "password,ABCD EFGH IJKL MNOP": ("password", "ABCD EFGH IJKL MNOP"),
    "password,١٢٣٤٥٦": None,
    "password,²²²²²": None,
    f"password,{'-' * 60}123456": None,
    "": None,
}


@pytest.mark.parametrize("secret", SPLITS, ids=repr)
def test_a_code_behind_a_password(secret: str) -> None:
    assert split_code(secret) == SPLITS[secret]


def test_a_header_leaves_the_password_whole() -> None:
    shown = header("alice", None, "ends in,123456")
    code = find_code(request("654321"), evidence(shown))
    assert code == Code("654321", "alice", shown.carrier, shown.carrier.credential)


def test_a_code_is_cut_off_the_password() -> None:
    shown = header("alice", None, "password,123456")
    code = find_code(request(), evidence(shown))
    assert code == Code("123456", "alice", shown.carrier, Credential("alice", "password"), cut=True)


def test_a_verified_token_is_never_split() -> None:
    shown = header("alice", OLD, "token,123456")
    assert find_code(request(), evidence(shown)) is None


def test_a_header_renews_a_verified_token() -> None:
    code = find_code(request("123456"), evidence(header("alice", OLD)))
    assert code == Code("123456", "alice")


REFUSED_CODES = {
    "two passwords": (
        evidence(header("alice", None), other("alice", None)),
        "second_factor_required",
    ),
    "an unreadable carrier beside": (
        evidence(UNREADABLE, other("alice", None, "p,123456")),
        "second_factor_required",
    ),
    "somebody else's token beside": (
        evidence(header("alice", None, "p,123456"), other("bob", BOB)),
        "mixed_credentials",
    ),
    "somebody else's session": (
        evidence(header("alice", None, "p,123456"), session=session("bob")),
        "mixed_credentials",
    ),
    "from a foreign page": (
        evidence(header("alice", None, "p,123456"), site=Site.FOREIGN),
        "cross_site",
    ),
    "in a cookie from nowhere": (
        evidence(cookie("alice", None, "p,123456")),
        "cross_site",
    ),
}


@pytest.mark.parametrize("otp", ["", "123456"])
@pytest.mark.parametrize("name", REFUSED_CODES)
def test_codes_that_are_refused(name: str, otp: str) -> None:
    case, slug = REFUSED_CODES[name]
    if name == "two passwords" and not otp:
        assert find_code(request(), case) is None
        return
    if name == "an unreadable carrier beside" and otp:
        assert find_code(request(otp), case) is None  # judged without the code, and refused
        return
    with pytest.raises(Refusal) as refused:
        find_code(request(otp), case)
    assert refused.value.slug == slug


SITES = {
    "a program": ((), Site.UNKNOWN),
    "our own page": (
        (("origin", HOME), ("sec-fetch-site", "same-origin")),
        Site.OWN,
    ),
    "our own page in an old browser": ((("origin", HOME),), Site.OWN),
    "another site": ((("origin", "https://evil.example"),), Site.FOREIGN),
    "a sandboxed document": (
        (("origin", "null"), ("sec-fetch-site", "cross-site")),
        Site.FOREIGN,
    ),
    "a neighbour": ((("sec-fetch-site", "same-site"),), Site.FOREIGN),
    "another port": ((("origin", f"{HOME}:8443"),), Site.FOREIGN),
    "no encryption": ((("origin", HOME.replace("https", "http")),), Site.FOREIGN),
    "two tales": ((("origin", HOME), ("sec-fetch-site", "cross-site")), Site.FOREIGN),
    "another case": ((("origin", HOME.upper()),), Site.FOREIGN),
}


@pytest.mark.parametrize("name", SITES)
def test_who_started_a_change(name: str) -> None:
    fields, site = SITES[name]
    assert site_of(request("", *fields), HOME) is site

"""Which job gets a token from which publisher, and every way in which one gets none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice
from gateway.core.publishing import publishers
from gateway.core.publishing.accounts import PublisherAccounts
from gateway.core.publishing.claims import Exactly, same_letters
from gateway.core.publishing.exchange import TokenExchange
from gateway.core.publishing.publishers import Publisher
from gateway.core.tokens.models import NewToken
from gateway.core.upstream import Credential
from tests.core.publishing.conftest import AUDIENCE, Counter
from tests.core.publishing.test_identity import coded
from tests.core.tokens.conftest import ORIGIN
from tests.core.world import START
from tests.support import issuer as issuers


def of(kind: str, issuer: str, conditions: Any, **more: Any) -> Publisher:
    whose, others, pinned = conditions
    return Publisher(kind, kind, issuer, whose, others, pinned, ("foo", "acme-*"), **more)


GITHUB = of(
    "github",
    publishers.GITHUB,
    publishers.github("acme/foo", 4711, "release.yml", ""),
)
RELEASED = of(
    "github",
    publishers.GITHUB,
    publishers.github("acme/foo", 4711, "release.yml", "Release"),
)
LAB = "https://gitlab.example.org"
GITLAB = of("gitlab", LAB, publishers.gitlab(LAB, "acme/group/foo", 17, ".gitlab-ci.yml", ""))
GOOGLE = of("google", publishers.GOOGLE, publishers.google("ci@acme.example", "42"))
ACTIVESTATE = of(
    "activestate", publishers.ACTIVESTATE, publishers.activestate("acme", "foo", "a-1")
)
OWN = of("oidc", "https://ci.example.org/", ((Exactly("sub", "job:release"),), (), ""))
ALL = (RELEASED, GITHUB, GITLAB, GOOGLE, ACTIVESTATE, OWN)

SAID: dict[str, dict[str, object]] = {
    "github": {"iss": publishers.GITHUB, **issuers.github(START, AUDIENCE)},
    "gitlab": {"iss": LAB, **issuers.gitlab(START, AUDIENCE, "gitlab.example.org")},
    "google": {
        "iss": publishers.GOOGLE,
        "aud": AUDIENCE,
        "iat": int(START),
        "exp": int(START) + 3600,
        "email": "ci@acme.example",
        "email_verified": True,
        "sub": "42",
    },
    "activestate": {
        "iss": publishers.ACTIVESTATE,
        **issuers.times(START),
        "aud": AUDIENCE,
        "sub": "org:acme:project:foo",
        "organization": "acme",
        "project": "foo",
        "actor_id": "a-1",
        "builder": "pypi-publisher",
    },
    "oidc": {
        "iss": "https://ci.example.org/",
        **issuers.times(START),
        "aud": AUDIENCE,
        "sub": "job:release",
    },
}


def text(claims: dict[str, object], **changes: object) -> str:
    whole = {name: value for name, value in (claims | changes).items() if value is not None}
    header = {"alg": "RS256", "kid": "k"}
    return f"{coded(header)}.{coded(whole)}.c2ln"


async def exchanged(exchange: TokenExchange, kind: str, **changes: object) -> NewToken:
    return await exchange.mint(exchange.read(text(SAID[kind], **changes)), ORIGIN)


@pytest.mark.parametrize("kind", list(SAID))
async def test_each_kind_gets_a_token_of_fifteen_minutes(counter: Counter, kind: str) -> None:
    made = await exchanged(counter.exchange(*ALL), kind)
    token = made.token
    assert made.text.startswith("pypi-AgE")
    assert (token.expires - token.created, token.user, token.owner) == (900, "uploads", "uploads")
    assert token.scope.texts() == {
        "actions": ["upload"],
        "indexes": [],
        "projects": ["foo", "acme-*"],
        "networks": [],
    }
    assert counter.ledger.names() == [Event.TOKEN_MADE]
    assert f"; by {kind}: " in counter.ledger.details[0]
    assert counter.ledger.notices == [(Notice.PUBLISHER_USED, "uploads")]
    await counter.gateway().verify(made.text, ORIGIN)


DIFFER: dict[str, tuple[str, dict[str, object], str]] = {
    "another owner's number": ("github", {"repository_owner_id": "4712"}, "repository_owner_id"),
    "the number as a number": ("github", {"repository_owner_id": 4711}, "repository_owner_id"),
    "no number": ("github", {"repository_owner_id": None}, "repository_owner_id"),
    "another workflow": (
        "github",
        {"job_workflow_ref": "Acme/Foo/.github/workflows/test.yml@refs/tags/v1"},
        "job_workflow_ref",
    ),
    "a reusable workflow of others": (
        "github",
        {"job_workflow_ref": "evil/foo/.github/workflows/release.yml@refs/tags/v1"},
        "job_workflow_ref",
    ),
    "a workflow elsewhere": (
        "github",
        {"job_workflow_ref": "Acme/Foo/.github/workflows/x/../release.yml@refs/tags/v1"},
        "job_workflow_ref",
    ),
    "a workflow that begins so": (
        "github",
        {"job_workflow_ref": "Acme/Foo/.github/workflows/release.yml@evil@refs/tags/v1"},
        "job_workflow_ref",
    ),
    "a workflow of another revision": (
        "github",
        {"job_workflow_ref": "Acme/Foo/.github/workflows/release.yml@refs/heads/x"},
        "job_workflow_ref",
    ),
    "a workflow in capitals": (
        "github",
        {"job_workflow_ref": "Acme/Foo/.github/workflows/RELEASE.yml@refs/tags/v1"},
        "job_workflow_ref",
    ),
    "no revision": (
        "github",
        {
            "job_workflow_ref": "Acme/Foo/.github/workflows/release.yml@",
            "ref": "",
            "sha": "",
        },
        "job_workflow_ref",
    ),
    "pull_request_target": ("github", {"event_name": "pull_request_target"}, "event_name"),
    "workflow_run": ("github", {"event_name": "workflow_run"}, "event_name"),
    "no event": ("github", {"event_name": None}, "event_name"),
    "another project's number": ("gitlab", {"project_id": "18"}, "project_id"),
    "another file": (
        "gitlab",
        {"ci_config_ref_uri": "gitlab.example.org/acme/group/foo//x.yml@refs/tags/v1"},
        "ci_config_ref_uri",
    ),
    "a file of another project": (
        "gitlab",
        {"ci_config_ref_uri": "gitlab.example.org/evil/foo//.gitlab-ci.yml@refs/tags/v1"},
        "ci_config_ref_uri",
    ),
    "a file of another instance": (
        "gitlab",
        {"ci_config_ref_uri": "gitlab.com/acme/group/foo//.gitlab-ci.yml@refs/tags/v1"},
        "ci_config_ref_uri",
    ),
    "another subject": ("gitlab", {"sub": "project_path:evil/foo:ref_type:tag:ref:v1"}, "sub"),
    "an account made anew": ("google", {"sub": "43"}, "sub"),
    "an address that nobody has seen": ("google", {"email_verified": False}, "email_verified"),
    "verified as a text": ("google", {"email_verified": "true"}, "email_verified"),
    "another builder": ("activestate", {"builder": "x"}, "builder"),
    "another actor": ("activestate", {"actor_id": "a-2"}, "actor_id"),
}


@pytest.mark.parametrize(("kind", "changes", "claim"), DIFFER.values(), ids=list(DIFFER))
async def test_a_job_that_is_told_what_differs(
    counter: Counter, kind: str, changes: dict[str, object], claim: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await exchanged(counter.exchange(GITHUB, *ALL[2:]), kind, **changes)
    assert caught.value.slug is Slug.OIDC_PUBLISHER
    assert caught.value.detail["why"] == f"the publisher {kind!r} has other values for {claim}"
    assert counter.ledger.events == [(Event.PUBLISHER_REFUSED, "uploads", "")]
    pinned = claim in ("repository_owner_id", "project_id", "actor_id") or "anew" in str(changes)
    namesake = pinned or (kind == "google" and claim == "sub")
    assert counter.ledger.notices == ([(Notice.PUBLISHER_NAMESAKE, "uploads")] if namesake else [])


STRANGERS: dict[str, tuple[str, dict[str, object]]] = {
    "another repository": ("github", {"repository": "evil/foo", "repository_owner": "evil"}),
    "a Kelvin sign": ("github", {"repository": "acme/foo\u212a"}),
    "a long s": ("github", {"repository": "acme/foo", "repository_owner": "acme\u017f"}),
    "full width": ("github", {"repository": "\uff41cme/foo"}),
    "a blank": ("github", {"repository": "acme/foo "}),
    "a list": ("github", {"repository": ["acme/foo"]}),
    "none": ("github", {"repository": None}),
    "another owner": ("github", {"repository_owner": "evil"}),
    "another project": ("gitlab", {"project_path": "acme/foo"}),
    "another mail address": ("google", {"email": "CI@acme.example"}),
    "another organization": ("activestate", {"organization": "evil"}),
    "another job": ("oidc", {"sub": "job:test"}),
    "a job as a list": ("oidc", {"sub": ["job:release"]}),
}


@pytest.mark.parametrize(("kind", "changes"), STRANGERS.values(), ids=list(STRANGERS))
async def test_a_job_of_somebody_else_learns_nothing(
    counter: Counter, kind: str, changes: dict[str, object]
) -> None:
    with pytest.raises(Refusal) as caught:
        await exchanged(counter.exchange(*ALL), kind, **changes)
    assert caught.value.slug is Slug.OIDC_PUBLISHER
    assert caught.value.detail["why"].startswith("no publisher is configured")
    assert counter.ledger.events == [(Event.PUBLISHER_REFUSED, "", "")]


ISSUERS = {
    "a slash at the end": publishers.GITHUB + "/",
    "http": publishers.GITHUB.replace("https", "http"),
    "capitals": publishers.GITHUB.upper(),
    "one below": publishers.GITHUB + "/acme",
    "a blank": publishers.GITHUB + " ",
    "another": "https://evil.example.org",
    "empty": "",
}


@pytest.mark.parametrize("issuer", ISSUERS.values(), ids=list(ISSUERS))
async def test_an_unknown_issuer_is_asked_nothing(counter: Counter, issuer: str) -> None:
    with pytest.raises(Refusal) as caught:
        await exchanged(counter.exchange(*ALL), "github", iss=issuer)
    assert caught.value.slug is Slug.OIDC_PAYLOAD
    assert caught.value.detail["why"] == "unknown trusted publishing issuer"
    assert counter.signatures.asked == []


async def test_an_issuer_speaks_for_its_own_jobs_alone(counter: Counter) -> None:
    """What one issuer says in the words of another is nothing."""
    with pytest.raises(Refusal) as caught:
        await exchanged(counter.exchange(*ALL), "github", iss=LAB)
    assert caught.value.slug is Slug.OIDC_PUBLISHER


async def test_whoever_cannot_sign_learns_nothing_of_publishers(counter: Counter) -> None:
    counter.signatures.right = False
    for changes in ({}, {"repository": "evil/foo"}, {"event_name": "workflow_run"}):
        with pytest.raises(Refusal) as caught:
            await exchanged(counter.exchange(*ALL), "github", **changes)
        assert caught.value.detail["why"] == "its signature is wrong"
    assert counter.ledger.events == []


async def test_without_publishers_nothing_is_read(counter: Counter) -> None:
    with pytest.raises(Refusal) as caught:
        await exchanged(counter.exchange(), "github")
    assert caught.value.slug is Slug.OIDC_OFF


async def test_one_of_many_at_once_gets_it(counter: Counter) -> None:
    """Two gateways on one store; each is asked ten times with one identity token."""
    same, gateways = text(SAID["github"]), (counter.exchange(*ALL), counter.exchange(*ALL))
    told = await asyncio.gather(
        *(one.mint(one.read(same), ORIGIN) for one in gateways * 10), return_exceptions=True
    )
    assert sum(isinstance(one, NewToken) for one in told) == 1
    others = [one for one in told if isinstance(one, Refusal)]
    assert {one.slug for one in others} == {Slug.OIDC_REUSED}
    assert len(others) == 19
    assert counter.ledger.notices.count((Notice.PUBLISHER_REPLAYED, "uploads")) == 1


@pytest.mark.parametrize("kind", ["github", "google"])
async def test_it_is_used_up_as_long_as_it_is_taken(counter: Counter, kind: str) -> None:
    """After a restart, a rotation of the keys, and at the very end of its time; without a `jti`,
    too, and with another signature."""
    claims, life = SAID[kind], 300 if kind == "github" else 3600
    one = text(claims)
    first = counter.exchange(*ALL)
    await first.mint(first.read(one), ORIGIN)
    counter.keys = (("k2", bytes(32)), *counter.keys)
    counter.clock.turn(life + 29)
    for again in (one, one.rpartition(".")[0] + ".b3RoZXI"):
        with pytest.raises(Refusal) as caught:
            await counter.exchange(*ALL).mint(first.read(again), ORIGIN)
        assert caught.value.slug is Slug.OIDC_REUSED
    counter.clock.turn(1)
    with pytest.raises(Refusal) as caught:
        first.read(one)
    assert "its time is over" in caught.value.detail["why"]


async def test_the_first_publisher_that_fits(counter: Counter) -> None:
    exchange = counter.exchange(replace(RELEASED, name="released"), GITHUB)
    for environment, name in ((None, "github"), ("other", "github"), ("release", "released")):
        claims = issuers.github(START, AUDIENCE, environment=environment)
        made = await exchange.mint(exchange.read(text({**claims, "iss": GITHUB.issuer})), ORIGIN)
        assert made.token.made_by == f"publisher {name}"


async def test_in_the_name_of_a_person(counter: Counter) -> None:
    exchange = counter.exchange(replace(GITHUB, user="Alice"), service="")
    accounts = PublisherAccounts(counter.store, counter.ring)
    with pytest.raises(Refusal) as caught:
        await exchanged(exchange, "github")
    assert "has no password yet" in caught.value.detail["why"]
    await accounts.keep(Credential("Alice", "secret of Alice"))
    made = await exchanged(exchange, "github")  # it was not used up before
    bearer = await counter.gateway().verify(made.text, ORIGIN)
    assert counter.gateway().credential(bearer) == Credential("Alice", "secret of Alice")
    assert made.token.owner == "alice"


async def test_a_password_is_sealed_and_follows_the_keys(counter: Counter) -> None:
    accounts = PublisherAccounts(counter.store, counter.ring)
    await accounts.keep(Credential("Alice", "hunter2"))
    items = await counter.store.items("publisher-account", "alice")
    assert b"hunter2" not in items[0][1].value
    older = counter.keys
    counter.keys = (("k2", bytes(32)), *older)
    assert await accounts.of("ALICE") == Credential("Alice", "hunter2")
    counter.keys = counter.keys[:1]  # it was sealed anew
    assert await accounts.of("alice") == Credential("Alice", "hunter2")
    counter.keys = older
    assert await accounts.of("alice") is None
    assert await accounts.forget("alice")
    assert not await accounts.forget("alice")


async def test_what_the_trail_keeps_is_short_and_on_one_line(counter: Counter) -> None:
    odd = {"actor": "x" * 5000, "run_id": "9\n9\u202e", "run_attempt": {"a": 1}}
    made = await exchanged(counter.exchange(GITHUB), "github", **odd)
    detail = counter.ledger.details[0]
    assert "run_id 9?9?" in detail
    assert len(detail) < 700
    assert made.token.name == "Acme/Foo 9?9?"
    assert json.dumps(detail)


async def test_a_persons_own_tokens_are_not_counted_with_those_of_jobs(counter: Counter) -> None:
    exchange = counter.exchange(GITHUB)
    for _ in range(101):
        claims = issuers.github(START, AUDIENCE)
        await exchange.mint(exchange.read(text({**claims, "iss": GITHUB.issuer})), ORIGIN)
    await counter.make("mine", user="uploads")
    assert await counter.gateway().password_changed("uploads", ORIGIN) != ()


@pytest.mark.parametrize(("one", "other"), [("\u212a", "k"), ("\u017f", "s"), ("\u0130", "i")])
def test_letters_beyond_ascii_are_no_others(one: str, other: str) -> None:
    assert not same_letters(one, other)
    assert same_letters(other.upper(), other)

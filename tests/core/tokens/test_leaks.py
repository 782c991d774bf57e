"""Reports of leaked tokens: who is believed, what ends, who is told, and what of it is kept."""

from __future__ import annotations

import json

import pymacaroons
import pytest

from gateway.core.audit.events import Event
from gateway.core.crypto.signatures import public_key
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice
from gateway.core.tokens.leaks import MOST, LeakReports, Reporter, place_of, read, source_of
from tests.core.tokens.conftest import ORIGIN, Desk
from tests.support.reports import URL, Scanner, record

OURS, OTHER = Scanner("ours"), Scanner("theirs")


@pytest.fixture
def reports(desk: Desk) -> LeakReports:
    known = [
        Reporter("GitHub", (("gh-1", public_key(Scanner().pem)), ("gh-2", public_key(OTHER.pem)))),
        Reporter("our scanner", (("ours", public_key(OURS.pem)),)),
    ]
    return LeakReports(known, desk.tokens, desk.ledger)


async def take(reports: LeakReports, *records: object) -> None:
    body = json.dumps(records).encode()
    await reports.take("ours", OURS.signature(body), body, ORIGIN)


async def ended(desk: Desk, text: str) -> bool:
    try:
        await desk.tokens.verify(text, ORIGIN)
    except Refusal as refusal:
        return refusal.slug is Slug.TOKEN_REVOKED
    return False


async def test_it_is_revoked_and_its_owner_told(desk: Desk, reports: LeakReports) -> None:
    made, kept = await desk.make(), await desk.make("other")
    await take(reports, record(made.text))
    assert await ended(desk, made.text)
    assert not await ended(desk, kept.text)
    assert desk.ledger.notices[2] == (Notice.TOKEN_LEAKED, "alice")
    assert desk.ledger.events[2] == (Event.TOKEN_LEAKED, "alice", "token ci")
    said = f"{made.token.id}: reported by our scanner, found in commit, at {URL}"
    assert desk.ledger.details[2] == said


async def test_a_narrowed_one_ends_the_one_it_came_from(desk: Desk, reports: LeakReports) -> None:
    made = await desk.make()
    found = pymacaroons.Macaroon.deserialize(made.text.removeprefix("pypi-"))
    found.add_first_party_caveat("[0, 2, 1]")  # over, and with a condition that nobody knows
    found.add_first_party_caveat("[4711]")
    await take(reports, record(f"pypi-{found.serialize()}"))
    assert await ended(desk, made.text)


async def test_only_a_whole_one_ends_anything(desk: Desk, reports: LeakReports) -> None:
    made = await desk.make()
    found = pymacaroons.Macaroon.deserialize(made.text.removeprefix("pypi-"))
    found.signature = bytes(32).hex().encode()
    await take(reports, record(made.text[:-20]), record(f"pypi-{found.serialize()}"))
    assert not await ended(desk, made.text)


async def test_once_only(desk: Desk, reports: LeakReports) -> None:
    made = await desk.make()
    await take(reports, record(made.text), record(made.text, "https://example.org/other"))
    await take(reports, record(made.text))
    await desk.tokens.revoke("alice", (second := await desk.make("b")).token.id, ORIGIN)
    await take(reports, record(second.text))
    assert desk.ledger.names().count(Event.TOKEN_LEAKED) == 1
    assert [notice for notice, _ in desk.ledger.notices].count(Notice.TOKEN_LEAKED) == 1


async def test_what_is_no_record_stops_nothing(desk: Desk, reports: LeakReports) -> None:
    made = await desk.make()
    odd: list[object] = [
        7,
        None,
        [],
        {},
        {"token": 7},
        {"token": ""},
        {"token": "\ud800"},
        "pypi-",
        "x" * 9999,
    ]
    await take(reports, *odd, {"token": made.text, "url": {"a": 1}, "source": ["b"]})
    assert await ended(desk, made.text)
    assert f"{made.token.id}: reported by our scanner" in desk.ledger.details


async def test_an_unsigned_one_does_nothing(desk: Desk, reports: LeakReports) -> None:
    made = await desk.make()
    body = json.dumps([record(made.text)]).encode()
    right = OURS.signature(body)
    for key, signature, sent in (
        ("ours", OTHER.signature(body), body),
        ("gh-2", right, body),
        ("nobody's", right, body),
        ("", right, body),
        ("ours", "", body),
        ("ours", right, body + b" "),
    ):
        with pytest.raises(Refusal) as caught:
            await reports.take(key, signature, sent, ORIGIN)
        assert caught.value.slug is Slug.LEAK_REPORT
        assert caught.value.detail["why"] == "nobody who may report has signed it"
    assert not await ended(desk, made.text)
    assert desk.ledger.names().count(Event.LEAK_REPORT_REFUSED) == 6
    assert not [one for one in desk.ledger.details if key and "nobody's" in one]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"token=pypi-", id="no JSON"),
        pytest.param(b'{"token": "pypi-"}', id="one record"),
        pytest.param(b"\xff[]", id="not in UTF-8"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[" + b"{}," * MOST + b"{}]", id="too many"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="a number that is too long"),
    ],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        list(read(body))
    assert caught.value.slug is Slug.LEAK_REPORT


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param(URL, URL, id="as GitHub has it"),
        pytest.param(f"{URL}?token=s3cret#L7", URL, id="query and fragment"),
        pytest.param(
            "https://bob:pw@git.example.org:8443/x", "https://git.example.org:8443/x", id="name"
        ),
        pytest.param(
            "https://example.org/%70ypi-AgEIcHlwaS5vcmc/y",
            "https://example.org/pypi-.../y",
            id="less tokens",
        ),
        pytest.param("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x", id="IPv6"),
        pytest.param(
            "https://example.org/a b\n<script>",
            "https://example.org/a%20b%3Cscript%3E",
            id="markup",
        ),
        pytest.param("https://a.example/ä\ud800", "https://a.example/%C3%A4%3F", id="letters"),
        pytest.param("javascript:alert(1)", "", id="no address of the web"),
        pytest.param("https://exa\u202emple.org/", "", id="a host that is none"),
        pytest.param("https://example.org:port/", "", id="a port that is none"),
        pytest.param("https://[", "", id="broken"),
        pytest.param("", "", id="nothing"),
        pytest.param(7, "", id="a number"),
        pytest.param("https://example.org/" + "x" * 9999, "", id="far too long"),
    ],
)
def test_what_is_kept_of_an_address(said: object, kept: str) -> None:
    assert place_of(said) == kept


def test_a_long_address_is_cut() -> None:
    found = place_of("https://example.org/" + "x" * 300)
    assert len(found) == 150
    assert found.endswith("…")


@pytest.mark.parametrize("said", ["two words", "", "x" * 41, "<b>", None, 7, "a\n"])
def test_a_source_is_one_word(said: object) -> None:
    assert source_of(said) == ""

"""Small pure things: durations, device names, labels and signed tickets."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.accounts.records import usable_label
from gateway.core.crypto.keyring import KeyRing
from gateway.core.crypto.signing import Tickets
from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.wording import device_name, in_words, time_left
from tests.core.world import FIREFOX, KEYS, Clock


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 second"),
        (0, "1 second"),
        (0.2, "1 second"),
        (1, "1 second"),
        (45, "45 seconds"),
        (60, "1 minute"),
        (61, "2 minutes"),
        (600, "10 minutes"),
        (3600, "1 hour"),
        (3601, "2 hours"),
        (43200, "12 hours"),
        (86400, "1 day"),
        (30 * 86400, "30 days"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 second"),
        (1.9, "1 second"),
        (119.5, "119 seconds"),
        (120, "2 minutes"),
        (179, "2 minutes"),
        (2 * 86400 - 1, "47 hours"),
        (5 * 86400 + 60, "5 days"),
    ],
)
def test_no_more_time_is_promised_than_is_left(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (f"{LINUX} Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"{LINUX} Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge on Linux"),
        (f"{MAC} Version/18.0 Safari/605.1.15", "Safari on macOS"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko Firefox/140.0", "Firefox on Windows"),
        ("devpi-client/7.3.0 (py 3.11; linux)", "devpi-client"),
        ("twine/6.2.0 requests/2.32", "twine"),
        ("curl/8.14.1", "curl"),
        ("", "Unknown device"),
        ("<script>alert(1)</script>", "Unknown device"),
    ],
)
def test_device_names(agent: str, name: str) -> None:
    assert device_name(agent) == name


@given(st.text(max_size=80))
@example("a\u3000b")
@example("\ta")
def test_a_label_is_kept_in_one_form(text: str) -> None:
    try:
        label = usable_label(text, ())
    except Refusal as refused:
        assert refused.slug == "unusable_label"
    else:
        assert usable_label(label, ()) == label
        assert label.isprintable()


def tickets(clock: Clock, kind: str = "session", max_age: float = 100) -> Tickets:
    return Tickets(KeyRing(KEYS, secrets.token_bytes), clock, kind, max_age)


@given(st.lists(st.text(), max_size=4))
def test_a_ticket_reads_back(parts: list[str]) -> None:
    clock = Clock()
    assert tickets(clock).read(tickets(clock).make(*parts)) == tuple(parts)


def test_a_ticket_is_of_one_kind() -> None:
    clock = Clock()
    made = tickets(clock).make("alice")
    assert tickets(clock, "pending").read(made) is None


@pytest.mark.parametrize(
    ("turned", "good"), [(0, True), (100, True), (101, False), (-100, True), (-121, False)]
)
def test_a_ticket_has_its_time(turned: float, good: bool) -> None:
    """Clocks of several gateways may differ a little, but nothing comes from the future."""
    clock = Clock()
    made = tickets(clock).make("alice")
    clock.turn(turned)
    assert bool(tickets(clock).read(made)) is good


@given(st.text())
def test_no_text_is_a_ticket(text: str) -> None:
    assert tickets(Clock()).read(text) is None


@given(st.integers(0, 200), st.integers(1, 127))
def test_a_changed_ticket_is_none(at: int, flip: int) -> None:
    clock = Clock()
    made = tickets(clock).make("alice", "id")
    at %= len(made) - 1  # base64 leaves two bits of the last character unused
    changed = made[:at] + chr(ord(made[at]) ^ flip) + made[at + 1 :]
    assert tickets(clock).read(changed) is None


def test_a_list_over_several_fields_is_read_in_their_order() -> None:
    fields = (("accept", "text/html"), ("a", "1"), ("accept", "application/json;q=0.1"))
    facts = Facts("GET", "/", "/", "", fields, None)
    assert facts.joined("accept") == "text/html, application/json;q=0.1"
    assert facts.joined("b") == ""

"""Forms are small, urlencoded, and read in exactly one way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Refusal
from gateway.web.forms import LIMIT, MAX_FIELDS, URLENCODED, parse_form, read_limited

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def parsed(body: bytes) -> dict[str, str]:
    return dict(parse_form(URLENCODED, body))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"user=alice&password=a%26b", {"user": "alice", "password": "a&b"}),
        (b"code=123+456", {"code": "123 456"}),
        (b"code=", {"code": ""}),
        (b"name=%C3%A9", {"name": "é"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"next=%2F%3Fa%3Db", {"next": "/?a=b"}),
    ],
)
def test_what_browsers_send_is_read(body: bytes, fields: dict[str, str]) -> None:
    assert parsed(body) == fields


@given(st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=8))
def test_every_form_comes_back_as_it_was_written(fields: dict[str, str]) -> None:
    assert parsed(urlencode(fields).encode()) == fields


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"a=1&a=2", id="repeated"),
        pytest.param(b"a=1&%61=2", id="repeated, encoded"),
        pytest.param(b"a", id="no value"),
        pytest.param(b"=a", id="no name"),
        pytest.param(b"a=1&", id="empty field"),
        pytest.param(b"a=1&&b=2", id="empty field within"),
        pytest.param(b"a=%zz", id="bad escape"),
        pytest.param(b"a=%4", id="cut escape"),
        pytest.param(b"a=%ff", id="bad UTF-8"),
        pytest.param(b"a=%c0%af", id="overlong"),
        pytest.param(b"a=%ed%a0%80", id="surrogate"),
        pytest.param(b"a=%00", id="NUL"),
        pytest.param(b"a=b%0d%0ac", id="line break"),
        pytest.param(b"a=%7f", id="DEL"),
        pytest.param(b"a=\xc3\xa9", id="raw UTF-8"),
        pytest.param(b"a=b c", id="raw blank"),
        pytest.param(b"a=b\n", id="trailing newline"),
        pytest.param("&".join(f"f{n}=" for n in range(MAX_FIELDS + 1)).encode(), id="too many"),
    ],
)
def test_what_could_be_read_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parsed(body)
    assert caught.value.slug == "bad_form"


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (URLENCODED, True),
        (URLENCODED + "; charset=UTF-8", True),
        (URLENCODED.upper(), True),
        ("", False),
        ("application/json", False),
        ("text/plain", False),
        ("multipart/form-data; boundary=x", False),
        (URLENCODED + "; charset=utf-7", False),
        (URLENCODED + "; charset=utf-8; charset=utf-7", False),
        (URLENCODED + ", text/plain", False),
        (URLENCODED + "x", False),
    ],
)
def test_only_urlencoded_bodies_are_taken(content_type: str, taken: bool) -> None:
    if taken:
        assert parse_form(content_type, b"a=1") == {"a": "1"}
        return
    with pytest.raises(Refusal) as caught:
        parse_form(content_type, b"a=1")
    assert caught.value.slug == "unsupported_type"


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1000


async def test_a_large_body_is_refused_before_it_is_read_to_its_end() -> None:
    with pytest.raises(Refusal) as caught:
        await read_limited(_endless(), within=10)
    assert caught.value.slug == "body_too_large"


async def test_a_body_of_just_the_limit_is_read() -> None:
    async def exact() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1024):
            yield b"x" * 1024

    assert len(await read_limited(exact(), within=10)) == LIMIT


async def test_a_body_that_never_comes_is_not_waited_for() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"user="
        await asyncio.sleep(60)

    with pytest.raises(Refusal) as caught:
        await read_limited(slow(), within=0.05)
    assert caught.value.slug == "request_timeout"

"""JSON of strangers is text, or refused."""

from __future__ import annotations

import pytest

from gateway.core.json_text import read_json

TEXTS = {
    b'"\\u00fc\\ud83d\\ude00"': "\xfc\U0001f600",
    '{"a": ["\xfc"]}'.encode(): {"a": ["\xfc"]},
    b'"\\\\ud800"': "\\ud800",
    b"1e400": float("inf"),
}
NONE = (
    b'"\\ud800"',
    b'{"a": [{"\\uDFFF": 1}]}',
    b'["\\ude00\\ud83d"]',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    '"a"'.encode("utf-16"),
    b"",
    b"[" * 100_000,
)


def test_what_can_be_written_again_is_read() -> None:
    for body, said in TEXTS.items():
        assert read_json(body) == said


@pytest.mark.parametrize("body", NONE, ids=lambda body: repr(body[:20]))
def test_what_is_no_text_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_json(body)


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"c": 1, "c": 1}}]', b"[NaN]"])
def test_what_is_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"twice|number"):
        read_json(body)

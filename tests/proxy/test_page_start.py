"""What is put before a page of documentation leaves it laid out as it was."""

from __future__ import annotations

import pytest

from gateway.proxy.page_start import _fitted

START = b"<!doctype html><script></script>"
OURS = b" " * 15 + b"<script></script>"

CASES = {
    "a doctype": (b"<!DOCTYPE html><p>x", b"<!DOCTYPE html>" + OURS + b"<p>x"),
    "an old doctype": (
        b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2//EN">\n<html>',
        b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2//EN">' + OURS + b"\n<html>",
    ),
    "an XML declaration": (
        b'<?xml version="1.0"?>\n<!DOCTYPE html><html>',
        b'<?xml version="1.0"?>\n<!DOCTYPE html>' + OURS + b"<html>",
    ),
    "a byte order mark": (
        b"\xef\xbb\xbf<!doctype html><html>",
        b"\xef\xbb\xbf<!doctype html>" + OURS + b"<html>",
    ),
    "no doctype": (b"\n<HTML><body>", OURS + b"\n<HTML><body>"),
    "half a doctype": (b"<!doc", START + b"<!doc"),
    "nothing yet": (b"", START),
    "a comment": (b"<!-- x --><!doctype html>", START + b"<!-- x --><!doctype html>"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_doctype_of_a_page_decides(case: str) -> None:
    body, expected = CASES[case]
    at, start = _fitted(START, body)
    assert body[:at] + start + body[at:] == expected
    assert len(start) == len(START), "HEAD tells a length without a body"

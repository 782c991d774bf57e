"""Searching what a gateway wrote or said for secrets, in whatever spelling they might stand.

What was found is told by its kind alone: a test's output shows no secret either.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from tests.support.http import Answer


class Traces:
    """Secrets by their kind, collected from what clients send and are given."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def add(self, kind: str, *secrets: str) -> None:
        for secret in secrets:
            if secret:
                self._kinds.setdefault(secret, kind)

    def found(self, text: str | bytes, *, apart_from: tuple[str, ...] = ()) -> set[str]:
        """The kinds that stand in a text, apart from those that may."""
        data = text.encode() if isinstance(text, str) else text
        return {
            kind
            for secret, kind in self._kinds.items()
            if kind not in apart_from and any(one in data for one in _spellings(secret, data))
        }

    @property
    def kinds(self) -> set[str]:
        return set(self._kinds.values())

    # -- what passes between a client and the gateway ----------------------------------------

    def sent(self, form: Mapping[str, str], send: object, auth: tuple[str, str] | None) -> None:
        """The secrets of a request: a form, a body of JSON, an Authorization header."""
        fields = {**form, **(send if isinstance(send, dict) else {})}
        for word in (str(fields.get("password", "")), auth[1] if auth else ""):
            password, _, code = word.partition(",")
            self.add("password", password)
            self.add("code", code)
        code = str(fields.get("code", ""))
        if not code.startswith("{"):
            self.add("code" if code.isdigit() else "recovery code", code)
        self.add("form token", str(fields.get("form_token", "")))

    def given(self, answer: Answer) -> None:
        """The secrets of an answer: cookies and what is within them, devpi's tokens."""
        for line in answer.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.add(f"cookie {name}", value.strip('"'))
            self.add("cookie's part", *_within(value))
        if answer.status == 200 and answer.first("content-type").startswith("application/json"):
            result = answer.json.get("result") if isinstance(answer.json, dict) else None
            if isinstance(result, dict):
                self.add("token", str(result.get("password", "")))


def _within(cookie: str) -> Iterator[str]:
    """What the gateway's own cookies hold: the last part opens what is sealed in the store."""
    body = cookie.rpartition(".")[0]
    try:
        parts = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        return
    if isinstance(parts, list) and len(parts) > 2:
        yield str(parts[-1])


def _spellings(secret: str, data: bytes) -> Iterator[bytes]:
    raw = secret.encode()
    if secret.isdigit():  # six digits stand by chance in times, numbers and digests
        if re.search(rb"(?<![0-9a-f.])" + raw + rb"(?![0-9a-f])", data):
            yield raw
    else:
        yield raw
        yield quote(secret).encode()
        yield quote(secret, safe="").encode()
        yield quote_plus(secret).encode()
        yield json.dumps(secret)[1:-1].encode()
        yield raw.replace(b"-", b"")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for before in range(3):  # wherever it begins among the groups of three
        lead, tail = (0, 2, 3)[before], (before + len(raw)) % 3
        for altchars in (b"+/", b"-_"):
            text = base64.b64encode(b"\0" * before + raw, altchars).rstrip(b"=")
            yield text[lead : len(text) - bool(tail)]

"""An answer of the pages before its headers are put on; knows nothing of aiohttp."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from gateway.core.http.facts import Field

HTML: Final = "text/html; charset=utf-8"

# The scripts; a page runs one of them at most.
WEBAUTHN: Final = "webauthn.js"
CODES: Final = "codes.js"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `script`: the one its page runs; `lasting`: it may be cached for ever."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = HTML
    fields: tuple[Field, ...] = field(default=(), repr=False)
    script: str = ""
    lasting: bool = False

    def plus(self, *fields: Field) -> Reply:
        """The same answer with further header fields."""
        return Reply(
            self.status,
            self.body,
            self.content_type,
            self.fields + fields,
            self.script,
            self.lasting,
        )


def see_other(target: str, *fields: Field) -> Reply:
    """Post/redirect/get: 303 (RFC 9110 section 15.4.4) to a path of our own."""
    return Reply(303, fields=(("location", target), *fields))


def as_json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value).encode(), "application/json")


def cookies(*values: str) -> tuple[Field, ...]:
    """Set-Cookie fields from their values."""
    return tuple(("set-cookie", value) for value in values)

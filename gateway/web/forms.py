"""Bodies the pages take: small, urlencoded, and readable in exactly one way.

Knows the WHATWG URL standard (section 5, application/x-www-form-urlencoded); knows no page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _

LIMIT: Final = 64 * 1024
MAX_FIELDS: Final = 40
URLENCODED: Final = "application/x-www-form-urlencoded"

# Printable ASCII, "%" only before two hex digits. Browsers send far less than this.
_RAW: Final = r"[\x21-\x24\x26-\x7e]*+"
_BODY: Final = re.compile(rf"{_RAW}(?:%[0-9A-Fa-f]{{2}}{_RAW})*")
_CONTENT_TYPE: Final = re.compile(
    rf"{URLENCODED}(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?[ \t]*", re.IGNORECASE
)


async def read_limited(pieces: AsyncIterator[bytes], *, within: float) -> bytes:
    """A whole body of at most `LIMIT` bytes.

    Args:
        within: seconds until it has to be here.

    Raises:
        Refusal: `body_too_large` as soon as the limit is passed, `request_timeout`.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(within):
            async for piece in pieces:
                body += piece
                if len(body) > LIMIT:
                    raise Refusal(Slug.BODY_TOO_LARGE, limit=str(LIMIT))
    except TimeoutError:
        raise Refusal(Slug.REQUEST_TIMEOUT) from None
    return bytes(body)


def parse_form(content_type: str, body: bytes) -> Mapping[str, str]:
    """Take an urlencoded form apart.

    Args:
        content_type: the whole header value.

    Raises:
        Refusal: `unsupported_type` for any other media type or charset; `bad_form` for a
            repeated name, a bad escape, bad UTF-8, a control character or too many fields.
    """
    if not _CONTENT_TYPE.fullmatch(content_type.strip()):
        raise Refusal(Slug.UNSUPPORTED_TYPE, accepted=URLENCODED)
    text = body.decode("latin-1")
    if not _BODY.fullmatch(text):
        raise Refusal(Slug.BAD_FORM, why=_("it has characters that have to be encoded"))
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, mark, value = part.partition("=")
        if not mark or not name:
            raise Refusal(Slug.BAD_FORM, why=_("a field has no name or no value"))
        key = _decode(name)
        if key in found:
            raise Refusal(Slug.BAD_FORM, why=_("one field appears twice"))
        if len(found) == MAX_FIELDS:
            raise Refusal(Slug.BAD_FORM, why=_("it has too many fields"))
        found[key] = _decode(value)
    return found


def _decode(text: str) -> str:
    try:
        plain = unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refusal(Slug.BAD_FORM, why=_("it is not UTF-8")) from None
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in plain):
        raise Refusal(Slug.BAD_FORM, why=_("it has control characters"))
    return plain

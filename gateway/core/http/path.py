"""The canonical path of a request target, or a refusal.

Knows RFC 9112 section 3.2 and RFC 3986; knows no rules. A target that two servers could read
differently is refused, so the raw target can be forwarded untouched: it means only one thing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _

# Raw characters of a path: what is visible in ASCII, as in a query, since browsers and clients
# leave "[", "]", "|", "^" and others as they are and every server reads them as if encoded. Not
# "\" (a slash to some), ";" (path parameters, which some cut off) and "#"; "%" only before two hex
# digits. Possessive, so a hostile target costs one pass; only over single characters, see
# `gateway.proxy.http1.syntax`.
_CHARS: Final = r"[!\x22$&-:<=>@-\[\]-~]"
_RAW_PATH: Final = re.compile(rf"/{_CHARS}*+(?:%[0-9A-Fa-f]{{2}}{_CHARS}*+)*")
# What may follow the first "?": query of RFC 3986 section 3.4, plus the characters that
# browsers and pip leave raw there. No "#": a fragment has no place in a target.
_QUERY: Final = re.compile(r"[\x21\x22\x24-\x7e]*+")
# After one decoding none of these may be left: separators, controls, a second escape.
_DECODED_BAD: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\\#?;%]")
_PLAIN: Final = re.compile(rf"/{_CHARS}*+")


class Target(NamedTuple):
    """A request target taken apart.

    path: decoded once, without its trailing slash (the root is "/").
    query: what follows the first "?", raw; "" when there is none.
    """

    path: str
    query: str


def parse_target(target: str) -> Target:
    """Take an origin-form target apart (RFC 9112 section 3.2.1).

    Args:
        target: the raw request target as it came, latin-1 decoded.

    Raises:
        Refusal: `ambiguous_target` for every other form and every spelling that a server
            behind could read as another path.
    """
    raw, mark, query = target.partition("?")
    if mark and not _QUERY.fullmatch(query):
        raise _ambiguous(_odd_characters(query))
    return Target(canonical_path(raw), query)


def canonical_path(raw: str) -> str:
    """Decode and check the path part of a target; see `parse_target`."""
    if _PLAIN.fullmatch(raw) and "/." not in raw and "//" not in raw:  # nothing to decode
        return raw.removesuffix("/") or "/"
    if not _RAW_PATH.fullmatch(raw):
        raise _ambiguous(_raw_problem(raw))
    segments = raw[1:].split("/")
    if segments[-1] == "":
        segments.pop()
    decoded = [_decode(segment) for segment in segments]
    return "/" + "/".join(decoded)


def _decode(segment: str) -> str:
    try:
        text = unquote_to_bytes(segment).decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise _ambiguous(_("its escapes are not UTF-8")) from None
    problem = segment_problem(text)
    if problem:
        raise _ambiguous(_("a part of its path {problem}", problem=problem))
    return text


def _ambiguous(why: str) -> Refusal:
    return Refusal(Slug.AMBIGUOUS_TARGET, why=why)


def _raw_problem(raw: str) -> str:
    """What makes a path none, said without any of it."""
    if not raw.startswith("/"):
        return _("it does not begin with the slash of a path")
    for mark, name in (
        ("\\", _("a backslash")),
        (";", _("a semicolon")),
        ("#", _("a fragment (#)")),
    ):
        if mark in raw:
            return _("it holds {what}", what=name)
    if re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        return _("a percent sign is not followed by two hex digits")
    return _odd_characters(raw)


def _odd_characters(text: str) -> str:
    if "#" in text:
        return _("it holds {what}", what=_("a fragment (#)"))
    return _("a blank, control or non-ASCII character has to be percent-encoded")


def segment_problem(text: str) -> str:
    """Why a decoded segment is never part of a canonical path; "" when it may be."""
    if text == "":
        return _("is empty")
    if text in (".", ".."):
        return _("is a dot segment")
    if _DECODED_BAD.search(text):
        return _("holds a separator, an escape or a control character")
    return ""


def local_path(target: str) -> str | None:
    """The same target when it is a safe place to send a browser back to, else None.

    Safe is a canonical path of this host (with its query): nothing a browser could read as
    another host ("//evil", "/\\evil", "/%09/evil").
    """
    try:
        parse_target(target)
    except Refusal:
        return None
    return target

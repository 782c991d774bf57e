"""Reports of tokens that were found where others can read them, in the form in which GitHub's
secret scanning tells PyPI.

Whoever reports is known by a key of the configuration, and is told nothing of what became of it.
Knows the form of a report; knows no request that carries it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.crypto.signatures import signed_with
from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _
from gateway.core.tokens.tokens import Tokens

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MOST: Final = 500
"""Tokens of one report."""

_LONGEST_PLACE: Final = 150
_LONGEST_URL: Final = 4096
_SOURCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_TOKEN: Final = re.compile(r"((?:pypi|devpi)-)[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Whose reports are believed. keys: its public keys by the names that reports give them."""

    name: str
    keys: tuple[tuple[str, EllipticCurvePublicKey], ...]


class Leak(NamedTuple):
    """One token that was found. source, place: as far as they can be told to people; "" for
    nothing."""

    token: str
    source: str
    place: str


class Taken(NamedTuple):
    """What became of a report, for the log alone: who sent it, how many it named and ended."""

    by: str
    named: int
    ended: int


class LeakReports:
    """Every method may raise StoreUnavailable; refusals are `Refusal`s."""

    def __init__(self, reporters: Sequence[Reporter], tokens: Tokens, audit: AuditSink) -> None:
        self._keys: Final = {id: (one.name, key) for one in reporters for id, key in one.keys}
        self._tokens: Final = tokens
        self._audit: Final = audit

    @property
    def active(self) -> bool:
        """Whether there is anybody whose reports are believed."""
        return bool(self._keys)

    async def take(self, key: str, signature: str, body: bytes, origin: Origin) -> Taken:
        """End the tokens that a report names, and tell their owners.

        Raises:
            Refusal: `leak_report`.
        """
        name, its = self._keys.get(key, ("", None))
        if its is None or not signed_with(its, signature, body):
            said = f"not the signature of {name}" if name else "no key of this name"
            await self._audit.record(Event.LEAK_REPORT_REFUSED, "", origin, detail=said)
            raise Refusal(Slug.LEAK_REPORT, why=_("nobody who may report has signed it"))
        found = list(read(body))
        ended = 0
        for leak in found:
            ended += await self._tokens.leaked(
                leak.token, origin, by=name, source=leak.source, place=leak.place
            )
        return Taken(name, len(found), ended)


def read(body: bytes) -> Iterator[Leak]:
    """The tokens of a report, each once; what is no record of one is passed over, as at PyPI.

    Raises:
        Refusal: `leak_report`.
    """
    try:
        records = json.loads(body)
    except (ValueError, RecursionError):
        records = None
    if not isinstance(records, list):
        raise Refusal(Slug.LEAK_REPORT, why=_("its body is not a list in JSON"))
    if len(records) > MOST:
        raise Refusal(Slug.LEAK_REPORT, why=_("it names more than {most} tokens", most=MOST))
    seen: set[str] = set()
    for record in records:
        token = record.get("token") if isinstance(record, dict) else None
        if not isinstance(token, str) or token in seen:
            continue
        seen.add(token)
        yield Leak(token, source_of(record.get("source")), place_of(record.get("url")))


def source_of(said: object) -> str:
    """In what it was found ("commit"), as far as it is one word."""
    return said if isinstance(said, str) and _SOURCE.fullmatch(said) else ""


def place_of(said: object) -> str:
    """Where it was found: an address less what may open something (names, the query), and less
    the token, should it stand in it. "" for what is no address of the web."""
    if not isinstance(said, str) or len(said) > _LONGEST_URL:
        return ""
    try:
        parts = urlsplit(said)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[a-z0-9.:-]+", host):
        return ""
    host = f"[{host}]" if ":" in host else host
    plain = _TOKEN.sub(r"\1...", unquote(parts.path))
    path = quote(plain, safe="/~@+:,=!$&'()*;", errors="replace")
    found = f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
    return found if len(found) <= _LONGEST_PLACE else found[: _LONGEST_PLACE - 1] + "…"

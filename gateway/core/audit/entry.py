"""One entry of the audit trail and the record of its head, as they are stored: JSON, keyed hashes.

    {"at":"2026-01-02T03:04:05.678Z","detail":"","event":"login","factor":"totp phone",
     "mac":"…","n":7,"origin":{…},"prev":"…","user":"alice"}

`project` and `transfer` stand only in entries that are about a project or about files, `request`
only in those that a request made.

The keyed hash covers every other field, the number and the hash of the entry before among them.
Keys are sorted, there is no white space, and everything is ASCII: one entry has one spelling.

    {"n": 7, "last": "…", "mac": "…"}

The head says how far the chain has come. It may be behind the chain (a gateway died between the
two writes), never ahead of it: then the end was cut off. Knows the keys and, for the head, the
store.
"""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from gateway.core.audit.events import Origin
from gateway.core.audit.transfer import Transfer, read_transfer
from gateway.core.clock import timestamp
from gateway.core.crypto.keyring import KeyRing
from gateway.core.plain import plain
from gateway.core.store import Expect, Key, Put, Store, StoreUnavailable
from gateway.core.values import dataclass

START: Final = ""
"""What the first entry holds in place of the hash of the entry before."""

_PURPOSE: Final = "audit"
LONGEST: Final = 500
"""Characters of what others wrote (a path, a user agent) that an entry takes."""


class NotAuthentic(Exception):
    """An entry was not written by a gateway with one of these keys; the text says what is off."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A signed statement that the entries up to a number were removed, being too old.

    mac: the hash of the last one removed, which the first one kept holds as `prev`.
    """

    upto: int
    mac: str


@dataclass(frozen=True, slots=True)
class Entry:
    """time: seconds since the epoch. event: a value of `Event` (or of a later program's).
    trimmed: only in entries of retention. project: normalised, "" for none in particular.
    transfer: of files that passed, None elsewhere. request: the id of the request that made it."""

    number: int
    time: float
    event: str
    user: str
    origin: Origin
    factor: str
    detail: str
    prev: str
    mac: str
    trimmed: Trimmed | None = None
    project: str = ""
    transfer: Transfer | None = None
    request: str = ""


def write(entry: Entry, ring: KeyRing) -> tuple[bytes, str]:
    """The stored form of an entry (its own `mac` is not looked at) and its keyed hash."""
    body = _canonical(_fields(entry))
    mac = ring.digest(_PURPOSE, body)
    # Its place among the sorted keys. No text can hold this: quotes are escaped there.
    return body.replace(',"n":', f',"mac":"{mac}","n":', 1).encode(), mac


def read(raw: bytes, ring: KeyRing) -> Entry:
    """Read a stored entry.

    Raises:
        NotAuthentic: it cannot be read, or its hash is under none of the keys.
    """
    entry = parse(raw)
    fields = _fields(entry)
    if _canonical(fields | {"mac": entry.mac}).encode() != raw:
        raise NotAuthentic("is not spelt as the gateway spells it")
    body = _canonical(fields)
    right = [hmac.compare_digest(mac, entry.mac) for mac in ring.digests(_PURPOSE, body)]
    if not any(right):
        raise NotAuthentic("does not carry a hash under any of the keys")
    return entry


def parse(raw: bytes) -> Entry:
    """Read a stored entry without looking at its hash. Raises NotAuthentic."""
    try:
        fields = json.loads(raw)
        trimmed, transfer = fields.get("trimmed"), fields.get("transfer")
        entry = Entry(
            number=fields["n"],
            time=datetime.fromisoformat(fields["at"]).timestamp(),
            event=fields["event"],
            user=fields["user"],
            origin=Origin(**fields["origin"]),
            factor=fields["factor"],
            detail=fields["detail"],
            prev=fields["prev"],
            mac=fields["mac"],
            trimmed=None if trimmed is None else Trimmed(trimmed["upto"], trimmed["mac"]),
            project=fields.get("project", ""),
            transfer=None if transfer is None else read_transfer(transfer),
            request=fields.get("request", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotAuthentic("cannot be read") from None
    if type(entry.number) is not int or not isinstance(entry.mac, str) or not entry.mac.isascii():
        raise NotAuthentic("cannot be read")
    return entry


def line(entry: Entry) -> str:
    """An entry that was read, as it is stored."""
    return _canonical(_fields(entry) | {"mac": entry.mac})


def short(text: str) -> str:
    """What others wrote (a path, a user agent), cut so that no entry grows without bound."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _fields(entry: Entry) -> dict[str, object]:
    fields: dict[str, object] = {
        "n": entry.number,
        "at": timestamp(entry.time),
        "event": entry.event,
        "user": entry.user,
        "origin": plain(entry.origin),
        "factor": entry.factor,
        "detail": entry.detail,
        "prev": entry.prev,
    }
    if entry.trimmed is not None:
        fields["trimmed"] = plain(entry.trimmed)
    if entry.project:
        fields["project"] = entry.project
    if entry.transfer is not None:
        fields["transfer"] = plain(entry.transfer)
    if entry.request:
        fields["request"] = entry.request
    return fields


_canonical: Final[Callable[[dict[str, object]], str]] = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True
).encode


_head_text: Final = json.JSONEncoder().encode

HEAD: Final = Key("audit", "", "head")

_HEAD_PURPOSE: Final = "audit head"
_TRIES: Final = 200


class HeadSeen(NamedTuple):
    """An authentic head: number and hash of the last entry, and the version of the record."""

    number: int
    mac: str
    version: int


class Head:
    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store: Final = store
        self._ring: Final = ring
        self._left: HeadSeen | None = None
        self._ours = False

    async def get(self) -> tuple[int, str] | None:
        """Number and hash of the last entry.

        Raises:
            NotAuthentic: the record is not the gateway's.
        """
        record = await self._store.get(HEAD)
        return None if record is None else self._read(record.value)

    async def seen(self) -> HeadSeen | None:
        """The same, None too for what is not the gateway's."""
        record = await self._store.get(HEAD)
        found = None
        if record is not None:
            with contextlib.suppress(NotAuthentic):
                found = HeadSeen(*self._read(record.value), record.version)
        self._ours = found is not None and found == self._left
        return found

    def unmoved(self) -> HeadSeen | None:
        """The head as this gateway left it, where it is the only one that writes, as far as it
        saw at its last look: who builds on it writes only where `expected` holds."""
        return self._left if self._ours else None

    def expected(self, unmoved: HeadSeen | None) -> tuple[Expect, ...]:
        return () if unmoved is None else (Expect(HEAD, unmoved.version),)

    def left(self, seen: HeadSeen | None) -> None:
        """What this gateway has just moved it to; None where another one has moved it."""
        self._left = seen
        self._ours = self._ours and seen is not None

    async def begin(self) -> None:
        """Before the first entry, and never later: a head that is missing was removed."""
        await self._store.put(HEAD, self._signed(0, START), if_version=0)

    def moved(self, seen: HeadSeen | None, number: int, mac: str) -> tuple[Put, ...]:
        """The step that moves a head to an entry; none for one that is left to `verify`."""
        if seen is None or seen.number >= number:
            return ()
        return (Put(HEAD, self._signed(number, mac), if_version=seen.version),)

    async def move(self, number: int, mac: str) -> None:
        """To an entry just written, unless a later one is there.

        Raises:
            StoreUnavailable
        """
        for _ in range(_TRIES):
            record = await self._store.get(HEAD)
            try:
                if record is None or self._read(record.value)[0] >= number:
                    return
            except NotAuthentic:
                return  # `verify` finds it, as it finds a missing one
            value = self._signed(number, mac)
            if await self._store.put(HEAD, value, if_version=record.version) is not None:
                return
        raise StoreUnavailable("the head of the audit log cannot be written")

    def _signed(self, number: int, mac: str) -> bytes:
        signed = self._ring.digest(_HEAD_PURPOSE, str(number), mac)
        return _head_text({"n": number, "last": mac, "mac": signed}).encode()

    def _read(self, raw: bytes) -> tuple[int, str]:
        try:
            fields = json.loads(raw.decode())
            number, last, mac = int(fields["n"]), str(fields["last"]), str(fields["mac"])
        except (ValueError, KeyError, TypeError):
            raise NotAuthentic("cannot be read") from None
        for wanted in self._ring.digests(_HEAD_PURPOSE, str(number), last):
            if hmac.compare_digest(wanted.encode(), mac.encode("utf-8", "replace")):
                return number, last
        raise NotAuthentic("does not carry a hash under any of the keys")

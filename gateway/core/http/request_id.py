"""What one request is called: in answers of the gateway's own, in the trail, in logs, upstream.

    X-Request-ID: 0f8fad5bd9cb469fa16570867728950e

A trusted proxy may have named it already; anybody else's name is dropped, so that nobody writes
into logs what reads like another's request. Here it is a whole line of a head, the way it goes
upstream; most requests need it nowhere else.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.clock import Random
from gateway.core.counters import NOTES

FIELD: Final = "X-Request-ID"
_BEGIN: Final = b"\n%s: " % FIELD.encode()
_WRITTEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_BYTES: Final = 15
_ENDS: Final = tuple(b"%02x\r" % number for number in range(256))


class RequestIds:
    """Makes them, many at a time: 120 random bits, and a number of two digits, since randomness for
    each would cost as much as all else. ready: some that may be taken."""

    __slots__ = ("_random", "ready")

    def __init__(self, random: Random) -> None:
        self._random: Final = random
        self.ready: list[bytes] = []

    def line(self) -> bytes:
        r"""Another one: "\n", the field, "\r"."""
        if not self.ready:
            begin = _BEGIN + self._random(_BYTES).hex().encode()
            self.ready = [begin + end for end in _ENDS]
        return self.ready.pop()


def given(value: bytes) -> bytes:
    """The line of an id that came with a request; nothing for one that may not stand in logs."""
    return b"%s%s\r" % (_BEGIN, value) if _WRITTEN.fullmatch(value) else b""


def text(line: bytes) -> str:
    """The id in its line, whatever lines follow."""
    return line[len(_BEGIN) : line.find(b"\r")].decode("ascii")


def sent_with() -> tuple[tuple[str, str], ...]:
    """The fields that name the request that is being worked on, for what is asked for it."""
    notes = NOTES.get()
    if notes is None or not notes.id:
        return ()
    traced = (("traceparent", notes.trace.value),) if notes.trace is not None else ()
    return ((FIELD, notes.id), *traced)


def at_hand() -> str:
    """The id of the request that is being worked on, "" where there is none."""
    notes = NOTES.get()
    return notes.id if notes is not None else ""

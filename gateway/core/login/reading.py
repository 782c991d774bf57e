"""Passes for reading one documentation: what its pages show instead of cookies.

A page in a sandbox sends no cookies for its styles and pictures, so its address holds a secret
that theirs hold as well. It stands for the cookies that opened the page, below that documentation
alone, until what they stand for ends, and for two hours at most. Knows the store and the keys; the
store and the keys open none without its text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.store import Key, Store

_PURPOSE: Final = "reading pass"
_PERIOD: Final = 3600
"""Seconds within which the same cookies get the same pass; it counts for as long again."""
_LENGTH: Final = 32  # characters, of 6 bits each
_ENTERING: Final = 30  # seconds from one host to the other


class ReadingPasses:
    """`issue` and `held` may raise StoreUnavailable."""

    def __init__(self, store: Store, ring: KeyRing, clock: Clock) -> None:
        self._store: Final = store
        self._ring: Final = ring
        self._clock: Final = clock

    async def issue(self, cookies: str, whole: str) -> str:
        """The pass of whoever has these cookies, which have let them in, for a documentation.

        Args:
            whole: the canonical path that all of the documentation is below.
        """
        period = self._period()
        text = self._text(cookies, whole, period)
        name = self._ring.digest(_PURPOSE, text)
        key = Key("reading-pass", "", name)
        if await self._store.get(key) is None:
            plain = json.dumps([whole, cookies]).encode()
            sealed = self._ring.seal(_PURPOSE, name, plain, extra=text.encode())
            await self._store.put(key, base64.b64encode(sealed), expires=(period + 2) * _PERIOD)
        return text

    async def held(self, text: str, whole: str) -> str | None:
        """The cookies that a pass for this documentation stands for; None for any other."""
        names = self._ring.digests(_PURPOSE, text)
        records = await self._store.get_many([Key("reading-pass", "", one) for one in names])
        for name, record in zip(names, records, strict=True):
            if record is None:
                continue
            sealed = base64.b64decode(record.value)
            try:
                plain = self._ring.open(_PURPOSE, name, sealed, extra=text.encode())
            except SealBroken:
                continue
            its_whole, cookies = json.loads(plain)
            return str(cookies) if its_whole == whole else None
        return None

    def current(self, text: str, cookies: str, whole: str) -> bool:
        """Whether `issue` would say the same now: it counts for another hour at least."""
        return compare_digest(text, self._text(cookies, whole, self._period()))

    # -- at a host of its own, which knows no session ---------------------------------------

    def entrance(self, text: str) -> str:
        """What leads a browser in at the other host, for half a minute."""
        until = str(int(self._clock()) + _ENTERING)
        return f"{until}.{self._ring.digest('reading entrance', text, until)}"

    def enters(self, text: str, entrance: str) -> bool:
        until, _, _ = entrance.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < _LENGTH):
            return False
        known = self._ring.digests("reading entrance", text, until)
        return self._clock() <= int(until) and _among(entrance, (f"{until}.{one}" for one in known))

    def stay(self, text: str) -> str:
        """The cookie of a browser that was led in."""
        return self._ring.digest("reading stay", text)

    def stays(self, text: str, cookie: str) -> bool:
        return _among(cookie, self._ring.digests("reading stay", text))

    # -- how --------------------------------------------------------------------------------

    def _period(self) -> int:
        return int(self._clock() // _PERIOD)

    def _text(self, cookies: str, whole: str, period: int) -> str:
        return self._ring.digest("reading cookies", cookies, whole, str(period))[:_LENGTH]


def _among(text: str, known: Iterable[str]) -> bool:
    shown = text.encode("utf-8", "replace")
    return any(compare_digest(shown, one.encode()) for one in known)

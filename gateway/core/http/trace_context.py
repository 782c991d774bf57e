"""W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace a request belongs to.

Where traces are made, ours goes upstream in place of what came; a trusted proxy's is gone on with,
anybody else's is dropped. Where none are made, the fields pass as they came.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.core.clock import Random

FIELD: Final = "traceparent"
_CAME: Final = re.compile(rb"\n(?i:traceparent):([^\r]*)\r")
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SCALE: Final = 1 << 56


class WaitedFor(NamedTuple):
    """What was waited for: began by the clock of `perf_counter`, and for how many seconds."""

    name: str
    began: float
    seconds: float
    failed: bool


class Trace:
    """The place of one request in a trace: ids in hexadecimal digits.

    parent: the span that it continues, "" for none. span: the request's own. calls: what it waited
    for; only where it is sampled.
    """

    __slots__ = ("calls", "parent", "sampled", "span", "trace")

    def __init__(self, trace: str, parent: str, span: str, *, sampled: bool) -> None:
        self.trace: Final = trace
        self.parent: Final = parent
        self.span: Final = span
        self.sampled: Final = sampled
        self.calls: Final[list[WaitedFor]] = []

    @property
    def value(self) -> str:
        """Of the field for what goes upstream."""
        return f"00-{self.trace}-{self.span}-{self.sampled:02x}"


class Sampling:
    """Which requests are traced: so large a share, or those that a trusted proxy traces."""

    def __init__(self, random: Random, share: float) -> None:
        self._random: Final = random
        self._below: Final = share * _SCALE

    def begin(self, block: bytes, *, trusted: bool) -> Trace:
        """The place of a request.

        Args:
            block: its fields. trusted: they come from a trusted proxy.
        """
        span = self._random(8).hex()
        found = _CAME.findall(block) if trusted else []
        parent = _PARENT.fullmatch(found[0].strip(b" \t")) if len(found) == 1 else None
        if parent is not None and _holds(parent):
            _, trace, before, flags, _ = parent.groups()
            return Trace(trace.decode(), before.decode(), span, sampled=bool(int(flags, 16) & 1))
        trace_id = self._random(16).hex()
        return Trace(trace_id, "", span, sampled=int(trace_id[-14:], 16) < self._below)


def _holds(parent: re.Match[bytes]) -> bool:
    version, trace, span, _, more = parent.groups()
    zero = not trace.strip(b"0") or not span.strip(b"0")
    return version != b"ff" and not zero and (version != b"00" or more is None)

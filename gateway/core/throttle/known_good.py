"""What this process remembers of passwords that the index has judged a short while ago.

A right one is remembered for the network it came from, and passes although that network is held
back: a person is not kept waiting by a machine beside them. It is no way to guess: what is asked
here is counted, and after `limits.SPARED` different wrong ones nothing is spared any more.
"""

from __future__ import annotations

from typing import Final

from gateway.core.clock import Clock
from gateway.core.throttle.limits import SPARED

LIFE: Final = 300.0
"""Seconds for which a judgement is believed."""
HALF_LIFE: Final = LIFE / 2
"""From this age on one that is in use is asked about again."""
_DAY: Final = 86400.0
_KEPT: Final = 8192
_PLACES: Final = 1024


class KnownGood:
    """Judgements by the keyed hash of network, name and password."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._judged: dict[str, tuple[bool, float]] = {}
        self._missed: dict[str, tuple[float, set[str]]] = {}

    def judged(self, mark: str, *, right: bool) -> None:
        self._judged.pop(mark, None)
        if len(self._judged) >= _KEPT:
            del self._judged[next(iter(self._judged))]
        self._judged[mark] = right, self._clock()

    def right(self, mark: str, place: str, *, within: float = LIFE) -> bool:
        """Whether it was right a moment ago, and that may still be told apart here."""
        return self._known(mark, True, within) and not self.exhausted(place)

    def wrong(self, mark: str) -> bool:
        """Whether it is counted already: trying it again tells nobody anything."""
        return self._known(mark, False, LIFE)

    def age(self, mark: str) -> float:
        """Seconds since it was judged."""
        known = self._judged.get(mark)
        return self._clock() - known[1] if known is not None else LIFE

    def missed(self, mark: str, place: str) -> None:
        """An unknown one was held back."""
        since, marks = self._missed.get(place, (self._clock(), set()))
        if not 0 <= self._clock() - since < _DAY:
            since, marks = self._clock(), set()
        if place not in self._missed and len(self._missed) >= _PLACES:
            del self._missed[next(iter(self._missed))]
        if len(marks) < SPARED:
            marks.add(mark)
        self._missed[place] = since, marks

    def _known(self, mark: str, right: bool, within: float) -> bool:
        known = self._judged.get(mark)
        return known is not None and known[0] is right and 0 <= self._clock() - known[1] < within

    def exhausted(self, place: str) -> bool:
        """Whether right ones are not told apart at that network any more."""
        if place not in self._missed:
            return False
        since, marks = self._missed[place]
        return len(marks) >= SPARED and 0 <= self._clock() - since < _DAY

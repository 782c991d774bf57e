"""Steps of the store in the form that the scripts take. Knows keys and words, sends nothing."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gateway.core.store import SWEPT, Append, Count, Delete, Expect, Put, StoreStep
from gateway.stores.redis.places import ends_of, log_of, place_of, shared
from gateway.stores.window import bucket_end

# How much longer than its record a key lives, in seconds: room for clocks that differ.
_SLACK: Final = 60.0
_SEQUENCE_TTL: Final = 30 * 86400 * 1000


class ScriptCall(NamedTuple):
    """A step as its function in `scripts` takes it."""

    name: str
    keys: list[str]
    words: list[str | bytes]

    @property
    def tag(self) -> str:
        """What decides about its node in a Cluster."""
        return self.keys[0].partition("{")[2].partition("}")[0]


def call_of(step: StoreStep, now: float, *, alone: bool) -> ScriptCall:
    """Args: alone: whether all keys are on one node."""
    match step:
        case Put(key, value, expires, version):
            ends = "-" if expires is None else repr(float(expires))
            ttl = "-" if expires is None else _ttl(expires - now)
            places = [place_of(key, "r"), *(shared(key.kind, key.owner, part) for part in "iv")]
            forget = repr(now - _SLACK)
            written = (key.name, value, ends, repr(now), _number(version), ttl)
            if alone and ends_in(step):
                places.append(ends_of(key.kind))
            return ScriptCall("put", places, [*written, str(_SEQUENCE_TTL), forget, key.owner])
        case Delete(key, version):
            places = [place_of(key, "r"), shared(key.kind, key.owner, "i")]
            return ScriptCall("delete", places, [key.name, repr(now), _number(version)])
        case Expect(key, expected):
            return ScriptCall("expect", [place_of(key, "r")], [str(expected), repr(now)])
        case Count(key, window, add):
            until = bucket_end(now, window)
            words = (repr(until), str(add), repr(now - window), _ttl(until + window - now))
            return ScriptCall("count", [place_of(key, "c")], [*words])
        case Append(log, entry, after):
            return ScriptCall("append", [log_of(log)], [entry, _number(after)])


def ends_in(step: StoreStep) -> tuple[str, str, float] | None:
    """The kind, the owner and the end that a step brings and that are found by time."""
    if isinstance(step, Put) and step.expires is not None and step.key.kind in SWEPT:
        return step.key.kind, step.key.owner, step.expires
    return None


def _number(condition: int | None) -> str:
    return "-" if condition is None else str(condition)


def _ttl(seconds: float) -> str:
    return str(math.ceil((max(seconds, 0.0) + _SLACK) * 1000))

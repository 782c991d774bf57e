"""Which of several languages a request asks for (RFC 9110 section 12.5.4, RFC 4647 section 3.4)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_MOST: Final = 32
"""Ranges that are read; browsers send fewer than ten."""


def preferred(accept: str, offered: Collection[str], default: str) -> str:
    """The offered language that an Accept-Language field ranks highest, `default` for none.

    A range stands for everything it begins: `de-AT` is answered in `de`. Of equal weights the
    first counts. What cannot be read is passed over.
    """
    ranked: dict[str, float] = {}
    for part in accept.split(",")[:_MOST]:
        tag, _, parameter = part.partition(";")
        weight = _weight(parameter)
        if weight is not None:
            found = _offered(tag.strip(" \t").lower(), offered, default)
            ranked[found] = max(weight, ranked.get(found, 0.0))
    ranked.pop("", None)
    best = max(ranked, key=ranked.__getitem__, default=default)
    return best if ranked.get(best, 1.0) > 0 else default


def _offered(tag: str, offered: Collection[str], default: str) -> str:
    """The language that answers a range; "" for none."""
    if tag == "*":
        return default
    while tag and tag not in offered:
        tag = tag.rpartition("-")[0]
    return tag


def _weight(parameter: str) -> float | None:
    """What stands behind the semicolon: 1 for nothing, None for what is no weight."""
    parameter = parameter.strip(" \t")
    if not parameter:
        return 1.0
    name, _, value = parameter.partition("=")
    if name.lower() != "q" or len(value) > 5 or not value.replace(".", "", 1).isdecimal():
        return None
    weight = float(value)
    return weight if weight <= 1 else None

"""Header blocks: the part of a head's grammar that requests and answers share, and cutting.

A block is the fields of a head, each as "\\n", name, ":", value, "\\r", so that it can be cut at
any field without looking at its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.core.facts import Field

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Each field is "\n", name, ":", value, "\r": the block of a head is cut at any of these
# without looking at its neighbours. Possessive throughout, so a hostile head costs one pass.
FIELDS: Final = rb"((?:\n" + TCHAR + rb"++:[\t\x20-\x7e\x80-\xff]*+\r)*+)\n\r\n"
BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
LENGTH: Final = re.compile(rb"[0-9]{1,18}")
TOKENS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++")

Cut = tuple[int, int]
"""Where a field stands in its block: first and past-the-end position."""


def names(names: Iterable[str]) -> bytes:
    """An alternation of names, grouped by first letter so that most lines fail at once."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(name[0], []).append(re.escape(name[1:]))
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in groups.items()).encode()


def spans(block: bytes, names: set[bytes]) -> list[Cut]:
    """Where the fields of these lower-case names are in a block."""
    either = b"|".join(re.escape(name) for name in names)
    return [
        found.span() for found in re.finditer(rb"\n(?:" + either + rb"):[^\r]*+\r", block.lower())
    ]


def merged(*lists: list[Cut]) -> list[Cut]:
    """Spans in order, each once. Two never overlap unless they are the same field."""
    return sorted({cut for cuts in lists for cut in cuts})


def kept(block: bytes, cuts: list[Cut]) -> bytes:
    """The block without the cut spans."""
    if not cuts:
        return block
    parts = []
    at = 0
    for start, end in cuts:
        parts.append(block[at:start])
        at = end
    parts.append(block[at:])
    return b"".join(parts)


def fields(block: bytes) -> tuple[Field, ...]:
    """Name (lower-cased) and value (latin-1, stripped) of every field, in order."""
    found = []
    for line in block.decode("latin-1").replace("\r", "").split("\n")[1:]:
        name, _, value = line.partition(":")
        found.append((name.lower(), value.strip(" \t")))
    return tuple(found)

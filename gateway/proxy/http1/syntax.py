"""Header blocks: the part of a head's grammar that requests and answers share, and cutting.

A block is the fields of a head, each as "\\n", name, ":", value, "\\r", so that it can be cut at
any field without looking at its neighbours.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.http.facts import Field

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Each field is "\n", name, ":", value, "\r": the block of a head is cut at any of these
# without looking at its neighbours. Name and value are possessive, so that a hostile head costs
# one pass and one step back for each field. What repeats a field is not, nor anything else that
# is longer than one character: CPython before 3.11.5 reads that wrongly (gh-106052).
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELDS: Final = rb"(?:\n" + TCHAR + rb"++:" + VALUE + rb"\r)*"
BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
DIGITS: Final = 18  # of a Content-Length at most; bytes.isdigit() knows ASCII digits only
TOKENS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++")

Cut = tuple[int, int]
"""Where a field stands in its block: first and past-the-end position."""


def without(block: bytes, names: set[bytes]) -> bytes:
    """The block without the fields of these lower-case names."""
    either = b"|".join(re.escape(name) for name in names)
    found = re.finditer(rb"\n(?:" + either + rb"):[^\r\n]*+\r", block.lower())
    return kept(block, [match.span() for match in found])


def kept(block: bytes, cuts: list[Cut]) -> bytes:
    """The block without the cut spans (that do not overlap)."""
    if not cuts:
        return block
    if len(cuts) == 1:
        ((start, end),) = cuts
        return block[:start] + block[end:]
    parts = []
    at = 0
    for start, end in sorted(cuts):
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

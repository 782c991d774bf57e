"""Names for people in index servers that the tests of one process share."""

from __future__ import annotations

from itertools import count

_numbers = count(1)


def unused(stem: str) -> str:
    """A name that no other test of this process has: the stem and a number.

    Raises ValueError for a stem that ends in a digit: two stems could make one name.
    """
    if stem[-1].isdigit():
        raise ValueError(f"a stem must not end in a digit: {stem}")
    return f"{stem}{next(_numbers)}"

"""The names of keys in Redis. What shares a hash tag ({…}) lies in one slot of a Cluster."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from gateway.core.store import PAGE, Key

EVERY_KEY: Final = "ig:*"
_PLACE: Final = re.compile(r"ig:\{([^/{}]*)/([^/{}]*)\}:(?:(i)|c:(.*))", re.DOTALL)
_LOG: Final = re.compile(r"ig:log:\{([^{}]*)\}")


_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""What `quote` leaves as it is, which takes it long."""


def shared(kind: str, owner: str, part: str) -> str:
    """What the records of one (kind, owner) share: the index of names "i", the versions "v"."""
    return f"ig:{{{_quoted(kind)}/{_quoted(owner)}}}:{part}"


def place_of(key: Key, part: str) -> str:
    kind, owner, name = key
    return f"ig:{{{_quoted(kind)}/{_quoted(owner)}}}:{part}:{name}"


def log_of(name: str) -> str:
    return f"ig:log:{{{_quoted(name)}}}"


def ends_of(kind: str) -> str:
    """The index of a kind's owners by the soonest end of their records."""
    return f"ig:ends:{{{_quoted(kind)}}}"


def every_index(kind: str) -> str:
    """A pattern for `shared(kind, …, "i")` of all owners."""
    return f"ig:{{{_quoted(kind)}/*}}:i"


def owner_in(index: bytes) -> str:
    """Whose index of names this is."""
    return unquote(index.decode().partition("/")[2].removesuffix("}:i"))


def read_place(place: bytes) -> tuple[str, str, str, str] | None:
    """What a key holds: kind, owner, part ("i", "c" or "log") and name; None for what follows
    from those, or is not the store's."""
    text = place.decode(errors="replace")
    if log := _LOG.fullmatch(text):
        return "", "", "log", unquote(log[1])
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return unquote(found[1]), unquote(found[2]), found[3] or "c", found[4] or ""


@lru_cache(2 * PAGE)  # the owners of a page are asked for by several kinds
def _quoted(name: str) -> str:
    """So that no name can end the hash tag or imitate another record's key."""
    return name if _PLAIN(name) else quote(name, safe="")

"""Records as what JSON takes: as `dataclasses.asdict`, without copying what cannot change."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any


def plain(record: object) -> dict[str, Any]:
    """The fields of a frozen dataclass by their names, those within it too. Tuples become lists."""
    found = _plain(record)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    names = _names(type(value))
    if names is None:
        return value
    return {name: _plain(getattr(value, name)) for name in names}


@cache
def _names(kind: type[Any]) -> tuple[str, ...] | None:
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else None

"""Records as what JSON takes: as `dataclasses.asdict`, without copying what cannot change."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Final


def plain(record: object) -> dict[str, Any]:
    """The fields of a frozen dataclass by their names, those within it too. Tuples become lists."""
    found = _plain(record)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    names = _NAMES.get(type(value))
    if names is None:
        if not is_dataclass(value):
            return value
        names = _NAMES[type(value)] = tuple(one.name for one in fields(value))
    return {name: _plain(getattr(value, name)) for name in names}


_NAMES: Final[dict[type[object], tuple[str, ...]]] = {}

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
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple:
        return [one if type(one) in _PLAIN else _plain(one) for one in value]
    names = _NAMES.get(kind)
    if names is None:
        if not is_dataclass(value):
            return value
        names = _NAMES[kind] = tuple(one.name for one in fields(value))
    found = {}
    for name in names:
        one = getattr(value, name)
        found[name] = one if type(one) in _PLAIN else _plain(one)
    return found


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_NAMES: Final[dict[type[object], tuple[str, ...]]] = {}

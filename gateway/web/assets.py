"""The static files, named by their content so that a browser may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from gateway.core.urls import STATIC

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file. served_as: its name with part of its hash."""

    served_as: str
    content_type: str
    body: bytes = field(repr=False)


@cache
def load() -> dict[str, Asset]:
    """Every static file by its plain name; read once, when the first page asks."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            mark = hashlib.sha256(body).hexdigest()[:12]
            found[path.name] = Asset(f"{path.stem}.{mark}{path.suffix}", _TYPES[path.suffix], body)
    return found


def address(name: str) -> str:
    """The address of a static file, for templates."""
    return f"{STATIC}/{load()[name].served_as}"


def find(served_as: str) -> Asset | None:
    return next((asset for asset in load().values() if asset.served_as == served_as), None)

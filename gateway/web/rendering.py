"""Templates to bytes, static files, QR codes, and how pages write times, numbers and codes.

Jinja2 is imported when the first page is made, not at start-up. Static files are named by their
content, so that a browser may keep them for ever; a QR code is inline SVG, so that a page needs no
image and no script. Knows no people and no requests.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core import urls
from gateway.core.errors import Refusal

if TYPE_CHECKING:
    from jinja2 import Environment

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from io import BytesIO

from gateway.core.urls import STATIC

_FOLDER: Final = Path(__file__).parent / "templates"
_LOCAL: Final = re.compile(r' (?:href|src|action|data-options)="(?=/)')


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        asset=address,
        at=urls,
        factor_names=FACTORS,
        sentence=lambda slug: Refusal(slug).text,
    )
    found.filters.update(moment=moment, moment_iso=moment_iso, groups=groups, many=many)
    return found


def render(template: str, public_path: str, /, **values: object) -> bytes:
    """One page. Every name a template uses must be given (StrictUndefined).

    Args:
        public_path: what stands in front of every local address. Text cannot look like an
            attribute: autoescape leaves no quotation mark in it.
    """
    page = _environment().get_template(template).render(**values)
    return (_LOCAL.sub(rf"\g<0>{public_path}", page) if public_path else page).encode()


_STATIC_FOLDER: Final = Path(__file__).parent / "static"
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
    for path in sorted(_STATIC_FOLDER.iterdir()):
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


FACTORS: Final = {
    "totp": "authenticator app",
    "webauthn": "security key or passkey",
    "recovery": "recovery code",
}
"""The kinds of factor as people call them."""


def moment(when: float) -> str:
    """A time for people: 22 November 2026, 16:50 UTC."""
    at = datetime.fromtimestamp(when, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def moment_iso(when: float) -> str:
    """The same for the datetime attribute (HTML, valid global date and time string)."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def groups(text: str, size: int = 4) -> str:
    """Text in groups, as people read and type it: ABCD EFGH."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def many(count: int, one: str, more: str = "") -> str:
    """A number with its noun: 1 code, 3 codes."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def factor(recorded: str) -> str:
    """A factor as the audit trail has it (kind and name), in words: authenticator app “phone”."""
    kind, _, name = recorded.partition(" ")
    called = FACTORS.get(kind, kind)
    return f"{called} “{name}”" if name else called


def svg(text: str, label: str) -> str:
    """The markup, safe to insert: segno writes only numbers and the (escaped) label.

    Black on white whatever the colour scheme: many cameras do not read inverted codes
    (ISO/IEC 18004 leaves reflectance reversal optional).
    """
    import segno

    out = BytesIO()
    segno.make(text, error="m", micro=False).save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        svgclass="qr",
        lineclass=None,
        light="#fff",
        dark="#000",
        border=4,
        omitsize=True,
        nl=False,
    )
    markup = out.getvalue().decode()
    return markup.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)

"""Templates to bytes, static files, QR codes, and how pages write times, numbers and codes.

Jinja2 is imported when the first page is made, not at start-up. Static files are named by their
content, so that a browser may keep them for ever; a QR code is inline SVG, so that a page needs no
image and no script. Knows no people and no requests.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.core import urls
from gateway.core.appearance import PLAIN, Appearance, style
from gateway.core.errors import Refusal
from gateway.core.phrases import ENGLISH, Catalogue, Phrase, _
from gateway.languages import NAMES

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
        extensions=["jinja2.ext.i18n"],
        finalize=_finalized,
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        at=urls,
        factor_names=FACTORS,
        factor_titles=FACTOR_TITLES,
        instead=INSTEAD,
        languages=NAMES,
        sentence=lambda slug: Refusal(slug).said(_speaks.get()),
    )
    found.policies["ext.i18n.trimmed"] = True
    found.install_gettext_callables(_gettext, _ngettext)  # type: ignore[attr-defined]
    found.newstyle_gettext = True  # type: ignore[attr-defined]
    found.filters.update(
        moment=moment,
        moment_iso=moment_iso,
        clock_time=clock_time,
        clock_seconds=clock_seconds,
        day=day,
        groups=groups,
        merged=lambda one, other: {**one, **other},
        urlencode_all=lambda text: quote(text, safe=""),
    )
    return found


_speaks: Final[ContextVar[Catalogue]] = ContextVar("speaks", default=ENGLISH)
"""The language of the page that is being made; templates that others import see no values of it."""


def _finalized(value: object) -> object:
    """What stands in the place of an expression of a template."""
    return value.said(_speaks.get()) if isinstance(value, Phrase) else value


def _gettext(text: str, /, **values: object) -> str:
    return _filled(_speaks.get().gettext(text), values)


def _ngettext(one: str, more: str, count: int, /, **values: object) -> str:
    return _filled(_speaks.get().ngettext(one, more, count), {"num": count, **values})


def _filled(text: str, values: dict[str, object]) -> str:
    """A translation is markup, as the text in the template is; values are not."""
    from markupsafe import Markup

    filled = {name: _finalized(value) for name, value in values.items()}
    said = Markup(text)  # noqa: S704 - a text of our own
    return said % filled if filled else said


def render(
    template: str,
    public_path: str,
    catalogue: Catalogue,
    look: Appearance,
    /,
    **values: object,
) -> bytes:
    """One page in one language. Every name a template uses must be given (StrictUndefined).

    Args:
        public_path: what stands in front of every local address. Text cannot look like an
            attribute: autoescape leaves no quotation mark in it.
    """
    before = _speaks.set(catalogue)
    try:
        page = (
            _environment()
            .get_template(template)
            .render(language=catalogue.code, look=look, asset=partial(address, look=look), **values)
        )
    finally:
        _speaks.reset(before)
    return (_LOCAL.sub(rf"\g<0>{public_path}", page) if public_path else page).encode()


def with_script(page: bytes, public_path: str, look: Appearance, script: str) -> bytes:
    """The same page with another of our scripts."""
    tag = f'<script src="{public_path}{address(script, look)}" defer></script>\n'
    return page.replace(b"</head>", tag.encode() + b"</head>", 1)


_STATIC_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file. served_as: its name with part of its hash."""

    served_as: str
    content_type: str
    body: bytes = field(repr=False)


@cache
def load(look: Appearance = PLAIN) -> dict[str, Asset]:
    """Every static file by its name in templates; made once, when the first page asks.

    An administrator's colour is in the style sheet, so that it takes no request of its own.
    """
    found = {}
    for path in sorted(_STATIC_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            more = style(look).encode() if path.name == "style.css" else b""
            found[path.name] = _asset(path.stem, path.suffix, path.read_bytes() + more)
    if look.icon is not None:
        found["icon.svg"] = _asset("icon", f".{look.icon.kind}", look.icon.body)
    if look.logo is not None:
        found["logo"] = _asset("logo", f".{look.logo.kind}", look.logo.body)
    return found


def _asset(stem: str, suffix: str, body: bytes) -> Asset:
    mark = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"{stem}.{mark}{suffix}", _TYPES[suffix], body)


def address(name: str, look: Appearance = PLAIN) -> str:
    """The address of a static file, for templates."""
    return f"{STATIC}/{load(look)[name].served_as}"


def find(served_as: str, look: Appearance = PLAIN) -> Asset | None:
    return next((asset for asset in load(look).values() if asset.served_as == served_as), None)


FACTORS: Final = {
    "totp": _("authenticator app"),
    "webauthn": _("security key or passkey"),
    "recovery": _("recovery code"),
}
"""The kinds of factor as people call them, within a sentence."""
FACTOR_TITLES: Final = {
    "totp": _("Authenticator app"),
    "webauthn": _("Security key or passkey"),
    "recovery": _("Recovery code"),
}
"""The same at the beginning of one."""
INSTEAD: Final = {
    "totp": _("Use an authenticator app"),
    "webauthn": _("Use a security key or passkey"),
    "recovery": _("Use a recovery code"),
}
"""What the button says that leads to another kind."""
_MONTHS: Final = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)


def moment(when: float) -> Phrase:
    """A time for people: 22 November 2026, 16:50 UTC."""
    at = datetime.fromtimestamp(when, UTC)
    return _(
        "{day} {month} {year}, {time} UTC",
        day=at.day,
        month=_MONTHS[at.month - 1],
        year=at.year,
        time=f"{at:%H:%M}",
    )


def day(when: float) -> Phrase:
    """A day in UTC: 22 November 2026."""
    at = datetime.fromtimestamp(when, UTC)
    return _("{day} {month} {year}", day=at.day, month=_MONTHS[at.month - 1], year=at.year)


def moment_iso(when: float) -> str:
    """The same for the datetime attribute (HTML, valid global date and time string)."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(when: float) -> str:
    """The time of a day in UTC, under a heading that has the day."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M")


def clock_seconds(when: float) -> str:
    """The same to the second, for what is over in a minute or two."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S")


def groups(text: str, size: int = 4) -> str:
    """Text in groups, as people read and type it: ABCD EFGH."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def factor(recorded: str) -> str:
    """A factor as the audit trail has it (kind and name), in words: authenticator app “phone”."""
    kind, _blank, name = recorded.partition(" ")
    called = FACTORS.get(kind, kind)
    return _("{factor} “{name}”", factor=called, name=name) if name else called


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

"""An answer of the pages, and the security headers that all of them carry.

Knows nothing of aiohttp and no page; `pages.py` puts the headers on whatever a handler returns.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core.http.facts import Facts, Field
from gateway.core.http.responses import forms_lead_to

HTML: Final = "text/html; charset=utf-8"

# The scripts; a page runs one of the first two at most, and what its fields, times and
# countdowns need.
WEBAUTHN: Final = "webauthn.js"
CODES: Final = "codes.js"  # copies what a page shows once
FIELDS: Final = "fields.js"
TIMES: Final = "times.js"
COUNTDOWN: Final = "countdown.js"


@dataclass(frozen=True, slots=True)
class PageResponse:
    """One answer. `script`: the one its page runs; `lasting`: it may be cached for ever;
    `stream`: a body that is made as it is sent, instead of `body`."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = HTML
    fields: tuple[Field, ...] = field(default=(), repr=False)
    script: str = ""
    lasting: bool = False
    stream: AsyncIterator[bytes] | None = field(default=None, repr=False)

    def plus(self, *fields: Field) -> PageResponse:
        """The same answer with further header fields."""
        return replace(self, fields=self.fields + fields)


def see_other(target: str, *fields: Field) -> PageResponse:
    """Post/redirect/get: 303 (RFC 9110 section 15.4.4) to a path of our own."""
    return PageResponse(303, fields=(("location", target), *fields))


def as_json(status: int, value: object) -> PageResponse:
    return PageResponse(status, json.dumps(value).encode(), "application/json")


def download(name: str, content_type: str, stream: AsyncIterator[bytes]) -> PageResponse:
    """A file to keep, made as it is sent. name: ASCII without quotation marks."""
    kept = ("content-disposition", f'attachment; filename="{name}"')
    return PageResponse(200, content_type=content_type, fields=(kept,), stream=stream)


def cookies(*values: str) -> tuple[Field, ...]:
    """Set-Cookie fields from their values."""
    return tuple(("set-cookie", value) for value in values)


_DENIED_FEATURES: Final = (
    "accelerometer",
    "browsing-topics",
    "camera",
    "clipboard-read",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
_CHROMIUM: Final = re.compile(r'"Chromium";v="([0-9]{1,4})"')
_KNOWN_SINCE: Final = 135
_YEAR: Final = 365 * 24 * 3600


def policy(*, script: str, documentation: str = "") -> str:
    """The Content-Security-Policy (CSP level 3). script, documentation: see `fields`.

    `form-action` also governs where the answer to a form may redirect; all of ours stay on this
    origin, but for a login that leads back to documentation.
    """
    parts = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        forms_lead_to(documentation),
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
    if script:
        parts += ["script-src 'self'", "require-trusted-types-for 'script'"]
    if script == WEBAUTHN:
        parts.append("connect-src 'self'")
    return "; ".join(parts)


def _features(*, script: str) -> str:
    allowed = {
        "publickey-credentials-create": script == WEBAUTHN,
        "publickey-credentials-get": script == WEBAUTHN,
        "clipboard-write": script in (CODES, FIELDS),
    }
    denied = [f"{feature}=()" for feature in _DENIED_FEATURES]
    return ", ".join(denied + [f"{name}=({'self' * yes})" for name, yes in allowed.items()])


def opener_policy(facts: Facts | None) -> str:
    """The Cross-Origin-Opener-Policy that cuts a page off from whatever opened it.

    same-origin does so for pages of the index that send no such policy themselves; for those that
    do (Django's), only noopener-allow-popups (HTML standard, 2024) does. A browser that does not
    know the word takes it for no policy at all, so only those that say they know it get it.
    """
    brands = (facts.first("sec-ch-ua") or "") if facts is not None else ""
    version = _CHROMIUM.search(brands)
    knows = version is not None and int(version[1]) >= _KNOWN_SINCE
    return "noopener-allow-popups" if knows else "same-origin"


def fields(
    *,
    secure: bool,
    script: str = "",
    lasting: bool = False,
    opener: str = "same-origin",
    documentation: str = "",
) -> tuple[Field, ...]:
    """The headers of one answer.

    Args:
        secure: the public address is https, so HSTS (RFC 6797) may be promised.
        script: the one the page runs, "" for none.
        lasting: a static file named by its content, which may be kept for ever.
        opener: see `opener_policy`.
        documentation: the origin of the host that documentation has of its own, "" for none.

    Referrer-Policy is same-origin, not no-referrer: under no-referrer browsers send
    "Origin: null" with our own forms (Fetch standard, "append a request Origin header"), and
    that is what forged requests from sandboxed pages look like.
    """
    found = [
        ("server", "index-gateway"),  # no versions of anything
        ("content-security-policy", policy(script=script, documentation=documentation)),
        ("referrer-policy", "same-origin"),
        ("permissions-policy", _features(script=script)),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", opener),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "cache-control",
            f"public, max-age={_YEAR}, immutable" if lasting else "no-store",
        ),
    ]
    if secure:
        found.append(("strict-transport-security", f"max-age={_YEAR}"))
    return tuple(found)

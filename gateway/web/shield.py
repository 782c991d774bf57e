"""The security headers of every answer under /+auth/, in one place.

Knows no page; `pages.py` puts these on whatever a handler returns.
"""

from __future__ import annotations

from typing import Final

from gateway.core.facts import Field

_DENIED_FEATURES: Final = (
    "accelerometer",
    "browsing-topics",
    "camera",
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
_YEAR: Final = 365 * 24 * 3600


def policy(*, script: bool) -> str:
    """The Content-Security-Policy (CSP level 3). script: the page runs our one script.

    `form-action 'self'` also governs where the answer to a form may redirect; all of ours
    stay on this origin.
    """
    parts = [
        "default-src 'none'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
    if script:
        parts += ["script-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'"]
    return "; ".join(parts)


def _features(*, script: bool) -> str:
    passkeys = "self" if script else ""
    denied = [f"{feature}=()" for feature in _DENIED_FEATURES]
    keys = [f"publickey-credentials-{act}=({passkeys})" for act in ("create", "get")]
    return ", ".join(denied + keys)


def fields(*, secure: bool, script: bool = False, lasting: bool = False) -> tuple[Field, ...]:
    """The headers of one answer.

    Args:
        secure: the public address is https, so HSTS (RFC 6797) may be promised.
        script: the page runs the WebAuthn script.
        lasting: a static file named by its content, which may be kept for ever.

    Referrer-Policy is same-origin, not no-referrer: under no-referrer browsers send
    "Origin: null" with our own forms (Fetch standard, "append a request Origin header"), and
    that is what forged requests from sandboxed pages look like.
    """
    found = [
        ("server", "index-gateway"),  # no versions of anything
        ("content-security-policy", policy(script=script)),
        ("referrer-policy", "same-origin"),
        ("permissions-policy", _features(script=script)),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "cache-control",
            f"public, max-age={_YEAR}, immutable" if lasting else "no-store",
        ),
    ]
    if secure:
        found.append(("strict-transport-security", f"max-age={_YEAR}"))
    return tuple(found)

"""How a browser is to treat an answer of the index: one set of header fields for each kind.

Much of what an index serves was written by whoever may upload: files, their names, descriptions,
documentation. A script in it must never run where the reader's cookies are in reach. Knows
headers (CSP level 3, Fetch Metadata); knows no rules and no paths.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gateway.core.http.facts import Facts, Field


class Response(StrEnum):
    """What an answer is; see the table in docs/rules.md."""

    INERT = "inert"
    PAGES = "pages"
    DOCUMENTATION = "documentation"
    PLAIN = "plain"


# Links, downloads and forms work; a link that opens a new tab opens a page like any other.
_SANDBOX: Final = (
    "sandbox allow-downloads allow-forms allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation"
)
_FRAMES: Final = "frame-ancestors 'self'"
_FORMS: Final = "form-action 'self'"

# Nothing in it runs. The default pages of servers style themselves within the page.
_INERT: Final = "; ".join(
    [
        "default-src 'none'",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        _FORMS,
        "base-uri 'none'",
        _FRAMES,
        _SANDBOX,
    ]
)

# Scripts are files of the index, never part of a page. A description may show pictures from
# elsewhere (badges); the hash is of "display: none", which devpi-web's search form has.
_PAGES: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-hashes' 'sha256-ZdHxw9eWtnxUb3mk6tBS+gIiVUPE3pGM470keHPDFlE='",
        "img-src * data:",
        "media-src *",
        "font-src 'self' data:",
        "connect-src 'self'",
        _FORMS,
        "base-uri 'none'",
        _FRAMES,
    ]
)

# Scripts run, in an origin that nobody else has: without cookies, storage and other pages.
_DOCUMENTATION: Final = f"{_FRAMES}; {_SANDBOX} allow-modals allow-scripts"

_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")


def forms_lead_to(origin: str) -> str:
    """The directive (CSP level 3, section 6.4.1) under which forms stay here, or where their
    answers lead: a login may lead back to documentation on a host of its own.

    Args:
        origin: that host's, "" for none.
    """
    return f"{_FORMS} {origin}" if origin else _FORMS


def fields_of_each(documentation: str = "") -> dict[Response, tuple[Field, ...]]:
    """The header fields of each kind of answer.

    Args:
        documentation: the origin of the host that documentation has of its own, "" for none.
    """
    pages = _PAGES.replace(_FORMS, forms_lead_to(documentation))
    return {
        Response.INERT: (("Content-Security-Policy", _INERT), _NOSNIFF),
        Response.PAGES: (("Content-Security-Policy", pages), _NOSNIFF),
        Response.DOCUMENTATION: (("Content-Security-Policy", _DOCUMENTATION),),
        Response.PLAIN: (),
    }


FRAMED_BY_ITSELF: Final[tuple[Field, ...]] = (("Content-Security-Policy", _FRAMES),)
"""For documentation on a host of its own."""

TAKEN_IN: Final = frozenset(
    {
        "audioworklet",
        "embed",
        "json",
        "object",
        "paintworklet",
        "script",
        "serviceworker",
        "sharedworker",
        "style",
        "worker",
        "xslt",
    }
)
"""What a page takes in to run it, or to be changed by it: values of Sec-Fetch-Dest."""


def taken_in(facts: Facts) -> bool:
    """Whether a page of this origin asks for the answer as a part of itself: a script, a style.

    `script-src 'self'` lets a page run every script of its origin, uploaded ones too. A sandboxed
    page is of another origin, so documentation still gets what it is made of.
    """
    return (
        facts.first("sec-fetch-site") == "same-origin" and facts.first("sec-fetch-dest") in TAKEN_IN
    )

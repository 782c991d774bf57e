"""Who started a request, as far as a browser says (Fetch Metadata, RFC 6454).

Used wherever a cookie is the evidence: the gateway's pages and guarded requests alike.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.urls import OVERVIEW

# Fetch standard, "request mode" and "destination": no script can set either.
_OPENED: Final = frozenset({("navigate", "document"), ("navigate", None)})
_FETCHED: Final = frozenset({("cors", "empty"), ("same-origin", "empty"), ("cors", None)})


def origin_of(url: str) -> str:
    """The origin of an address as browsers write it: scheme, host, and a port that is not
    the scheme's own (RFC 6454 section 6.1)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def at_home(facts: Facts, public_url: str) -> bool:
    """Whether a request asks for the host people use; a page opened by another name is of another
    origin, which no change is taken from."""
    host = facts.first("host")
    scheme = urlsplit(public_url).scheme
    try:
        return host is None or origin_of(f"{scheme}://{host}") == origin_of(public_url)
    except ValueError:  # a port that is none
        return False


def check_own_origin(facts: Facts, public_url: str) -> None:
    """Refuse an unsafe request that a page of another origin may have started.

    A browser says so in Sec-Fetch-Site, older ones in Origin alone; what says neither is
    refused too, because then nothing tells it from a forged form. "null" is the origin of
    sandboxed pages (uploaded documentation among them) and never ours.

    Raises:
        Refusal: `cross_site`.
    """
    if facts.safe:
        return
    site = facts.first("sec-fetch-site")
    origin = facts.first("origin")
    site_fits = site in (None, "none", "same-origin")
    origin_fits = origin == origin_of(public_url) or (origin is None and site == "same-origin")
    if not (site_fits and origin_fits):
        raise Refusal(Slug.CROSS_SITE, home=public_url)


def check_opened(facts: Facts, public_url: str, *, by_script: bool = False) -> None:
    """Refuse what a browser did not do by itself to show a person a page.

    Pages of the index have the same origin as the gateway's, and may hold a script of whoever
    uploaded them. What such a script fetches, frames or prefetches comes with another mode or
    destination than an address opened, or a form sent, in a window. A browser that sends no
    Fetch Metadata (an old one; any, over plain http to another host than localhost) cannot be
    told from one that does not obey.

    Args:
        by_script: the address answers the script of our own pages, too.

    Raises:
        Refusal: `page_only`.
    """
    if not opened(facts, by_script=by_script):
        raise Refusal(Slug.PAGE_ONLY, page=public_url + OVERVIEW)


def opened(facts: Facts, *, by_script: bool = False) -> bool:
    """Whether a browser shows the answer to a person, as `check_opened` has it."""
    purpose = f"{facts.first('sec-purpose') or ''} {facts.first('purpose') or ''}"
    mode, destination = facts.first("sec-fetch-mode"), facts.first("sec-fetch-dest")
    silent = mode is None and destination is None
    fits = (mode, destination) in (_OPENED | _FETCHED if by_script else _OPENED)
    return "prefetch" not in purpose.lower() and (silent or fits)

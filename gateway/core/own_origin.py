"""Whether a change was asked for by a page of our own (Fetch Metadata, RFC 6454).

Used wherever a cookie is the evidence: the gateway's pages and guarded requests alike.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.core.errors import Refusal
from gateway.core.facts import Facts


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
        raise Refusal("cross_site", home=public_url)

"""Header hygiene: every list of header names the gateway treats specially, once.

Names are lower-case. The forwarder, the pages and the calls to the upstream all use these.
"""

from __future__ import annotations

from typing import Final

# RFC 9110 section 7.6.1, with the older names that proxies in the field still send.
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    }
)

# What only the gateway may tell the upstream (GHSA-6384-m2mw-rf54, CVE-2026-40575,
# CVE-2026-30851): deleted from the client's request, by name or by prefix. Among them what other
# servers behind a proxy believe unasked: Gitea and Grafana (x-webauth-), what stands behind
# oauth2-proxy (x-auth-request-) or a TLS proxy (ssl-client-), WSGI prefix middleware
# (x-script-name, x-scheme), and CGI's HTTP_PROXY (CVE-2016-5387).
IDENTITY_AND_ROUTE: Final = frozenset(
    {
        "client-ip",
        "forwarded",
        "proxy",
        "x-auth-user",
        "x-auth-username",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-http-method",
        "x-http-method-override",
        "x-host",
        "x-method-override",
        "x-outside-url",
        "x-otp",
        "x-real-ip",
        "x-request-id",
        "x-scheme",
        "x-script-name",
        "x-url-scheme",
        "true-client-ip",
    }
)
IDENTITY_AND_ROUTE_PREFIXES: Final = (
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    "remote-",
    "x-remote-",
    "x-auth-request-",
    "x-authenticated-",
    "x-webauth-",
    "ssl-client-",
    "x-ssl-client-",
)

# One of each at most: a second one means two readers could pick different ones.
SINGLE: Final = frozenset(
    {
        "host",
        "authorization",
        "x-devpi-auth",
        "content-length",
        "content-type",
        "transfer-encoding",
        "cookie",
        "expect",
        "origin",
        "x-otp",
        "sec-fetch-dest",
        "sec-fetch-site",
        "sec-fetch-mode",
        # Defined as one by RFC 9110; the pages' own parser refuses a second.
        "content-location",
        "content-range",
        "etag",
        "max-forwards",
        "server",
        "user-agent",
    }
)

# Fields in which one of the index servers takes a name and a password or token. What each of them
# takes beside its cookies is among these (`Upstream.carrier_fields`).
CREDENTIALS: Final = frozenset({"authorization", "x-devpi-auth"})


def dropped(name: str) -> bool:
    """Whether a client's header never reaches the upstream.

    Args:
        name: the lower-case field name.

    A name with an underscore is dropped because WSGI folds it into one with a hyphen
    (CVE-2025-64484).
    """
    return (
        name in HOP_BY_HOP
        or name in IDENTITY_AND_ROUTE
        or "_" in name
        or name.startswith(IDENTITY_AND_ROUTE_PREFIXES)
    )

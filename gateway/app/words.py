"""Small things the parts of this package share: who asks, and cookies of our own."""

from __future__ import annotations

from typing import Final

from gateway.core.audit import Origin
from gateway.core.facts import Facts
from gateway.core.headers import OWN_COOKIE_PREFIXES
from gateway.core.logins import Caller
from gateway.core.rules import Rule

MAX_GUARDED_BODY: Final = 1024 * 1024
"""Bytes of a guarded change whose answer matters; such requests are small settings."""


def origin_of_request(facts: Facts, rule: Rule | None = None) -> Origin:
    return Origin(
        address=str(facts.client or ""),
        user_agent=facts.user_agent,
        method=facts.method,
        path=facts.path,
        rule=rule.name if rule else "",
    )


def caller_of(facts: Facts, rule: Rule | None = None) -> Caller:
    return Caller(facts.client, origin_of_request(facts, rule))


def has_own_cookie(facts: Facts) -> bool:
    """Whether one of the gateway's cookies may be in the request; cheap, and never wrong the
    dangerous way."""
    header = facts.first("cookie")
    return header is not None and any(prefix in header for prefix in OWN_COOKIE_PREFIXES)

"""Who asks, out of the facts of a request: for the throttle and for the audit trail."""

from __future__ import annotations

from gateway.core.audit.events import Origin
from gateway.core.http.facts import Facts
from gateway.core.login.models import Caller
from gateway.core.rules.rules import Rule


def caller_of(facts: Facts, rule: Rule | None = None, *, secret: str = "") -> Caller:
    """The caller of a request.

    Args:
        rule: the rule that matched, None on the gateway's own pages.
        secret: the end of the path where that must not be recorded (an invitation, say).
    """
    return Caller(
        facts.client,
        Origin(
            address=str(facts.client or ""),
            user_agent=facts.user_agent,
            method=facts.method,
            path=facts.path.removesuffix(secret),
            rule=rule.name if rule else "",
        ),
    )

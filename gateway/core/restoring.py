"""What a backup brings back, and what it does not: a restored store must open no door.

Accounts, tokens and what is known of people come back. Who is logged in has to log in again. What
counts tries, tells codes that were used, or was already told, stays as it is: else putting an old
state back would give guesses, codes and logins a second life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.accounts.records import dump, load
from gateway.core.audit.trail import LOG, OF_USER
from gateway.core.copying import Restoring

BACK: Final = (
    "user",
    "person",
    "handle",
    "token",
    "token-owner",
    "token-use",
    "publisher-account",
    "index-token",
)
"""Kinds of records that come back."""
ENDED: Final = (
    "session", "device", "credential", "opaque", "traced", "pending", "enrolling", "approval",
    "challenge", "grant", "reading-pass",
)  # fmt: skip
"""Kinds that end with a restore: logins, and what was begun."""
LEFT: Final = (
    "tries", "waits", "wasted", "changes", "codes", "guesses", "told", "audit-ration", "identity",
    "invitation", "grants", "raw-upload", "raw-uploads", "raw-upload-since",
    "notice", "notice-claim", "stranger", "check", "probe", "health", "freeze",
)  # fmt: skip
"""Kinds that stay as they are."""
WITH_LOG: Final = ("audit", OF_USER)
"""Kinds that belong to the audit trail, and come back with it."""


def plan(step: int) -> Restoring:
    """What `Backed.restore` is to do.

    Args:
        step: the last time step (RFC 6238 T) whose codes could have been taken by now. Where an
            account has changed since the backup, no code of it or of one before counts again.
    """

    def mend(value: bytes) -> bytes:
        account = load(value)
        devices = tuple(replace(one, step=max(one.step, step)) for one in account.totp)
        return dump(replace(account, totp=devices))

    return Restoring(BACK, ENDED, LOG, WITH_LOG, "user", mend)

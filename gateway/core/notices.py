"""What a person is told about, and the port through which it is told."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from gateway.core.audit import Origin


class Notice(StrEnum):
    """Everything a person gets a notice of. Values are stable: webhooks use them."""

    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    WRONG_FACTOR = "wrong_factor"
    NEW_DEVICE = "new_device"
    RESET = "reset"


class Notifier(Protocol):
    """Where domain code leaves notices. They are queued; nothing waits for their delivery."""

    async def notify(self, notice: Notice, user: str, origin: Origin, *, detail: str = "") -> None:
        """Queue one notice.

        Args:
            user: a user id.
            detail: the name of a device, say; never anything secret.
        """
        ...

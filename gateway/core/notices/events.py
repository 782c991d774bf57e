"""What a person is told about, and the port through which it is told."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from gateway.core.audit.events import Origin


class Notice(StrEnum):
    """Everything a person gets a notice of. Values are stable: webhooks use them."""

    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    WRONG_FACTOR = "wrong_factor"
    WRONG_STEP_UP = "wrong_step_up"
    NEW_DEVICE = "new_device"
    LOGIN_DENIED = "login_denied"
    LOGIN_REPORTED = "login_reported"
    RESET = "reset"
    INVITED = "invited"
    UNLOCKED = "unlocked"
    LOGINS_ENDED = "logins_ended"
    ADDRESS_CHANGED = "address_changed"
    TOKEN_MADE = "token_made"  # noqa: S105 - names of notices, all of these
    TOKENS_LEFT = "tokens_left"
    TOKEN_NEEDS_RENEWAL = "token_needs_renewal"  # noqa: S105
    TOKEN_BURNT = "token_burnt"  # noqa: S105
    TOKEN_LEAKED = "token_leaked"  # noqa: S105
    REVOKED_TOKEN_TRIED = "revoked_token_tried"  # noqa: S105
    GRANT_DENIED = "grant_denied"
    GRANT_REPORTED = "grant_reported"
    PUBLISHER_USED = "publisher_used"
    PUBLISHER_NAMESAKE = "publisher_namesake"
    PUBLISHER_REPLAYED = "publisher_replayed"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    RELOAD_REFUSED = "reload_refused"


REPORTS: Final = frozenset({Notice.LOGIN_REPORTED, Notice.GRANT_REPORTED})
"""Those that an administrator gets, too."""


class Notifier(Protocol):
    """Where domain code leaves notices. They are queued; nothing waits for their delivery.

    How many of a kind a person gets is limited there, so an attack floods no mailbox.
    """

    async def notify(
        self,
        notice: Notice,
        user: str,
        origin: Origin,
        *,
        detail: str = "",
        address: str = "",
        link: str = "",
    ) -> None:
        """Queue one notice.

        Args:
            user: a user id.
            detail: the name of a device, say; never anything secret.
            address: where mail goes, if not to the address the person has now.
            link: an address for the person alone, of the gateway's own; kept sealed, and left
                out of every channel but mail.
        """
        ...

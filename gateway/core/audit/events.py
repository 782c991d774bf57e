"""What the audit trail records, from where it came, and the port through which it is told.

Knows words only; how entries are stored and chained stands in `entry` and `trail`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from gateway.core.audit.transfer import Transfer
from gateway.core.store import Put, StoreStep
from gateway.core.values import dataclass


class Event(StrEnum):
    """Everything that is recorded. Values are stable: exports and alerts use them."""

    LOGIN = "login"
    LOGIN_WITHOUT_FACTOR = "login_without_factor"
    FACTOR_REFUSED = "factor_refused"
    THROTTLED = "throttled"
    ENROLLED = "enrolled"
    FACTOR_ADDED = "factor_added"
    FACTOR_RENAMED = "factor_renamed"
    FACTOR_REMOVED = "factor_removed"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    STEP_UP = "step_up"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of an event
    INVITED = "invited"
    RESET = "reset"
    REMOVED = "removed"
    UNLOCKED = "unlocked"
    LOGINS_ENDED = "logins_ended"
    SESSION_ENDED = "session_ended"
    DEVICE_REMEMBERED = "device_remembered"
    DEVICE_FORGOTTEN = "device_forgotten"
    COMMAND_LINE_APPROVED = "command_line_approved"
    COMMAND_LINE_DENIED = "command_line_denied"
    COMMAND_LINE_REPORTED = "command_line_reported"
    GUARDED_ACT = "guarded_act"
    GUARDED_REFUSED = "guarded_refused"
    TOKEN_MADE = "token_made"  # noqa: S105 - names of events, all of these
    TOKEN_USED = "token_used"  # noqa: S105
    TOKEN_REFUSED = "token_refused"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_NEEDS_RENEWAL = "token_needs_renewal"  # noqa: S105
    TOKEN_LEAKED = "token_leaked"  # noqa: S105
    TOKEN_KEPT = "token_kept"  # noqa: S105
    LEAK_REPORT_REFUSED = "leak_report_refused"
    PUBLISHER_REFUSED = "publisher_refused"
    NOTICE_GIVEN_UP = "notice_given_up"
    NOT_RECORDED = "not_recorded"
    RETENTION = "retention"
    UPLOAD_BY_PASSWORD = "upload_by_password"  # noqa: S105
    UPLOAD = "upload"
    UPLOAD_REFUSED = "upload_refused"
    UPLOAD_FAILED = "upload_failed"
    DOWNLOAD = "download"
    KEYS_ROTATED = "keys_rotated"
    STORE_RESTORED = "store_restored"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"


OF_FILES: Final[frozenset[str]] = frozenset(
    {Event.UPLOAD, Event.UPLOAD_REFUSED, Event.UPLOAD_FAILED, Event.DOWNLOAD}
)
"""They may come by the thousand and would bury what a person has to see: of all others a copy is
kept beside that person's."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act came from, as far as it is known; all fields may be ""."""

    address: str = ""
    user_agent: str = ""
    method: str = ""
    path: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event that is recorded some time after it happened, with others (`AuditSink.record`).

    time: seconds since the epoch. project: normalised, "" for none in particular.
    request: the id of the request that made it, "" for none.
    """

    time: float
    event: Event
    user: str
    origin: Origin
    factor: str = ""
    detail: str = ""
    project: str = ""
    transfer: Transfer | None = None
    request: str = ""


class About(NamedTuple):
    """What an entry is about. project: normalised, "" for none in particular."""

    project: str = ""
    detail: str = ""


class Beside(NamedTuple):
    """A further entry of the same moment, by the same person."""

    event: Event
    factor: str
    about: About = About()


class AuditSink(Protocol):
    """Where domain code reports events."""

    async def record(
        self,
        event: Event,
        user: str,
        origin: Origin,
        *,
        factor: str = "",
        detail: str = "",
        project: str = "",
        also: Sequence[Beside] = (),
        first: Sequence[StoreStep] = (),
        then: Sequence[Put] = (),
        last: Sequence[StoreStep] = (),
    ) -> list[int] | None:
        """Append one entry.

        Args:
            user: a user id.
            factor: the kind and name of the factor, where one was used.
            detail: a short sentence or slug; never anything secret.
            project: the one that it is about, normalised; "" for none in particular.
            also: further entries of that moment.
            first: what must come to pass for it to be recorded: nothing is, where one of these
                does not hold.
            then: what the entry is about, written with it and never before it; unconditional.
            last: what goes along and may as well fail.

        Returns:
            What those `last` steps gave that were done; None where `first` did not hold.

        Raises:
            StoreUnavailable: the entry is not recorded; the caller fails closed.
        """
        ...

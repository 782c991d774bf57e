"""Every refusal, in one place: its slug, its HTTP status and the words a person reads.

Slugs are stable: tests, logs and clients use them. Nothing else in the project words a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Slug(StrEnum):
    """The stable name of a refusal; tests, logs and clients use it."""

    AMBIGUOUS_TARGET = "ambiguous_target"
    BAD_REQUEST = "bad_request"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_TOO_LARGE = "body_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    EXPECTATION_FAILED = "expectation_failed"
    UNREADABLE_FORM = "unreadable_form"
    UNSAFE_ARCHIVE = "unsafe_archive"
    UNREADABLE_LOGIN = "unreadable_login"
    DENIED = "denied"
    CREDENTIAL_REQUIRED = "credential_required"
    CREDENTIAL_ENDED = "credential_ended"
    MIXED_CREDENTIALS = "mixed_credentials"
    NOT_PART_OF_A_PAGE = "not_part_of_a_page"
    CROSS_SITE = "cross_site"
    PAGE_ONLY = "page_only"
    SERVICE_WORKER = "service_worker"
    NOTHING_TO_UPLOAD_TO = "nothing_to_upload_to"
    NOT_HERE = "not_here"
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    SESSION_NOT_ENOUGH = "session_not_enough"
    SECOND_FACTOR_STALE = "second_factor_stale"
    OTP_REQUIRED = "otp_required"
    OTP_INVALID = "otp_invalid"
    PASSWORD_INVALID = "password_invalid"  # noqa: S105
    NOT_ENROLLED = "not_enrolled"
    INVITE_REQUIRED = "invite_required"
    INVITE_INVALID = "invite_invalid"
    THROTTLED = "throttled"
    UNUSABLE_NAME = "unusable_name"
    PENDING_EXPIRED = "pending_expired"
    CSRF = "csrf"
    BAD_FORM = "bad_form"
    UNSUPPORTED_TYPE = "unsupported_type"
    FIELD_MISSING = "field_missing"
    STEP_UP_REQUIRED = "step_up_required"
    CLOCK_OFF = "clock_off"
    ENROLMENT_EXPIRED = "enrolment_expired"
    OFFER_REPLACED = "offer_replaced"
    RECOVERY_UNCONFIRMED = "recovery_unconfirmed"
    KEY_REFUSED = "key_refused"
    KEY_UNANSWERED = "key_unanswered"
    KEY_KNOWN = "key_known"
    APPROVAL_GONE = "approval_gone"
    APPROVAL_DENIED = "approval_denied"
    NUMBER_UNREADABLE = "number_unreadable"
    UNUSABLE_LABEL = "unusable_label"
    NAME_TAKEN = "name_taken"
    TOO_MANY_FACTORS = "too_many_factors"
    NO_SUCH_FACTOR = "no_such_factor"
    LAST_FACTOR = "last_factor"
    ALREADY_ENROLLED = "already_enrolled"
    NO_SUCH_PERSON = "no_such_person"
    TOKEN_UNREADABLE = "token_unreadable"  # noqa: S105 - slugs of refusals, all of these
    TOKEN_ELSEWHERE = "token_elsewhere"  # noqa: S105
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_TOO_EARLY = "token_too_early"  # noqa: S105
    TOKEN_CONDITION = "token_condition"  # noqa: S105
    TOKEN_SCOPE = "token_scope"  # noqa: S105
    TOKEN_NETWORK = "token_network"  # noqa: S105
    TOKEN_NEEDS_RENEWAL = "token_needs_renewal"  # noqa: S105
    TOKEN_NO_LOGIN = "token_no_login"  # noqa: S105
    TOKEN_REQUEST = "token_request"  # noqa: S105
    NO_SUCH_TOKEN = "no_such_token"  # noqa: S105
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_BROKEN = "upstream_broken"
    UPSTREAM_OPEN = "upstream_open"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    STORE_UNAVAILABLE = "store_unavailable"
    CROWDED = "crowded"
    INTERNAL = "internal"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"


@dataclass(frozen=True, slots=True)
class Message:
    """Status and wording of one refusal.

    `text` says what happened, `hint` what to do; both may hold `{name}` fields that
    `Refusal.detail` fills in. A detail `fix` is said instead of the hint, where this request
    needs another one. `option` is another way out, said only where `option_field` is among the
    details; `other` is said instead of everything where `other_field` is.
    """

    status: int
    title: str
    text: str
    hint: str = ""
    option: str = ""
    option_field: str = ""
    other: str = ""
    other_field: str = ""


MESSAGES: Final = MappingProxyType(
    {
        # -- the request itself -------------------------------------------------------------
        Slug.AMBIGUOUS_TARGET: Message(
            400,
            "Address not accepted",
            "The address of this request can be read in more than one way: {why}.",
            "Ask for the plain path.",
        ),
        Slug.BAD_REQUEST: Message(
            400,
            "Request not accepted",
            "This request was not accepted: {why}.",
            "Send it again with a client that follows RFC 9112.",
        ),
        Slug.HEAD_TOO_LARGE: Message(
            431,
            "Header too large",
            "The head of this request is larger than {limit} bytes.",
            "Send fewer or shorter header fields.",
        ),
        Slug.BODY_TOO_LARGE: Message(
            413,
            "Body too large",
            "The body of this request is larger than {limit} bytes, which is the limit here.",
            "Send less, or ask the administrator.",
        ),
        Slug.REQUEST_TIMEOUT: Message(
            408,
            "Request too slow",
            "The request did not arrive in time.",
            "Try again.",
        ),
        Slug.EXPECTATION_FAILED: Message(
            417,
            "Expectation not supported",
            "Only 'Expect: 100-continue' is understood.",
        ),
        Slug.UNREADABLE_FORM: Message(
            400,
            "Form not accepted",
            "The form in this request cannot be read in exactly one way: {why}.",
            "Send one ':action' field, as twine does.",
        ),
        Slug.UNSAFE_ARCHIVE: Message(
            400,
            "Archive not accepted",
            "The index would unpack this archive, and {why}.",
            "Pack it again as a plain ZIP archive whose names are relative and have no '..'.",
        ),
        Slug.UNREADABLE_LOGIN: Message(
            400,
            "Login not accepted",
            "This login cannot be read in exactly one way.",
            "Send the user name and the password once each, and neither empty, as JSON or as a "
            "plain form.",
        ),
        # -- the rules ----------------------------------------------------------------------
        Slug.DENIED: Message(403, "Not allowed", "The rules of this gateway do not allow this."),
        Slug.CREDENTIAL_REQUIRED: Message(
            401,
            "Log in first",
            "This part of the index is for people who have logged in.",
            "Send your user name and password, or log in at {login}",
            other="The index does not accept {fault}. Check the name and the password or token, "
            "or log in at {login}",
            other_field="fault",
        ),
        Slug.CREDENTIAL_ENDED: Message(
            401,
            "Login has ended",
            "This login has ended: by a log-out, from another of your browsers, or since a factor "
            "or the password changed.",
            "Log in again, in a browser at {login}",
        ),
        Slug.MIXED_CREDENTIALS: Message(
            401,
            "More than one identity",
            "This request carries credentials of more than one kind or person.",
            "Send just one of them.",
            option="(It has {fault}.)",
            option_field="fault",
            other="Beside {beside} this request carries {fault}. Remove the entry of this host "
            "from ~/.netrc, or the name from the address; logging in again does not help.",
            other_field="beside",
        ),
        Slug.NOT_PART_OF_A_PAGE: Message(
            403,
            "Uploaded file",
            "This is an uploaded file; no page of this index runs it or takes its style from it.",
            "Open it by itself.",
        ),
        Slug.CROSS_SITE: Message(
            403,
            "Request from another site",
            "This change was asked for by another site, so it was not carried out.",
            "Start from a page of this index: {home}",
        ),
        Slug.PAGE_ONLY: Message(
            403,
            "Opens in a window of its own only",
            "The pages of the gateway answer a person who opens them, no script and no frame.",
            "Open {page} in a browser window of its own.",
        ),
        Slug.SERVICE_WORKER: Message(
            403,
            "No service workers here",
            "A script asked to become a service worker, which could read every page of this host.",
            "Nothing of this index needs one; no page stops working without it.",
        ),
        Slug.NOTHING_TO_UPLOAD_TO: Message(
            404,
            "Nothing is uploaded here",
            "Nothing can be uploaded to this address.",
            "Upload to {address}",
        ),
        Slug.NOT_HERE: Message(
            404,
            "Nothing is served here",
            "Nothing is served at this address.",
            "The index is at {home}",
        ),
        # -- the second factor --------------------------------------------------------------
        Slug.SECOND_FACTOR_REQUIRED: Message(
            401,
            "Second factor required",
            "This needs a second factor.",
            "Log in with your password and code as PASSWORD,123456, or at {login}",
            option="(This request has only {fault}.)",
            option_field="fault",
        ),
        Slug.SESSION_NOT_ENOUGH: Message(
            401,
            "A browser's login is not enough",
            "A browser's login reads here, it changes nothing.",
            "Send your password and code as PASSWORD,123456, or the token of a login with them.",
            option="(This request has {fault}.)",
            option_field="fault",
        ),
        Slug.SECOND_FACTOR_STALE: Message(
            401,
            "Second factor too old",
            "This needs a second factor from the last {max_age}.",
            "Log in again with your password and code as PASSWORD,123456, or at {login}",
            option="(That of {fault} is older, or a remembered device's.)",
            option_field="fault",
        ),
        Slug.OTP_REQUIRED: Message(
            401,
            "Code required",
            "Your password is right; a one-time code is needed too.",
            "Type it after the password and a comma: PASSWORD,123456.",
            option="Or open {approve} within two minutes, type {number} there and try again.",
            option_field="approve",
        ),
        Slug.OTP_INVALID: Message(
            401,
            "Code not accepted",
            "This one-time code is wrong or was used before.",
            "Wait for the next code and try again.",
            option="After one more wrong code, app codes have to wait for a while.",
            option_field="last",
            other="That recovery code is wrong or already used. Try another one from your list.",
            other_field="recovery",
        ),
        Slug.PASSWORD_INVALID: Message(
            401,
            "Name or password not accepted",
            "The index did not accept this user name and password.",
            "Check both and try again.",
        ),
        Slug.NOT_ENROLLED: Message(
            403,
            "No second factor yet",
            "You have no second factor yet, and this index requires one.",
            "Set it up in a browser: {enrol}",
        ),
        Slug.INVITE_REQUIRED: Message(
            403,
            "Invitation required",
            "Setting up a second factor here takes an invitation.",
            "Ask the administrator for one.",
        ),
        Slug.INVITE_INVALID: Message(
            403,
            "Invitation not accepted",
            "This invitation is used up, out of date or for somebody else.",
            "Ask the administrator for a new one.",
        ),
        Slug.THROTTLED: Message(
            429,
            "Too many tries",
            "Too many tries; wait {wait}.",
            "Then try again.",
            other="Too many wrong codes. App codes work again in {wait}. You can use a recovery "
            "code or security key now.",
            other_field="instead",
        ),
        Slug.UNUSABLE_NAME: Message(
            400,
            "User name not accepted",
            "This user name is empty or has characters that cannot be used.",
        ),
        Slug.PENDING_EXPIRED: Message(
            401,
            "Login took too long",
            "This login has ended or was finished elsewhere.",
            "Log in again.",
        ),
        Slug.CSRF: Message(
            403,
            "Form out of date",
            "This page was open too long, or you logged in from another tab.",
            "Start again.",
        ),
        Slug.BAD_FORM: Message(
            400,
            "Form not accepted",
            "This form cannot be read in exactly one way: {why}.",
            "Open the page again and send it once more.",
        ),
        Slug.UNSUPPORTED_TYPE: Message(
            415,
            "Kind of body not accepted",
            "This page takes {accepted} only.",
        ),
        Slug.FIELD_MISSING: Message(
            400, "Something is missing", "{what} is missing.", "Fill it in."
        ),
        Slug.STEP_UP_REQUIRED: Message(
            401,
            "Confirm it is you",
            "Changing your factors needs a second factor from the last {max_age}.",
        ),
        # -- setting up and changing factors --------------------------------------------------
        Slug.CLOCK_OFF: Message(
            400,
            "Clock is off",
            "The code is right for another time: your phone is {offset}.",
            "Set its clock to automatic, then type the next code.",
        ),
        Slug.ENROLMENT_EXPIRED: Message(
            400,
            "Set-up took too long",
            "This set-up has ended or was started again elsewhere.",
            "Start it again; nothing has changed so far.",
        ),
        Slug.RECOVERY_UNCONFIRMED: Message(
            400,
            "Recovery codes not confirmed",
            "Nothing says yet that you have saved your recovery codes.",
            "Type one of them, or tick that you have saved them.",
            other="This is not one of the recovery codes shown last. Type one of them, or tick "
            "that you have saved them.",
            other_field="typed",
        ),
        Slug.OFFER_REPLACED: Message(
            400,
            "Another QR code",
            "This is another QR code: one was made since, in another tab. That of the page "
            "before does not count any more.",
            "Scan the one shown here, then type its code.",
        ),
        Slug.KEY_REFUSED: Message(
            400,
            "Key not accepted",
            "The answer of the browser or key could not be accepted.",
            "Try again, or use another key.",
        ),
        Slug.KEY_UNANSWERED: Message(
            400,
            "No answer from the key",
            "No key answered: it was cancelled, took too long, or none fits.",
            "Try again, or choose another way.",
        ),
        Slug.KEY_KNOWN: Message(
            400, "Key in use", "This key is among your devices already.", "Use another one."
        ),
        Slug.APPROVAL_GONE: Message(
            404,
            "No login waits here",
            "This command-line login has ended, or it is another person's.",
            "Start it again in your terminal.",
        ),
        Slug.APPROVAL_DENIED: Message(
            403,
            "Login denied",
            "This command-line login was denied, and you get a notice of it.",
            "If it was your own, start it again; if not, somebody knows your password: change it.",
        ),
        Slug.NUMBER_UNREADABLE: Message(
            400,
            "Number not readable",
            "The number has two digits and stands in your terminal, behind the address.",
            "Type it as it stands there.",
        ),
        Slug.UNUSABLE_LABEL: Message(
            400,
            "Name not accepted",
            "A device needs a name of 1 to 60 visible characters.",
            "Choose another name.",
        ),
        Slug.NAME_TAKEN: Message(
            400,
            "Name in use",
            "You have a device of this name already.",
            "Choose another name.",
        ),
        Slug.TOO_MANY_FACTORS: Message(
            400,
            "Too many devices",
            "You have {limit} devices of this kind, which is the limit.",
            "Remove one first.",
        ),
        Slug.NO_SUCH_FACTOR: Message(
            404,
            "No such device",
            "This device is not, or no longer, among yours.",
            "Open the overview again.",
        ),
        Slug.LAST_FACTOR: Message(
            409,
            "Last second factor",
            "This is your last second factor, and this index requires one.",
            "Add another one first, then remove this.",
        ),
        # -- API tokens -----------------------------------------------------------------------
        Slug.TOKEN_UNREADABLE: Message(
            401,
            "Token not readable",
            "This is no whole token of this index: it was cut off or changed on its way.",
            "Copy it again, from pypi- to its end and without quotes, or make a new one.",
        ),
        Slug.TOKEN_ELSEWHERE: Message(
            401,
            "Token of another index",
            "This token is for {place}, not for this index.",
            "Use one that was made here, and revoke that one if others may have seen it.",
        ),
        Slug.TOKEN_UNKNOWN: Message(
            401,
            "Token not known",
            "This token is not, or no longer, known here.",
            "Make a new one, or copy it again.",
        ),
        Slug.TOKEN_REVOKED: Message(
            401, "Token revoked", "This token was revoked.", "Make a new one and use that."
        ),
        Slug.TOKEN_EXPIRED: Message(
            401,
            "Token expired",
            "The time of this token is over.",
            "Make a new one; where it was narrowed for one act, narrow it again.",
        ),
        Slug.TOKEN_TOO_EARLY: Message(
            401,
            "Token not valid yet",
            "This token is not valid yet.",
            "Look at the clock of the machine that narrowed it.",
        ),
        Slug.TOKEN_CONDITION: Message(
            401,
            "Condition not known",
            "This token has a condition that is not known here, so it is not taken.",
            "Narrow it by dates, projects, actions, indexes or networks.",
        ),
        Slug.TOKEN_SCOPE: Message(
            403,
            "Not in the token's scope",
            "This token does not allow {what}.",
            "Use one whose scope does.",
        ),
        Slug.TOKEN_NETWORK: Message(
            403,
            "Not in the token's networks",
            "This token is not for the network this request comes from.",
            "Use it where it is meant to be used, or one without networks.",
        ),
        Slug.TOKEN_NEEDS_RENEWAL: Message(
            401,
            "Token has to be made anew",
            "The index no longer accepts what this token stands for: the password was changed.",
            "Make a new token with the new password.",
        ),
        Slug.TOKEN_NO_LOGIN: Message(
            403,
            "Tokens do not log in",
            "A token is used as it is; nobody logs in with it.",
            "Send it with each request, as user __token__ or by your own name; `devpi token-login` "
            "takes it, written devpi-… instead of pypi-….",
        ),
        Slug.TOKEN_REQUEST: Message(
            400,
            "Token not made",
            "This token cannot be made: {why}.",
            "Ask for what is allowed.",
        ),
        Slug.NO_SUCH_TOKEN: Message(
            404,
            "No such token",
            "There is no live token {name} of {user}.",
            "See what there is: index-gateway token list",
        ),
        # -- what an administrator asks for ---------------------------------------------------
        Slug.ALREADY_ENROLLED: Message(
            409,
            "Has a second factor",
            "{user} has a second factor already.",
            "Where it is lost, first: index-gateway user reset {user} --reason …",
        ),
        Slug.NO_SUCH_PERSON: Message(
            404,
            "No such person",
            "Nobody called {user} has logged in here or was invited.",
            "See who is known: index-gateway user list",
        ),
        # -- the world ----------------------------------------------------------------------
        Slug.UPSTREAM_UNREACHABLE: Message(
            502,
            "Index not reachable",
            "The package index behind this gateway does not answer.",
            "Try again in a moment.",
        ),
        Slug.UPSTREAM_BROKEN: Message(
            502,
            "Index answered badly",
            "The package index behind this gateway gave an answer that cannot be read.",
            "Tell the administrator.",
        ),
        Slug.UPSTREAM_OPEN: Message(
            502,
            "Index takes any password",
            "The package index behind this gateway accepts every password, so nobody can log in.",
            "Tell the administrator: it must check passwords (pypiserver: 'update' in -a).",
        ),
        Slug.UPSTREAM_TIMEOUT: Message(
            504,
            "Index too slow",
            "The package index behind this gateway did not answer in time.",
            "Try again in a moment.",
        ),
        Slug.STORE_UNAVAILABLE: Message(
            503,
            "Second factor cannot be checked",
            "The gateway cannot reach its store, so protected parts are closed for now.",
            "Downloads and uploads go on. Try again in a moment.",
        ),
        Slug.CROWDED: Message(
            503,
            "Too many at once",
            "Too many requests wait here to be read to their end, and this one waits longest.",
            "Try again, and send it without a pause.",
        ),
        Slug.INTERNAL: Message(
            500,
            "Something failed",
            "The gateway failed on this request and refused it.",
            "Tell the administrator; the log has the reason.",
        ),
        Slug.NOT_FOUND: Message(404, "No such page", "There is no such page under /+auth/."),
        Slug.METHOD_NOT_ALLOWED: Message(
            405, "Method not allowed", "This page does not take that."
        ),
    }
)


IN_THE_REQUEST: Final = (
    "Log in with your password and code as PASSWORD,123456, or send them so with this request; "
    "one is set up at {login}"
)
"""What to do instead where a login in a browser is no evidence."""
EARNED_ONLY: Final = (
    "No password does here, with a code or without: send an API token, or log in with them as "
    "PASSWORD,123456 and send the token you get."
)
"""The same where only what a login earned is evidence."""

_CREDENTIALS: Final = MappingProxyType(
    {
        "authorization": "a name and password",
        "x-devpi-auth": "devpi's login (X-Devpi-Auth)",
        "session": "this browser's session",
    }
)
"""The places of credentials, as a sentence names them; else a cookie's name."""


def credential_detail(faults: Sequence[str], beside: str = "") -> dict[str, str]:
    """The details that say which credential a refusal is about; nothing for none.

    Args:
        faults, beside: as in `gateway.core.evidence.Verdict`.
    """
    named = [_credential(place) for place in faults]
    detail = {"fault": " and ".join(named)} if named else {}
    return detail | ({"beside": _credential(beside)} if beside else {})


def _credential(place: str) -> str:
    return _CREDENTIALS.get(place) or f"the cookie {place.partition(':')[2]}"


class Refusal(Exception):
    """A request is refused, with its reason.

    Args:
        slug: which refusal it is.
        retry_after: whole seconds until another try makes sense, for `Retry-After`
            (RFC 9110 section 10.2.3).
        detail: values for the fields of the message; never anything secret.
    """

    def __init__(self, slug: Slug, *, retry_after: int | None = None, **detail: str) -> None:
        super().__init__(slug)
        self.slug: Final = slug
        self.retry_after: Final = retry_after
        self.detail: Final = detail

    @property
    def message(self) -> Message:
        return MESSAGES[self.slug]

    @property
    def status(self) -> int:
        return self.message.status

    @property
    def text(self) -> str:
        """What happened and what to do, as one or two short sentences."""
        message = self.message
        if message.other and message.other_field in self.detail:
            return message.other.format_map(_Fields(self.detail))
        hint = self.detail.get("fix", message.hint)
        option = message.option if message.option_field in self.detail else ""
        full = " ".join(part for part in (message.text, hint, option) if part)
        return full.format_map(_Fields(self.detail))


class _Fields(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"

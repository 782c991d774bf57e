"""Every refusal, in one place: its slug, its HTTP status and the words a person reads.

Slugs are stable: tests, logs and clients use them. Nothing else in the project words a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


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
        "ambiguous_target": Message(
            400,
            "Address not accepted",
            "The address of this request can be read in more than one way: {why}.",
            "Ask for the plain path.",
        ),
        "bad_request": Message(
            400,
            "Request not accepted",
            "This request was not accepted: {why}.",
            "Send it again with a client that follows RFC 9112.",
        ),
        "head_too_large": Message(
            431,
            "Header too large",
            "The head of this request is larger than {limit} bytes.",
            "Send fewer or shorter header fields.",
        ),
        "body_too_large": Message(
            413,
            "Body too large",
            "The body of this request is larger than {limit} bytes, which is the limit here.",
            "Send less, or ask the administrator.",
        ),
        "request_timeout": Message(
            408,
            "Request too slow",
            "The request did not arrive in time.",
            "Try again.",
        ),
        "expectation_failed": Message(
            417,
            "Expectation not supported",
            "Only 'Expect: 100-continue' is understood.",
        ),
        "unreadable_form": Message(
            400,
            "Form not accepted",
            "The form in this request cannot be read in exactly one way: {why}.",
            "Send one ':action' field, as twine does.",
        ),
        "unsafe_archive": Message(
            400,
            "Archive not accepted",
            "The index would unpack this archive, and {why}.",
            "Pack it again as a plain ZIP archive whose names are relative and have no '..'.",
        ),
        "unreadable_login": Message(
            400,
            "Login not accepted",
            "This login cannot be read in exactly one way.",
            "Send the user name and the password once each, and neither empty, as JSON or as a "
            "plain form.",
        ),
        # -- the rules ----------------------------------------------------------------------
        "denied": Message(403, "Not allowed", "The rules of this gateway do not allow this."),
        "credential_required": Message(
            401,
            "Log in first",
            "This part of the index is for people who have logged in.",
            "Send your user name and password, or log in at {login}",
            other="The index does not accept {fault}. Check the name and the password or token, "
            "or log in at {login}",
            other_field="fault",
        ),
        "mixed_credentials": Message(
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
        "not_part_of_a_page": Message(
            403,
            "Uploaded file",
            "This is an uploaded file; no page of this index runs it or takes its style from it.",
            "Open it by itself.",
        ),
        "cross_site": Message(
            403,
            "Request from another site",
            "This change was asked for by another site, so it was not carried out.",
            "Start from a page of this index: {home}",
        ),
        "page_only": Message(
            403,
            "Opens in a window of its own only",
            "The pages of the gateway answer a person who opens them, no script and no frame.",
            "Open {page} in a browser window of its own.",
        ),
        "service_worker": Message(
            403,
            "No service workers here",
            "A script asked to become a service worker, which could read every page of this host.",
            "Nothing of this index needs one; no page stops working without it.",
        ),
        "nothing_to_upload_to": Message(
            404,
            "Nothing is uploaded here",
            "Nothing can be uploaded to this address.",
            "Upload to {address}",
        ),
        "not_here": Message(
            404,
            "Nothing is served here",
            "Nothing is served at this address.",
            "The index is at {home}",
        ),
        # -- the second factor --------------------------------------------------------------
        "second_factor_required": Message(
            401,
            "Second factor required",
            "This needs a second factor.",
            "Log in with your password and code as PASSWORD,123456, or at {login}",
            option="(This request has only {fault}.)",
            option_field="fault",
        ),
        "session_not_enough": Message(
            401,
            "A browser's login is not enough",
            "A browser's login reads here, it changes nothing.",
            "Send your password and code as PASSWORD,123456, or the token of a login with them.",
            option="(This request has {fault}.)",
            option_field="fault",
        ),
        "second_factor_stale": Message(
            401,
            "Second factor too old",
            "This needs a second factor from the last {max_age}.",
            "Log in again with your password and code as PASSWORD,123456, or at {login}",
            option="(That of {fault} is older, or a remembered device's.)",
            option_field="fault",
        ),
        "otp_required": Message(
            401,
            "Code required",
            "Your password is right; a one-time code is needed too.",
            "Type it after the password and a comma: PASSWORD,123456",
            option="Or open {approve} within two minutes, type {number} there and try again.",
            option_field="approve",
        ),
        "otp_invalid": Message(
            401,
            "Code not accepted",
            "This one-time code is wrong or was used before.",
            "Wait for the next code and try again.",
        ),
        "password_invalid": Message(
            401,
            "Name or password not accepted",
            "The index did not accept this user name and password.",
            "Check both and try again.",
        ),
        "not_enrolled": Message(
            403,
            "No second factor yet",
            "You have no second factor yet, and this index requires one.",
            "Set it up in a browser: {enrol}",
        ),
        "invite_required": Message(
            403,
            "Invitation required",
            "Setting up a second factor here takes an invitation.",
            "Ask the administrator for one (index-gateway user invite).",
        ),
        "invite_invalid": Message(
            403,
            "Invitation not accepted",
            "This invitation is used up, out of date or for somebody else.",
            "Ask the administrator for a new one (index-gateway user invite).",
        ),
        "throttled": Message(
            429,
            "Too many tries",
            "Too many tries; wait {wait}.",
            "Then try again.",
        ),
        "unusable_name": Message(
            400,
            "User name not accepted",
            "This user name is empty or has characters that cannot be used.",
        ),
        "pending_expired": Message(
            401,
            "Login took too long",
            "This login has ended or was finished elsewhere.",
            "Log in again.",
        ),
        "csrf": Message(
            403,
            "Form out of date",
            "This form is out of date or came from another place.",
            "Open the page again and send it once more.",
        ),
        "bad_form": Message(
            400,
            "Form not accepted",
            "This form cannot be read in exactly one way: {why}.",
            "Open the page again and send it once more.",
        ),
        "unsupported_type": Message(
            415,
            "Kind of body not accepted",
            "This page takes {accepted} only.",
        ),
        "field_missing": Message(400, "Something is missing", "{what} is missing.", "Fill it in."),
        "step_up_required": Message(
            401,
            "Confirm it is you",
            "Changing your factors needs a second factor from the last {max_age}.",
        ),
        # -- setting up and changing factors --------------------------------------------------
        "clock_off": Message(
            400,
            "Clock is off",
            "The code is right for another time: your phone is {offset}.",
            "Set its clock to automatic, then type the next code.",
        ),
        "enrolment_expired": Message(
            400,
            "Set-up took too long",
            "This set-up has ended or was started again elsewhere.",
            "Start it again; nothing has changed so far.",
        ),
        "recovery_unconfirmed": Message(
            400,
            "Recovery codes not confirmed",
            "This is none of the recovery codes just shown, and the tick is missing.",
            "Type one of the codes, or tick that you have saved them.",
        ),
        "key_refused": Message(
            400,
            "Key not accepted",
            "The answer of the browser or key could not be accepted.",
            "Try again, or use another key.",
        ),
        "key_unanswered": Message(
            400,
            "No answer from the key",
            "No key answered: it was cancelled, took too long, or none fits.",
            "Try again, or choose another way.",
        ),
        "key_known": Message(
            400, "Key in use", "This key is among your devices already.", "Use another one."
        ),
        "approval_gone": Message(
            404,
            "No login waits here",
            "This command-line login has ended, or it is another person's.",
            "Start it again in your terminal.",
        ),
        "approval_denied": Message(
            403,
            "Login denied",
            "This command-line login was denied, and you get a notice of it.",
            "If it was your own, start it again; if not, somebody knows your password: change it.",
        ),
        "number_unreadable": Message(
            400,
            "Number not readable",
            "The number has two digits and stands in your terminal, behind the address.",
            "Type it as it stands there.",
        ),
        "unusable_label": Message(
            400,
            "Name not accepted",
            "A device needs a name of 1 to 60 visible characters.",
            "Choose another name.",
        ),
        "name_taken": Message(
            400,
            "Name in use",
            "You have a device of this name already.",
            "Choose another name.",
        ),
        "too_many_factors": Message(
            400,
            "Too many devices",
            "You have {limit} devices of this kind, which is the limit.",
            "Remove one first.",
        ),
        "no_such_factor": Message(
            404,
            "No such device",
            "This device is not, or no longer, among yours.",
            "Open the overview again.",
        ),
        "last_factor": Message(
            409,
            "Last second factor",
            "This is your last second factor, and this index requires one.",
            "Add another one first, then remove this.",
        ),
        # -- what an administrator asks for ---------------------------------------------------
        "already_enrolled": Message(
            409,
            "Has a second factor",
            "{user} has a second factor already.",
            "Where it is lost, first: index-gateway user reset {user} --reason …",
        ),
        "no_such_person": Message(
            404,
            "No such person",
            "Nobody called {user} has logged in here or was invited.",
            "See who is known: index-gateway user list",
        ),
        # -- the world ----------------------------------------------------------------------
        "upstream_unreachable": Message(
            502,
            "Index not reachable",
            "The package index behind this gateway does not answer.",
            "Try again in a moment.",
        ),
        "upstream_broken": Message(
            502,
            "Index answered badly",
            "The package index behind this gateway gave an answer that cannot be read.",
            "Tell the administrator.",
        ),
        "upstream_open": Message(
            502,
            "Index takes any password",
            "The package index behind this gateway accepts every password, so nobody can log in.",
            "Tell the administrator: it must check passwords (pypiserver: 'update' in -a).",
        ),
        "upstream_timeout": Message(
            504,
            "Index too slow",
            "The package index behind this gateway did not answer in time.",
            "Try again in a moment.",
        ),
        "store_unavailable": Message(
            503,
            "Second factor cannot be checked",
            "The gateway cannot reach its store, so protected parts are closed for now.",
            "Downloads and uploads go on. Try again in a moment.",
        ),
        "crowded": Message(
            503,
            "Too many at once",
            "Too many requests wait here to be read to their end, and this one waits longest.",
            "Try again, and send it without a pause.",
        ),
        "shutting_down": Message(
            503, "Restarting", "The gateway is restarting.", "Try again in a moment."
        ),
        "internal": Message(
            500,
            "Something failed",
            "The gateway failed on this request and refused it.",
            "Tell the administrator; the log has the reason.",
        ),
        "not_found": Message(404, "No such page", "There is no such page under /+auth/."),
        "method_not_allowed": Message(405, "Method not allowed", "This page does not take that."),
    }
)


IN_THE_REQUEST: Final = (
    "Log in with your password and code as PASSWORD,123456, or send them so with this request; "
    "one is set up at {login}"
)
"""What to do instead where a login in a browser is no evidence."""
EARNED_ONLY: Final = (
    "No password does here, with a code or without: log in with them as PASSWORD,123456, and send "
    "the token you get."
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
        slug: a key of `MESSAGES`.
        retry_after: whole seconds until another try makes sense, for `Retry-After`
            (RFC 9110 section 10.2.3).
        detail: values for the fields of the message; never anything secret.
    """

    def __init__(self, slug: str, *, retry_after: int | None = None, **detail: str) -> None:
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

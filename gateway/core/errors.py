"""Every refusal, in one place: its slug, its HTTP status and the words a person reads.

Slugs are stable: tests, logs and clients use them. Nothing else in the project words a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gateway.core.phrases import ENGLISH, Catalogue, _, every, say


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
    NOT_PERMITTED = "not_permitted"
    PROJECT_UNCLEAR = "project_unclear"
    FROZEN = "frozen"
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
    PASSWORD_UNUSABLE = "password_unusable"  # noqa: S105
    PASSWORDS_DIFFER = "passwords_differ"
    NOT_ENROLLED = "not_enrolled"
    INVITE_REQUIRED = "invite_required"
    INVITE_INVALID = "invite_invalid"
    INVITE_USED = "invite_used"
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
    APPROVAL_REPORTED = "approval_reported"
    GRANT_DENIED = "grant_denied"
    GRANT_REPORTED = "grant_reported"
    NUMBER_UNREADABLE = "number_unreadable"
    UNUSABLE_LABEL = "unusable_label"
    NAME_TAKEN = "name_taken"
    TOO_MANY_FACTORS = "too_many_factors"
    NO_SUCH_FACTOR = "no_such_factor"
    LAST_FACTOR = "last_factor"
    ALREADY_ENROLLED = "already_enrolled"
    NO_SUCH_PERSON = "no_such_person"
    OWN_ACCOUNT = "own_account"
    CHANGED_MEANWHILE = "changed_meanwhile"
    REASON_TOO_LONG = "reason_too_long"
    UNREADABLE_FILTER = "unreadable_filter"
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
    LEAK_REPORT = "leak_report"
    LOGIN_BY_PASSWORD = "login_by_password"  # noqa: S105
    OIDC_OFF = "oidc_off"
    OIDC_PAYLOAD = "oidc_payload"
    OIDC_TOKEN = "oidc_token"  # noqa: S105
    OIDC_REUSED = "oidc_reused"
    OIDC_PUBLISHER = "oidc_publisher"
    PUBLISHER_ONLY = "publisher_only"
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
            _("Address not accepted"),
            _("The address of this request can be read in more than one way: {why}."),
            _("Ask for the plain path."),
        ),
        Slug.BAD_REQUEST: Message(
            400,
            _("Request not accepted"),
            _("This request was not accepted: {why}."),
            _("Send it again with a client that follows RFC 9112."),
        ),
        Slug.HEAD_TOO_LARGE: Message(
            431,
            _("Header too large"),
            _("The head of this request is larger than {limit} bytes."),
            _("Send fewer or shorter header fields."),
        ),
        Slug.BODY_TOO_LARGE: Message(
            413,
            _("Body too large"),
            _("The body of this request is larger than {limit} bytes, which is the limit here."),
            _("Send less, or ask the administrator."),
        ),
        Slug.REQUEST_TIMEOUT: Message(
            408,
            _("Request too slow"),
            _("The request did not arrive in time."),
            _("Try again."),
        ),
        Slug.EXPECTATION_FAILED: Message(
            417,
            _("Expectation not supported"),
            _("Only 'Expect: 100-continue' is understood."),
        ),
        Slug.UNREADABLE_FORM: Message(
            400,
            _("Form not accepted"),
            _("The form in this request cannot be read in exactly one way: {why}."),
            _("Send one ':action' field, as twine does."),
        ),
        Slug.UNSAFE_ARCHIVE: Message(
            400,
            _("Archive not accepted"),
            _("The index would unpack this archive, and {why}."),
            _("Pack it again as a plain ZIP archive whose names are relative and have no '..'."),
        ),
        Slug.UNREADABLE_LOGIN: Message(
            400,
            _("Login not accepted"),
            _("This login cannot be read in exactly one way."),
            _(
                "Send the user name and the password once each, and neither empty, as JSON or as a "
                "plain form."
            ),
        ),
        # -- the rules ----------------------------------------------------------------------
        Slug.DENIED: Message(
            403, _("Not allowed"), _("The rules of this gateway do not allow this.")
        ),
        Slug.NOT_PERMITTED: Message(
            403,
            _("Not for you"),
            _("The rules of this gateway do not allow this to whom your credentials name."),
            _("Ask the administrator whether you should be able to."),
            option=_("It is for {who}."),
            option_field="who",
            other=_(
                "{project} is not there yet, and whoever your credentials name may not begin it. "
                "Check the name, or ask the administrator."
            ),
            other_field="project",
        ),
        Slug.PROJECT_UNCLEAR: Message(
            400,
            _("Project not certain"),
            _("It cannot be told for certain which project this request is about: {why}."),
            _("Send it with a current twine, uv or devpi-client."),
        ),
        # Not 503: twine would wait in silence until the end that Retry-After names.
        Slug.FROZEN: Message(
            403,
            _("Stopped for now"),
            _("{what} until {until}."),
            _("Downloads go on."),
            option=_("The administrator says: {reason}"),
            option_field="reason",
        ),
        Slug.CREDENTIAL_REQUIRED: Message(
            401,
            _("Log in first"),
            _("This part of the index is for people who have logged in."),
            _("Send your user name and password, or log in at {login}"),
            other=_(
                "The index does not accept {fault}. Check the name and the password or token, "
                "or log in at {login}"
            ),
            other_field="fault",
        ),
        Slug.CREDENTIAL_ENDED: Message(
            401,
            _("Login has ended"),
            _(
                "This login has ended: by a log-out, from another of your browsers, or since a "
                "factor or the password changed."
            ),
            _("Log in again, in a browser at {login}"),
        ),
        Slug.MIXED_CREDENTIALS: Message(
            401,
            _("More than one identity"),
            _("This request carries credentials of more than one kind or person."),
            _("Send just one of them."),
            option=_("(It has {fault}.)"),
            option_field="fault",
            other=_(
                "Beside {beside} this request carries {fault}. Remove the entry of this host "
                "from ~/.netrc, or the name from the address; logging in again does not help."
            ),
            other_field="beside",
        ),
        Slug.NOT_PART_OF_A_PAGE: Message(
            403,
            _("Uploaded file"),
            _(
                "This is an uploaded file; no page of this index runs it or takes its style from "
                "it."
            ),
            _("Open it by itself."),
        ),
        Slug.CROSS_SITE: Message(
            403,
            _("Request from another site"),
            _("This change was asked for by another site, so it was not carried out."),
            _("Start from a page of this index: {home}"),
        ),
        Slug.PAGE_ONLY: Message(
            403,
            _("Opens in a window of its own only"),
            _("The pages of the gateway answer a person who opens them, no script and no frame."),
            _("Open {page} in a browser window of its own."),
        ),
        Slug.SERVICE_WORKER: Message(
            403,
            _("No service workers here"),
            _(
                "A script asked to become a service worker, which could read every page of this "
                "host."
            ),
            _("Nothing of this index needs one; no page stops working without it."),
        ),
        Slug.NOTHING_TO_UPLOAD_TO: Message(
            404,
            _("Nothing is uploaded here"),
            _("Nothing can be uploaded to this address."),
            _("Upload to {address}"),
        ),
        Slug.NOT_HERE: Message(
            404,
            _("Nothing is served here"),
            _("Nothing is served at this address."),
            _("The index is at {home}"),
        ),
        # -- the second factor --------------------------------------------------------------
        Slug.SECOND_FACTOR_REQUIRED: Message(
            401,
            _("Second factor required"),
            _("This needs a second factor."),
            _("Log in with your password and code as PASSWORD,123456, or at {login}"),
            option=_("(This request has only {fault}.)"),
            option_field="fault",
        ),
        Slug.SESSION_NOT_ENOUGH: Message(
            401,
            _("A browser's login is not enough"),
            _("A browser's login reads here, it changes nothing."),
            _("Send your password and code as PASSWORD,123456, or the token of a login with them."),
            option=_("(This request has {fault}.)"),
            option_field="fault",
        ),
        Slug.SECOND_FACTOR_STALE: Message(
            401,
            _("Second factor too old"),
            _("This needs a second factor from the last {max_age}."),
            _("Log in again with your password and code as PASSWORD,123456, or at {login}"),
            option=_("(That of {fault} is older, or a remembered device's.)"),
            option_field="fault",
        ),
        Slug.OTP_REQUIRED: Message(
            401,
            _("Code required"),
            _("Your password is right; a one-time code is needed too."),
            _("Type it after the password and a comma: PASSWORD,123456."),
            option=_("Or open {approve} within two minutes, type {number} there and try again."),
            option_field="approve",
        ),
        Slug.OTP_INVALID: Message(
            401,
            _("Code not accepted"),
            _("This one-time code is wrong or was used before."),
            _("Wait for the next code and try again."),
            option=_("After one more wrong code, app codes have to wait for a while."),
            option_field="last",
            other=_("That recovery code is wrong or already used. Try another one from your list."),
            other_field="recovery",
        ),
        Slug.PASSWORD_INVALID: Message(
            401,
            _("Name or password not accepted"),
            _("The index did not accept this user name and password."),
            _("Check both and try again."),
        ),
        Slug.PASSWORD_UNUSABLE: Message(
            400,
            _("New password not accepted"),
            _("A new password has 8 characters or more, and is not the old one."),
            _("Choose another one."),
        ),
        Slug.PASSWORDS_DIFFER: Message(
            400,
            _("Not the same"),
            _("The two new passwords are not the same."),
            _("Type both again."),
        ),
        Slug.NOT_ENROLLED: Message(
            403,
            _("No second factor yet"),
            _("You have no second factor yet, and this index requires one."),
            _("Set it up in a browser: {enrol}"),
        ),
        Slug.INVITE_REQUIRED: Message(
            403,
            _("Invitation required"),
            _("Setting up a second factor here takes an invitation."),
            _("Ask the administrator for one."),
        ),
        Slug.INVITE_INVALID: Message(
            403,
            _("Invitation not accepted"),
            _("This invitation is used up, out of date or for somebody else."),
            _("Ask the administrator for a new one."),
        ),
        Slug.INVITE_USED: Message(
            403,
            _("Invitation used"),
            _("This invitation is used up: a second factor was set up on {when}."),
            _("If that was you, log in as usual. If not, tell the administrator at once."),
        ),
        Slug.THROTTLED: Message(
            429,
            _("Too many tries"),
            _("Too many tries; wait {wait}."),
            _("Then try again."),
            other=_(
                "Too many wrong codes. App codes work again in {wait}. You can use a recovery "
                "code or security key now."
            ),
            other_field="instead",
        ),
        Slug.UNUSABLE_NAME: Message(
            400,
            _("User name not accepted"),
            _("This user name is empty or has characters that cannot be used."),
        ),
        Slug.PENDING_EXPIRED: Message(
            401,
            _("Login took too long"),
            _("This login has ended or was finished elsewhere."),
            _("Log in again."),
        ),
        Slug.CSRF: Message(
            403,
            _("Form out of date"),
            _("This page was open too long, or you logged in from another tab."),
            _("Start again."),
        ),
        Slug.BAD_FORM: Message(
            400,
            _("Form not accepted"),
            _("This form cannot be read in exactly one way: {why}."),
            _("Open the page again and send it once more."),
        ),
        Slug.UNSUPPORTED_TYPE: Message(
            415,
            _("Kind of body not accepted"),
            _("This page takes {accepted} only."),
        ),
        Slug.FIELD_MISSING: Message(
            400, _("Something is missing"), _("{what} is missing."), _("Fill it in.")
        ),
        Slug.STEP_UP_REQUIRED: Message(
            401,
            _("Confirm it is you"),
            _("Changing your factors needs a second factor from the last {max_age}."),
        ),
        # -- setting up and changing factors --------------------------------------------------
        Slug.CLOCK_OFF: Message(
            400,
            _("Clock is off"),
            _("The code is right for another time: your phone is {offset}."),
            _("Set its clock to automatic, then type the next code."),
        ),
        Slug.ENROLMENT_EXPIRED: Message(
            400,
            _("Set-up took too long"),
            _("This set-up has ended or was started again elsewhere."),
            _("Start it again; nothing has changed so far."),
        ),
        Slug.RECOVERY_UNCONFIRMED: Message(
            400,
            _("Recovery codes not confirmed"),
            _("Nothing says yet that you have saved your recovery codes."),
            _("Type one of them, or tick that you have saved them."),
            other=_(
                "This is not one of the recovery codes shown last. Type one of them, or tick "
                "that you have saved them."
            ),
            other_field="typed",
        ),
        Slug.OFFER_REPLACED: Message(
            400,
            _("Another QR code"),
            _(
                "This is another QR code: one was made since, in another tab. That of the page "
                "before does not count any more."
            ),
            _("Scan the one shown here, then type its code."),
        ),
        Slug.KEY_REFUSED: Message(
            400,
            _("Key not accepted"),
            _("The answer of the browser or key could not be accepted."),
            _("Try again, or use another key."),
        ),
        Slug.KEY_UNANSWERED: Message(
            400,
            _("No answer from the key"),
            _("No key answered: it was cancelled, took too long, or none fits."),
            _("Try again, or choose another way."),
        ),
        Slug.KEY_KNOWN: Message(
            400,
            _("Key in use"),
            _("This key is among your devices already."),
            _("Use another one."),
        ),
        Slug.APPROVAL_GONE: Message(
            404,
            _("No login waits here"),
            _("This command-line login has ended, or it is another person's."),
            _("Start it again in your terminal."),
        ),
        Slug.APPROVAL_DENIED: Message(
            403,
            _("Login denied"),
            _("This command-line login was denied, and you get a notice of it."),
            _(
                "If it was your own, start it again; if not, somebody knows your password: change "
                "it."
            ),
        ),
        Slug.APPROVAL_REPORTED: Message(
            403,
            _("Login denied and reported"),
            _("This command-line login was denied, and reported to the administrator."),
            _("Somebody else knows your password: change it now."),
        ),
        Slug.GRANT_DENIED: Message(
            403,
            _("Command line not let in"),
            _("This command line was not let in, and you get a notice of it."),
            _(
                "If it was your own, start it again; if somebody sent you the address, tell the "
                "administrator."
            ),
        ),
        Slug.GRANT_REPORTED: Message(
            403,
            _("Command line denied and reported"),
            _("This command line was not let in, and was reported to the administrator."),
            _("It has got nothing of yours. Do not open such an address again."),
        ),
        Slug.NUMBER_UNREADABLE: Message(
            400,
            _("Number not readable"),
            _("The number has two digits and stands in your terminal, behind the address."),
            _("Type it as it stands there."),
        ),
        Slug.UNUSABLE_LABEL: Message(
            400,
            _("Name not accepted"),
            _("A device needs a name of 1 to 60 visible characters."),
            _("Choose another name."),
        ),
        Slug.NAME_TAKEN: Message(
            400,
            _("Name in use"),
            _("You have a device of this name already."),
            _("Choose another name."),
        ),
        Slug.TOO_MANY_FACTORS: Message(
            400,
            _("Too many devices"),
            _("You have {limit} devices of this kind, which is the limit."),
            _("Remove one first."),
        ),
        Slug.NO_SUCH_FACTOR: Message(
            404,
            _("No such device"),
            _("This device is not, or no longer, among yours."),
            _("Open the overview again."),
        ),
        Slug.LAST_FACTOR: Message(
            409,
            _("Last second factor"),
            _("This is your last second factor, and this index requires one."),
            _("Add another one first, then remove this."),
        ),
        # -- API tokens -----------------------------------------------------------------------
        Slug.TOKEN_UNREADABLE: Message(
            401,
            _("Token not readable"),
            _("This is no whole token of this index: it was cut off or changed on its way."),
            _("Copy it again, from pypi- to its end and without quotes, or make a new one."),
        ),
        Slug.TOKEN_ELSEWHERE: Message(
            401,
            _("Token of another index"),
            _("This token is for {place}, not for this index."),
            _("Use one that was made here, and revoke that one if others may have seen it."),
        ),
        Slug.TOKEN_UNKNOWN: Message(
            401,
            _("Token not known"),
            _("This token is not, or no longer, known here."),
            _("Make a new one, or copy it again."),
        ),
        Slug.TOKEN_REVOKED: Message(
            401, _("Token revoked"), _("This token was revoked."), _("Make a new one and use that.")
        ),
        Slug.TOKEN_EXPIRED: Message(
            401,
            _("Token expired"),
            _("The time of this token is over."),
            _("Make a new one; where it was narrowed for one act, narrow it again."),
        ),
        Slug.TOKEN_TOO_EARLY: Message(
            401,
            _("Token not valid yet"),
            _("This token is not valid yet."),
            _("Look at the clock of the machine that narrowed it."),
        ),
        Slug.TOKEN_CONDITION: Message(
            401,
            _("Condition not known"),
            _("This token has a condition that is not known here, so it is not taken."),
            _("Narrow it by dates, projects, actions, indexes or networks."),
        ),
        Slug.TOKEN_SCOPE: Message(
            403,
            _("Not in the token's scope"),
            _("This token does not allow {what}."),
            _("Use one whose scope does."),
        ),
        Slug.TOKEN_NETWORK: Message(
            403,
            _("Not in the token's networks"),
            _("This token is not for the network this request comes from."),
            _("Use it where it is meant to be used, or one without networks."),
        ),
        Slug.TOKEN_NEEDS_RENEWAL: Message(
            401,
            _("Token has to be made anew"),
            _("The index no longer accepts what this token stands for: the password was changed."),
            _("Make a new token with the new password."),
        ),
        Slug.TOKEN_NO_LOGIN: Message(
            403,
            _("Tokens do not log in"),
            _("A token is used as it is; nobody logs in with it."),
            _(
                "Send it with each request, as user __token__ or by your own name; `devpi "
                "token-login` takes it, written devpi-… instead of pypi-…."
            ),
        ),
        Slug.TOKEN_REQUEST: Message(
            400,
            _("Token not made"),
            _("This token cannot be made: {why}."),
            _("Ask for what is allowed."),
        ),
        Slug.NO_SUCH_TOKEN: Message(
            404,
            _("No such token"),
            _("There is no live token {name} of {user}."),
            _("See what there is: index-gateway token list"),
            other=_("There is no such token among yours: it has ended long ago, or is not yours."),
            other_field="own",
        ),
        Slug.LEAK_REPORT: Message(
            400,
            _("Report not accepted"),
            _("This report of leaked tokens is not accepted: {why}."),
            _("See docs/tokens.md for its form and its signature."),
        ),
        Slug.LOGIN_BY_PASSWORD: Message(
            409,
            _("Log in with your password"),
            _("This browser's login was by a passkey alone, and the index wants more."),
            _("Log out, log in with your password, and open this address again."),
        ),
        # -- trusted publishing ---------------------------------------------------------------
        Slug.OIDC_OFF: Message(
            403,
            _("No trusted publishing"),
            _("Trusted publishing functionality not enabled"),
        ),
        Slug.OIDC_PAYLOAD: Message(
            422,
            _("No identity token"),
            _("This is no identity token for this index: {why}."),
        ),
        Slug.OIDC_TOKEN: Message(
            422,
            _("Identity token not accepted"),
            _("This identity token is not accepted: {why}."),
        ),
        Slug.OIDC_REUSED: Message(
            422,
            _("Identity token used up"),
            _("This identity token was used before."),
            _("Have the job ask for a new one."),
        ),
        Slug.OIDC_PUBLISHER: Message(
            422,
            _("No such publisher"),
            _("The identity token is valid, but {why}."),
            _("Compare it with the publishers in the index's configuration."),
        ),
        Slug.PUBLISHER_ONLY: Message(
            403,
            _("Uploaded by a trusted publisher alone"),
            _("{project} is uploaded by its trusted publisher, and in no other way."),
            _("Run that job, or ask the administrator."),
        ),
        # -- what an administrator asks for ---------------------------------------------------
        Slug.ALREADY_ENROLLED: Message(
            409,
            _("Has a second factor"),
            _("{user} has a second factor already."),
            _("Where it is lost, first: index-gateway user reset {user} --reason …"),
        ),
        Slug.NO_SUCH_PERSON: Message(
            404,
            _("No such person"),
            _("Nobody called {user} has logged in here or was invited."),
            _("See who is known: index-gateway user list"),
        ),
        Slug.OWN_ACCOUNT: Message(
            409,
            _("Not for yourself"),
            _("Nobody does this to their own account here."),
            _("Another administrator can, or: index-gateway user reset"),
        ),
        Slug.CHANGED_MEANWHILE: Message(
            409,
            _("Changed meanwhile"),
            _("The factors or logins of {user} have changed since this page was opened."),
            _("Look again before you go on."),
        ),
        Slug.REASON_TOO_LONG: Message(
            400,
            _("Reason too long"),
            _("The reason has more than {limit} characters."),
            _("Say it shorter."),
        ),
        Slug.UNREADABLE_FILTER: Message(
            400,
            _("Filter not readable"),
            _("A day is written like 2026-01-31, and a name as in a login."),
            _("Write it anew."),
        ),
        # -- the world ----------------------------------------------------------------------
        Slug.UPSTREAM_UNREACHABLE: Message(
            502,
            _("Index not reachable"),
            _("The package index behind this gateway does not answer."),
            _("Try again in a moment."),
        ),
        Slug.UPSTREAM_BROKEN: Message(
            502,
            _("Index answered badly"),
            _("The package index behind this gateway gave an answer that cannot be read."),
            _("Tell the administrator."),
        ),
        Slug.UPSTREAM_OPEN: Message(
            502,
            _("Index takes any password"),
            _(
                "The package index behind this gateway accepts every password, so nobody can log "
                "in."
            ),
            _("Tell the administrator: it must check passwords (pypiserver: 'update' in -a)."),
        ),
        Slug.UPSTREAM_TIMEOUT: Message(
            504,
            _("Index too slow"),
            _("The package index behind this gateway did not answer in time."),
            _("Try again in a moment."),
        ),
        Slug.STORE_UNAVAILABLE: Message(
            503,
            _("Second factor cannot be checked"),
            _("The gateway cannot reach its store, so protected parts are closed for now."),
            _("Downloads and uploads go on. Try again in a moment."),
        ),
        Slug.CROWDED: Message(
            503,
            _("Too many at once"),
            _("Too many requests wait here to be read to their end, and this one waits longest."),
            _("Try again, and send it without a pause."),
        ),
        Slug.INTERNAL: Message(
            500,
            _("Something failed"),
            _("The gateway failed on this request and refused it."),
            _("Tell the administrator; the log has the reason."),
        ),
        Slug.NOT_FOUND: Message(404, _("No such page"), _("There is no such page under /+auth/.")),
        Slug.METHOD_NOT_ALLOWED: Message(
            405, _("Method not allowed"), _("This page does not take that.")
        ),
    }
)


IN_THE_REQUEST: Final = _(
    "Log in with your password and code as PASSWORD,123456, or send them so with this request; "
    "one is set up at {login}"
)
"""What to do instead where a login in a browser is no evidence."""
EARNED_ONLY: Final = _(
    "No password does here, with a code or without: send an API token, or log in with them as "
    "PASSWORD,123456 and send the token you get."
)
"""The same where only what a login earned is evidence."""

CODES_WAIT: Final = _("App codes work again in {wait}.")
CODES_WAIT_ELSE: Final = _(
    "App codes work again in {wait}. You can use a recovery code or security key now."
)
"""What to do after the wrong code that was one too many."""

_CREDENTIALS: Final = MappingProxyType(
    {
        "authorization": _("a name and password"),
        "x-devpi-auth": _("devpi's login (X-Devpi-Auth)"),
        "session": _("this browser's session"),
    }
)
"""The places of credentials, as a sentence names them; else a cookie's name."""


def credential_detail(faults: Sequence[str], beside: str = "") -> dict[str, str]:
    """The details that say which credential a refusal is about; nothing for none.

    Args:
        faults, beside: as in `gateway.core.evidence.Verdict`.
    """
    named = [_credential(place) for place in faults]
    detail = {"fault": every(*named)} if named else {}
    return detail | ({"beside": _credential(beside)} if beside else {})


def _credential(place: str) -> str:
    return _CREDENTIALS.get(place) or _("the cookie {name}", name=place.partition(":")[2])


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
        """What happened and what to do, as one or two short sentences, in English."""
        return self.said(ENGLISH)

    def said(self, catalogue: Catalogue) -> str:
        """The same in the language of whoever reads it."""
        message = self.message
        fields = _Fields({name: say(held, catalogue) for name, held in self.detail.items()})
        if message.other and message.other_field in self.detail:
            return say(message.other, catalogue).format_map(fields)
        hint = self.detail.get("fix", message.hint)
        option = message.option if message.option_field in self.detail else ""
        parts = (message.text, hint, option)
        full = catalogue.gap.join(say(part, catalogue) for part in parts if part)
        return full.format_map(fields)


class _Fields(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"

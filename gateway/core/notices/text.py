"""The words of notices: what happened, when, from where, and what to do if it wasn't you."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.core.phrases import ENGLISH, Catalogue, Phrase, _, say
from gateway.core.urls import OVERVIEW, TOKENS
from gateway.core.wording import device_name


@dataclass(frozen=True, slots=True)
class _Words:
    """subject: a line of its own. happened: a sentence, ended by the detail where there is one.
    otherwise: what to do if it wasn't the person."""

    subject: Phrase
    happened: Phrase
    otherwise: Phrase


_STOLEN: Final = _(
    "Somebody knows your password. Change it now, look at what is listed at\n"
    "{overview} and tell the administrator of the index."
)
_LOOK: Final = _(
    "Sign in at {overview},\n"
    "remove what you do not know, change your password and tell the administrator\nof the index."
)
_LAST: Final = _(
    "There were many of these. No more are sent today; what happens is listed at\n{overview}"
)

_LINK: Final = _(
    "Set up a new one here. The link works once, for 24 hours, with your password:\n{link}"
)
_BY_WHOM: Final = _("Somebody else has the gateway's command line: ask who it was.")
_MINE: Final = _("If that was you, there is nothing to do.")
_DECIDE: Final = _(
    "If that was you: say of each whether you keep or end it at\n{tokens}\n"
    "One that stands for the old password cannot be used any more."
)
_REPLACE: Final = _(
    "If you put it there: make a new one at {tokens}\n"
    "and keep it where nobody else reads it. The address where it was found, and what was done\n"
    "with it, are listed at {overview}"
)
_CHANGE: Final = _(
    "If that was you: somebody else knows your password. Change it now, at\n{overview}"
)
_REPORTS: Final = MappingProxyType(
    {
        Notice.LOGIN_REPORTED: (
            _("{user} denied a command-line login that gave their right password, and reported it"),
            _(
                "Somebody else knows that password. See that it is changed; the trail of {user} "
                "tells the rest:\nindex-gateway audit export --user {user}"
            ),
        ),
        Notice.GRANT_REPORTED: (
            _("{user} was asked to let a command line in, denied it, and reported it"),
            _(
                "Somebody sent them an address to open, or a program asks without being told to.\n"
                "Others may get one as well: warn them. The trail of {user} tells the rest:\n"
                "index-gateway audit export --user {user}"
            ),
        ),
    }
)
"""What an administrator is told of a report: what happened, and what to do."""
_ASKED: Final = _(
    "If you asked for it: nothing but an invitation lets you in now. Where you got none,\n"
    "or it is too old, ask the administrator for one."
)

CountryOf: TypeAlias = Callable[[str], str]
"""Names the country that an address is in, "" where that is not known."""

_WORDS: Final = MappingProxyType(
    {
        Notice.FACTOR_ADDED: _Words(
            _("A second factor was added"), _("A second factor was added to your account"), _LOOK
        ),
        Notice.FACTOR_REMOVED: _Words(
            _("A second factor was removed"),
            _("A second factor was removed from your account"),
            _LOOK,
        ),
        Notice.RECOVERY_CODES_MADE: _Words(
            _("New recovery codes were made"),
            _("New recovery codes were made for your account; the old ones no longer work"),
            _LOOK,
        ),
        Notice.RECOVERY_CODE_USED: _Words(
            _("A recovery code was used"),
            _("One of your recovery codes was used"),
            _(
                "Somebody has your recovery codes and your password. Change the password now,\n"
                "make new codes at {overview}\nand tell the administrator of the index."
            ),
        ),
        Notice.WRONG_FACTOR: _Words(
            _("A wrong code after your password"),
            _("Somebody gave your right password, then a wrong second factor, and was not let in"),
            _STOLEN,
        ),
        Notice.WRONG_STEP_UP: _Words(
            _("A wrong code in a session of yours"),
            _("Somebody who is signed in as you gave a wrong second factor and was stopped"),
            _(
                "Somebody uses a session of yours. Sign in at {overview},\n"
                "end the sessions you do not know, change your password and tell the "
                "administrator\nof the index."
            ),
        ),
        Notice.NEW_DEVICE: _Words(
            _("A login from a new device"),
            _("Your account was signed in to from a device, or a place, it was not used at before"),
            _(
                "Somebody is signed in as you. Sign in at {overview},\n"
                "end the sessions you do not know, change your password and tell the "
                "administrator\nof the index."
            ),
        ),
        Notice.LOGIN_DENIED: _Words(
            _("A command-line login was denied"),
            _("A command line gave your right password, and its login was denied in your browser"),
            _(
                "Somebody may know your password. Change it, look at what is listed at\n"
                "{overview} and tell the administrator of the index."
            ),
        ),
        Notice.LOGIN_REPORTED: _Words(
            _("A command-line login was reported"),
            _(
                "A command line gave your right password; its login was denied in your browser\n"
                "and reported to the administrator"
            ),
            _LOOK,
        ),
        Notice.ADDRESS_CHANGED: _Words(
            _("The mail address of your account was changed"),
            _("Your account now has another mail address, or none; this goes to the one it had"),
            _LOOK,
        ),
        Notice.TOKEN_MADE: _Words(
            _("An API token was made"),
            _("An API token was made for your account"),
            _(
                "Somebody knows your password and has a code of yours. Revoke the token at\n"
                "{tokens}, change your password, and tell the administrator\n"
                "of the index."
            ),
        ),
        Notice.TOKENS_LEFT: _Words(
            _("Your password was changed: what about your tokens?"),
            _("Your password was changed. These API tokens were made before"),
            _("Sign in at {tokens},\nend the tokens, and tell the administrator of the index."),
        ),
        Notice.TOKEN_NEEDS_RENEWAL: _Words(
            _("An API token has to be made anew"),
            _("The index no longer accepts the password that one of your API tokens stands for"),
            _(
                "Somebody else changed your password. Sign in at {tokens},\n"
                "end the token, and tell the administrator of the index."
            ),
        ),
        Notice.TOKEN_BURNT: _Words(
            _("An API token was revoked by itself"),
            _("Somebody who had one of your API tokens had it revoked, so it may have leaked"),
            _(
                "Look for where it could be read, and make a new one. What happened is listed at\n"
                "{overview}; ask the administrator of the index."
            ),
        ),
        Notice.TOKEN_LEAKED: _Words(
            _("An API token was found in the open, and revoked"),
            _("One of your API tokens was found where others can read it, and was revoked at once"),
            _(
                "Somebody else made it readable: look at what was uploaded with it, and tell the\n"
                "administrator of the index."
            ),
        ),
        Notice.REVOKED_TOKEN_TRIED: _Words(
            _("A revoked API token was tried"),
            _("Somebody tried to use an API token of yours that is revoked, and was refused"),
            _(
                "Look for a job that still has it. If there is none, it has leaked: look at what "
                "is\nlisted at {overview} and tell the administrator of the index."
            ),
        ),
        Notice.GRANT_DENIED: _Words(
            _("A command line was not let in"),
            _(
                "A command line asked in your browser for a token in your name, and was denied,\n"
                "or the number was wrong"
            ),
            _(
                "Somebody uses a session of yours. Sign in at {overview},\n"
                "end the sessions you do not know, change your password and tell\n"
                "the administrator of the index."
            ),
        ),
        Notice.GRANT_REPORTED: _Words(
            _("A command line was reported"),
            _(
                "A command line asked in your browser for a token in your name; it was denied\n"
                "and reported to the administrator"
            ),
            _(
                "Somebody uses a session of yours. Sign in at {overview},\n"
                "end the sessions you do not know, change your password and tell\n"
                "the administrator of the index."
            ),
        ),
        Notice.PUBLISHER_USED: _Words(
            _("A trusted publisher uploads in your name"),
            _(
                "A job got an upload token of 15 minutes in your name, as the configuration of\n"
                "the index allows; you hear of this publisher once in 90 days"
            ),
            _("Look at what is listed at {overview}\nand tell the administrator of the index."),
        ),
        Notice.PUBLISHER_NAMESAKE: _Words(
            _("A namesake of a trusted publisher was refused"),
            _(
                "A job gave the name of a trusted publisher that uploads in your name, and is\n"
                "another account or repository: the old one may be deleted, and its name taken"
            ),
            _("Tell the administrator of the index, who has the numbers to compare."),
        ),
        Notice.PUBLISHER_REPLAYED: _Words(
            _("An identity token was used a second time"),
            _(
                "Somebody sent an identity token of a trusted publisher that uploads in your name\n"
                "a second time, and was refused"
            ),
            _(
                "Where no job was run twice, somebody can read what the job sends: look at its\n"
                "log, and tell the administrator of the index."
            ),
        ),
        Notice.INVITED: _Words(
            _("You are invited to set up a second factor"),
            _(
                "The administrator made an invitation for you: a link, which they give to you "
                "themselves"
            ),
            _("Ask the administrator of the index why, and change your password."),
        ),
        Notice.UNLOCKED: _Words(
            _("Your wrong codes were forgotten"),
            _("The administrator let your codes be taken again after too many wrong ones"),
            _STOLEN,
        ),
        Notice.LOGINS_ENDED: _Words(
            _("You were logged out everywhere"),
            _("The administrator ended your sessions, remembered devices and command-line logins"),
            _("Ask the administrator of the index why; log in again at {overview}"),
        ),
        Notice.FROZEN: _Words(
            _("Part of the index was stopped"),
            _("An administrator stopped part of the index"),
            _BY_WHOM,
        ),
        Notice.UNFROZEN: _Words(
            _("What was stopped at the index goes on"),
            _("An administrator let go on what was stopped at the index"),
            _BY_WHOM,
        ),
        Notice.RELOAD_REFUSED: _Words(
            _("A changed configuration is not in use"),
            _("A changed configuration or certificate cannot be used; the one before stays"),
            _("Another administrator changed the gateway's files: ask who it was."),
        ),
        Notice.RESET: _Words(
            _("Your second factors were reset"),
            _("The administrator removed all second factors and recovery codes of your account"),
            _("Tell the administrator of the index at once, and change your password."),
        ),
    }
)

_BY_ADMIN: Final = frozenset(
    {
        Notice.RESET,
        Notice.INVITED,
        Notice.UNLOCKED,
        Notice.LOGINS_ENDED,
        Notice.FROZEN,
        Notice.UNFROZEN,
        Notice.RELOAD_REFUSED,
    }
)
_YOURS: Final = MappingProxyType(
    {
        Notice.TOKEN_LEAKED: _REPLACE,
        Notice.RESET: _ASKED,
        Notice.LOGIN_REPORTED: _CHANGE,
        Notice.INVITED: _("If you asked for it, there is nothing to do but to use the link."),
        Notice.LOGINS_ENDED: _("If you asked for it, there is nothing to do but to log in again."),
        Notice.TOKENS_LEFT: _DECIDE,
        Notice.TOKEN_NEEDS_RENEWAL: _DECIDE,
        Notice.RELOAD_REFUSED: _("If you changed it: mend the file and say index-gateway reload."),
    }
)
"""What is to be done where it was the person; nothing for all others."""


def subject(letter: Letter, catalogue: Catalogue = ENGLISH) -> str:
    """One line."""
    return say(_WORDS[letter.notice].subject, catalogue)


def text(
    letter: Letter,
    public_url: str,
    *,
    link: str = "",
    catalogue: Catalogue = ENGLISH,
    country: CountryOf | None = None,
) -> str:
    """The whole notice, plain text, lines ended by LF. link: see `Notifier.notify`; only where
    nobody but the person reads it. country: names the one an address is in, "" for none."""
    if letter.notice in _REPORTS and letter.address:
        return _report(letter, public_url, catalogue, country)
    words = _WORDS[letter.notice]
    places = {"overview": public_url + OVERVIEW, "tokens": public_url + TOKENS}
    parts = [
        _("Hello {user},", user=_plain(letter.user)),
        _happened(words.happened, letter.detail),
        _circumstances(letter, public_url, catalogue, country),
        _LAST.filled(**places) if letter.last else "",
        _LINK.filled(link=link) if link else "",
        _YOURS.get(letter.notice, _MINE).filled(**places),
        _("If it wasn't you:\n{otherwise}", otherwise=words.otherwise.filled(**places)),
    ]
    return "\n\n".join(say(part, catalogue) for part in parts if part) + "\n"


def _report(
    letter: Letter, public_url: str, catalogue: Catalogue, country: CountryOf | None
) -> str:
    """What an administrator is told of a report, by mail."""
    user = _plain(letter.user)
    happened, otherwise = _REPORTS[letter.notice]
    parts = [
        _happened(happened.filled(user=_inert(user)), letter.detail),
        _circumstances(letter, public_url, catalogue, country),
        otherwise.filled(user=user),
    ]
    return "\n\n".join(say(part, catalogue) for part in parts) + "\n"


def _happened(happened: Phrase, detail: str) -> Phrase:
    if not detail:
        return _("{happened}.", happened=happened)
    return _("{happened} ({detail}).", happened=happened, detail=_inert(_plain(detail)))


def _circumstances(
    letter: Letter, public_url: str, catalogue: Catalogue, country: CountryOf | None
) -> str:
    """When, from where, which index: one below the other."""
    moment = datetime.fromtimestamp(letter.time, UTC)
    where: str = _plain(letter.origin.address) or _("an unknown address")
    named = country(letter.origin.address) if country and letter.origin.address else ""
    if named:
        where = _("{address} ({country})", address=where, country=named)
    if letter.origin.user_agent:
        device = device_name(letter.origin.user_agent)
        where = _("{address}, {device}", address=where, device=device)
    if letter.notice in _BY_ADMIN and not letter.origin.address:
        where = _("the command line of the gateway")
    rows = ((_("When:"), f"{moment:%Y-%m-%d %H:%M} UTC"), (_("From:"), where))
    said = [(say(name, catalogue), say(value, catalogue)) for name, value in rows]
    said.append((say(_("Index:"), catalogue), public_url))
    widest = max(len(name) for name, _value in said)
    return "\n".join(f"{name:{widest}} {value}" for name, value in said)


def _plain(words: str) -> str:
    """What a person or a client wrote, on one line and without control characters."""
    return "".join(char if char.isprintable() else " " for char in words)


def _inert(words: str) -> str:
    """The same with nothing in it that a mail program makes a link of: a thief may name a device,
    and the only address in a notice is the gateway's own."""
    return re.sub(r"\.(?=\w*[^\W\d])", ". ", words.replace("/", " ").replace("@", " at "))

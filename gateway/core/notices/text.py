"""The words of notices: what happened, when, from where, and what to do if it wasn't you."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.core.urls import OVERVIEW
from gateway.core.wording import device_name


@dataclass(frozen=True, slots=True)
class _Words:
    """subject: a line of its own. happened: a sentence, ended by the detail where there is one.
    otherwise: what to do if it wasn't the person."""

    subject: str
    happened: str
    otherwise: str


_STOLEN: Final = (
    "Somebody knows your password. Change it now, look at what is listed at\n"
    "{overview} and tell the administrator of the index."
)
_LOOK: Final = (
    "Sign in at {overview},\n"
    "remove what you do not know, change your password and tell the administrator\nof the index."
)
_LAST: Final = (
    "There were many of these. No more are sent today; what happens is listed at\n{overview}\n\n"
)

_LINK: Final = (
    "Set up a new one here. The link works once, for 24 hours, with your password:\n{link}\n\n"
)
_MINE: Final = "If that was you, there is nothing to do."
_ASKED: Final = (
    "If you asked for it: nothing but an invitation lets you in now. Where you got none,\n"
    "or it is too old, ask the administrator for one."
)

_WORDS: Final = MappingProxyType(
    {
        Notice.FACTOR_ADDED: _Words(
            "A second factor was added", "A second factor was added to your account", _LOOK
        ),
        Notice.FACTOR_REMOVED: _Words(
            "A second factor was removed", "A second factor was removed from your account", _LOOK
        ),
        Notice.RECOVERY_CODES_MADE: _Words(
            "New recovery codes were made",
            "New recovery codes were made for your account; the old ones no longer work",
            _LOOK,
        ),
        Notice.RECOVERY_CODE_USED: _Words(
            "A recovery code was used",
            "One of your recovery codes was used",
            "Somebody has your recovery codes and your password. Change the password now,\n"
            "make new codes at {overview}\nand tell the administrator of the index.",
        ),
        Notice.WRONG_FACTOR: _Words(
            "A wrong code after your password",
            "Somebody gave your right password, then a wrong second factor, and was not let in",
            _STOLEN,
        ),
        Notice.WRONG_STEP_UP: _Words(
            "A wrong code in a session of yours",
            "Somebody who is signed in as you gave a wrong second factor and was stopped",
            "Somebody uses a session of yours. Sign in at {overview},\n"
            "end the sessions you do not know, change your password and tell the administrator\n"
            "of the index.",
        ),
        Notice.NEW_DEVICE: _Words(
            "A login from a new device",
            "Your account was signed in to from a device, or a place, it was not used at before",
            "Somebody is signed in as you. Sign in at {overview},\n"
            "end the sessions you do not know, change your password and tell the administrator\n"
            "of the index.",
        ),
        Notice.LOGIN_DENIED: _Words(
            "A command-line login was denied",
            "A command line gave your right password, and its login was denied in your browser",
            "Somebody may know your password. Change it, look at what is listed at\n"
            "{overview} and tell the administrator of the index.",
        ),
        Notice.ADDRESS_CHANGED: _Words(
            "The mail address of your account was changed",
            "Your account now has another mail address, or none; this goes to the one it had",
            _LOOK,
        ),
        Notice.TOKEN_MADE: _Words(
            "An API token was made",
            "An API token was made for your account",
            "Somebody knows your password and has a code of yours. Have the token revoked,\n"
            "change your password, look at what is listed at {overview}\n"
            "and tell the administrator of the index.",
        ),
        Notice.TOKENS_LEFT: _Words(
            "Your password was changed: what about your tokens?",
            "Your password was changed. These API tokens go on until you revoke them",
            _LOOK,
        ),
        Notice.TOKEN_NEEDS_RENEWAL: _Words(
            "An API token has to be made anew",
            "The index no longer accepts the password that one of your API tokens stands for",
            _LOOK,
        ),
        Notice.TOKEN_BURNT: _Words(
            "An API token was revoked by itself",
            "Somebody who had one of your API tokens had it revoked, so it may have leaked",
            "Look for where it could be read, and make a new one. What happened is listed at\n"
            "{overview}; ask the administrator of the index.",
        ),
        Notice.REVOKED_TOKEN_TRIED: _Words(
            "A revoked API token was tried",
            "Somebody tried to use an API token of yours that is revoked, and was refused",
            "Look for a job that still has it. If there is none, it has leaked: look at what is\n"
            "listed at {overview} and tell the administrator of the index.",
        ),
        Notice.RESET: _Words(
            "Your second factors were reset",
            "The administrator removed all second factors and recovery codes of your account",
            "Tell the administrator of the index at once, and change your password.",
        ),
    }
)


def subject(letter: Letter) -> str:
    """One line."""
    return _WORDS[letter.notice].subject


def text(letter: Letter, public_url: str, *, link: str = "") -> str:
    """The whole notice, plain text, lines ended by LF. link: see `Notifier.notify`; only where
    nobody but the person reads it."""
    words = _WORDS[letter.notice]
    detail = f" ({_inert(_plain(letter.detail))})" if letter.detail else ""
    moment = datetime.fromtimestamp(letter.time, UTC)
    where = _plain(letter.origin.address) or "an unknown address"
    if letter.origin.user_agent:
        where += f", {device_name(letter.origin.user_agent)}"
    if letter.notice is Notice.RESET and not letter.origin.address:
        where = "the command line of the gateway"
    otherwise = words.otherwise.format(overview=public_url + OVERVIEW)
    return (
        f"Hello {_plain(letter.user)},\n\n"
        f"{words.happened}{detail}.\n\n"
        f"When:  {moment:%Y-%m-%d %H:%M} UTC\n"
        f"From:  {where}\n"
        f"Index: {public_url}\n\n"
        f"{_LAST.format(overview=public_url + OVERVIEW) if letter.last else ''}"
        f"{_LINK.format(link=link) if link else ''}"
        f"{_ASKED if letter.notice is Notice.RESET else _MINE}\n\n"
        f"If it wasn't you:\n{otherwise}\n"
    )


def _plain(words: str) -> str:
    """What a person or a client wrote, on one line and without control characters."""
    return "".join(char if char.isprintable() else " " for char in words)


def _inert(words: str) -> str:
    """The same with nothing in it that a mail program makes a link of: a thief may name a device,
    and the only address in a notice is the gateway's own."""
    return re.sub(r"\.(?=\w*[^\W\d])", ". ", words.replace("/", " ").replace("@", " at "))

"""The words of `check --who`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli import output

if TYPE_CHECKING:
    from gateway.app.enrolment_report import Roll
    from gateway.core.lacking import Lacking
    from gateway.settings import Settings


_LET_READ: Final = (
    "The names alone are enough. As root: cut -d: -f1 {file} | runuser -u index-gateway -- "
    "index-gateway check --who --users -"
)


def names_in(file: Path) -> tuple[str, ...]:
    """The names in a file ("-": stdin): one a line, or htpasswd's NAME:HASH; comments and
    blanks left out.

    Raises:
        CommandFailed: it cannot be read.
    """
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        lines = raw.decode("utf-8").splitlines()
    except PermissionError as error:
        raise output.CommandFailed(
            f"{file}: {error.strerror}.", _LET_READ.format(file=file)
        ) from None
    except OSError as error:
        raise output.CommandFailed(f"{file}: {error.strerror}.", code=output.MISUSE) from None
    except UnicodeDecodeError:
        raise output.CommandFailed(f"{file}: it is not UTF-8.") from None
    names = (line.partition(":")[0].strip() for line in lines if not line.startswith("#"))
    return tuple(dict.fromkeys(name for name in names if name))


def tell(settings: Settings, roll: Roll, *, now: float) -> None:
    """One line for each person; what is not known of, and what to do, beside it."""
    if not roll.complete:
        kind = settings.upstream.kind
        reason = f"did not tell its users ({roll.why_not})" if roll.why_not else "lists no users"
        output.warning(f"{kind} {reason}: only people who have come here are known.")
        if not roll.why_not:
            output.hint("Name the others in a file: --users /etc/pypiserver/htpasswd")
    click.echo(_heading(roll, now))
    width = max((len(one.user) for one in roll.lacking), default=0)
    for one in roll.lacking:
        click.echo(f"  {one.user.ljust(width)}  {_state(one)}")
    if roll.lacking:
        by_invitation = settings.second_factor.enrolment == "invite"
        act = "invite" if by_invitation else "enrol"
        output.hint(f"index-gateway user {act} -c {settings.file} USER")
        if not by_invitation:
            output.hint(f"Or let them log in once with a browser at {settings.public_url}")


def _heading(roll: Roll, now: float) -> str:
    count = len(roll.lacking)
    people = "1 person has" if count == 1 else f"{count or 'no'} people have"
    if roll.refused_from is None:
        return f"Nobody is refused, because enrolment is optional; {people} no second factor."
    if not roll.refused_at(now):
        day = datetime.fromtimestamp(roll.refused_from, UTC).date()
        return f"Nobody is refused before {day}; {people} no second factor yet."
    if not count:
        return "Nobody is refused today: everybody who is known has a second factor."
    return f"Refused today: {people} no second factor."


def _state(one: Lacking) -> str:
    if one.invited_until:
        until = datetime.fromtimestamp(one.invited_until, UTC)
        return f"invited until {until:%Y-%m-%d %H:%M} UTC"
    return "no second factor" if one.seen else "has never logged in here"

"""`index-gateway user`: enrol, invite, list, show, reset, remove, unlock and log out people.

Knows options, wording, and how people and invitations are printed for readers and for scripts;
what is done stands in `gateway.core.administration`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.administration import Admin

import io
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.administration import NewFactor, NewInvitation, Person, Reset


T = TypeVar("T")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
_FORCE = click.option("--force", is_flag=True, help="Print secrets even into a pipe.")
_NAME = click.argument("name", metavar="USER")
_ANYWAY = click.option(
    "--anyway", is_flag=True, help="Do not ask, though the index server does not know the name."
)


@click.group()
def user() -> None:
    """Enrol, invite, list, reset, remove, unlock and log out people."""


@user.command("list")
@config_option
@_JSON
def list_people(config: Path, as_json: bool) -> int:
    """Everybody who has logged in here or was invited."""
    run(config, lambda admin: _print_list(admin, as_json))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def show(config: Path, name: str, as_json: bool) -> int:
    """One person's factors, sessions and wrong codes."""
    found = run(config, lambda admin: admin.show(name))
    click.echo(shown_json(found) if as_json else shown(found))
    return output.OK


@user.command()
@config_option
@_NAME
@click.option("--device", default="phone", show_default=True, help="What to call the device.")
@_JSON
@_FORCE
@_ANYWAY
def enrol(config: Path, name: str, device: str, as_json: bool, force: bool, anyway: bool) -> int:
    """Give somebody a one-time code secret and recovery codes, in force at once."""
    output.secret_allowed(json=as_json, force=force)
    if not anyway:
        ask_about_stranger(config, name)
    made = run(config, lambda admin: admin.enrol(name, device))
    click.echo(enrolled_json(name, made) if as_json else enrolled(name, made))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
@_FORCE
@_ANYWAY
def invite(config: Path, name: str, as_json: bool, force: bool, anyway: bool) -> int:
    """Print a link for setting up a first factor: works once, for 24 hours."""
    output.secret_allowed(json=as_json, force=force)
    if not anyway:
        ask_about_stranger(config, name)
    made = run(config, lambda admin: admin.invite(name))
    click.echo(invited_json(name, made) if as_json else invited(made))
    return output.OK


@user.command()
@config_option
@_NAME
@click.option("--reason", required=True, help="Why; recorded in the audit trail.")
@_JSON
@_FORCE
def reset(config: Path, name: str, reason: str, as_json: bool, force: bool) -> int:
    """Take away all factors of somebody who has lost them, and invite to set up a new one.

    Their sessions end. Until they have used the link (or a later one of `user invite`), nobody
    gets in by their password alone.
    """
    wanted = " ".join(reason.split())
    if not wanted:
        raise click.UsageError("--reason is empty.")
    done = run(config, lambda admin: admin.reset(name, wanted))
    if as_json:
        click.echo(reset_json(name, done))
        return output.OK
    click.echo(reset_done(name, done.gone))
    if force or output.is_terminal():
        click.echo(invited(done.invitation))
        output.hint(
            f"Give {name} this link. Nothing else lets them in, and only with the password."
        )
    else:  # a link in a log file would be a way in
        output.hint(
            f"The link is not printed into a pipe: index-gateway user invite -c {config} {name}"
        )
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def remove(config: Path, name: str, as_json: bool) -> int:
    """Forget somebody who has left; only the audit trail keeps the name."""
    gone = run(config, lambda admin: admin.remove(name))
    click.echo(removed_json(name, gone) if as_json else removed(name, gone))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def unlock(config: Path, name: str, as_json: bool) -> int:
    """Forget somebody's wrong codes, so that codes are taken again at once."""
    counts = run(config, lambda admin: admin.unlock(name))
    click.echo(unlocked_json(name, counts) if as_json else unlocked(name, counts))
    return output.OK


@user.command()
@config_option
@_NAME
@click.option("--reason", required=True, help="Why; recorded in the audit trail.")
@_JSON
def logout(config: Path, name: str, reason: str, as_json: bool) -> int:
    """End somebody's sessions, remembered devices and command-line logins.

    Second factors and API tokens stay.
    """
    wanted = " ".join(reason.split())
    if not wanted:
        raise click.UsageError("--reason is empty.")
    run(config, lambda admin: admin.end_logins(name, wanted))
    click.echo(_json({"user": name}) if as_json else f"{name} is logged out everywhere.")
    return output.OK


def ask_about_stranger(config: Path, name: str) -> None:
    """Ask before something is made for a name that the index server does not know.

    Where its kind tells no users, or it cannot be asked now, nobody is held up.

    Raises:
        CommandFailed: the person says no, or nobody is there to ask.
    """
    from gateway.app.enrolment_report import users_of
    from gateway.core.administration import id_or_name
    from gateway.core.errors import Refusal
    from gateway.settings import load

    settings = load(config)
    kind = settings.upstream.kind
    try:
        names = asyncio.run(users_of(settings))
    except Refusal as refusal:
        output.warning(f"{kind} did not tell whether it knows {name!r} ({refusal.text})")
        return
    if names is None or id_or_name(name) in map(id_or_name, names):
        return
    unknown = f"{kind} has no user {name!r}."
    if not output.is_terminal(sys.stdin):
        raise output.CommandFailed(unknown, "Look at the spelling, or add --anyway.")
    output.warning(unknown)
    if not click.confirm("Go on anyway?", err=True):
        raise output.CommandFailed("Nothing was done.")


def run(config: Path, work: Callable[[Admin], Awaitable[T]]) -> T:
    """Do something with the administrator's view of the gateway a configuration describes."""
    from gateway.app.domain import open_domain
    from gateway.core.administration import Admin
    from gateway.settings import load

    async def done() -> T:
        async with open_domain(load(config)) as parts:
            return await work(Admin(parts))

    return asyncio.run(done())


async def _print_list(admin: Admin, as_json: bool) -> None:
    """Print everybody, page by page."""
    form = _JsonList() if as_json else _PeopleTable()
    gc.disable()  # a fifth of the time of a long list; a page leaves no circles behind
    try:
        async for page in admin.people(logins=as_json):  # the table does not show them
            if page:
                click.echo(form.page(page))
    finally:
        gc.enable()
    click.echo(form.end(), nl=False)


_COLUMNS = ("USER", "FACTORS", "RECOVERY CODES", "LAST USED", "WRONG CODES")


class _PeopleTable:
    """One line a person. Columns are as wide as the pages so far need."""

    def __init__(self) -> None:
        self._widths = [0] * len(_COLUMNS)
        self._begun = False

    def page(self, people: list[Person]) -> str:
        rows = [_row(person) for person in people]
        if not self._begun:
            rows.insert(0, _COLUMNS)
        self._begun = True
        columns = zip(self._widths, zip(*rows, strict=True), strict=True)
        self._widths = [max(width, *map(len, cells)) for width, cells in columns]
        form = "  ".join(f"{{:<{width}}}" for width in self._widths)
        return "\n".join(form.format(*row).rstrip() for row in rows)

    def end(self) -> str:
        return "" if self._begun else "Nobody has logged in here yet.\n"


class _JsonList:
    """A list, one field a line."""

    def __init__(self) -> None:
        self._before = "["

    def page(self, people: list[Person]) -> str:
        before, self._before = self._before, ","
        return before + ",\n".join(map(_as_json, people))

    def end(self) -> str:
        return "]\n" if self._before == "," else "[]\n"


_TEXT = json.encoder.encode_basestring
_NEXT = ",\n"


def _as_json(person: Person) -> str:
    """What `json.dumps` makes of `_as_dict`, in half of its time."""
    factors = [
        f'{{"kind": {_TEXT(one.kind)},\n"id": {_TEXT(one.id)},\n"name": {_TEXT(one.name)},\n'
        f'"added": {one.added!r},\n"used": {one.used!r},\n'
        f'"passkey": {"true" if one.passkey else "false"},\n"model": {_TEXT(one.model)}}}'
        for one in person.factors
    ]
    return (
        f'{{"id": {_TEXT(person.id)},\n"user": {_TEXT(person.user)},\n'
        f'"factors": [{_NEXT.join(factors)}],\n"recovery_left": {person.recovery_left},\n'
        f'"enrolled": {person.enrolled!r},\n"last_used": {person.last_used!r},\n'
        f'"wrong_codes": {person.wrong_codes},\n"invited_until": {person.invited_until!r},\n'
        f'"sessions": {person.sessions},\n"devices": {person.devices}}}'
    )


def _as_dict(person: Person) -> dict[str, object]:
    return person._asdict() | {"factors": [one._asdict() for one in person.factors]}


def _row(person: Person) -> tuple[str, ...]:
    factors = ", ".join(f"{one.kind} {one.name}" for one in person.factors)
    invited = (
        f"invited until {output.moment(person.invited_until)}" if person.invited_until else "none"
    )
    left = str(person.recovery_left) if person.protected else "-"
    used = output.moment(person.last_used)
    return person.id, factors or invited, left, used, str(person.wrong_codes)


def shown(person: Person) -> str:
    lines = [f"User:            {person.user}" + _as_id(person)]
    lines += [
        f"Factor:          {one.kind} {one.name}, added {output.moment(one.added)}, "
        f"last used {output.moment(one.used)}"
        for one in person.factors
    ] or ["Factors:         none"]
    if person.invited_until:
        lines.append(f"Invited until:   {output.moment(person.invited_until)}")
    lines += [
        f"Recovery codes:  {person.recovery_left}",
        f"Sessions:        {person.sessions}",
        f"Devices:         {person.devices} remembered",
        f"Wrong codes:     {person.wrong_codes} in 30 days",
    ]
    return "\n".join(lines)


def _as_id(person: Person) -> str:
    return "" if person.user == person.id else f" (as {person.id})"


def enrolled(name: str, made: NewFactor) -> str:
    """A QR code for the terminal, the same as text, and the recovery codes."""
    import segno

    drawn = io.StringIO()
    segno.make(made.uri, error="m", micro=False).terminal(drawn, compact=True)
    codes = "\n".join(f"  {code}" for code in made.codes)
    return (
        f"Scan this with {name}'s authenticator app:\n\n{drawn.getvalue()}\n{made.uri}\n\n"
        f"Recovery codes, each good for one login. They are not shown again:\n\n{codes}"
    )


def invited(made: NewInvitation) -> str:
    return f"{made.link}\nWorks once, until {output.moment(made.expires)}."


def reset_done(name: str, gone: int) -> str:
    return f"{name} has no second factor any more ({gone} removed); sessions are ended."


def removed(name: str, gone: int) -> str:
    return (
        f"{name} is forgotten here ({gone} second factors); sessions are ended. The index server "
        "still knows the name: remove it there, too."
    )


def unlocked(name: str, counts: int) -> str:
    if not counts:
        return f"{name} was not held back."
    return f"{name}'s wrong codes are forgotten."


def shown_json(person: Person) -> str:
    return _json(_as_dict(person))


def enrolled_json(name: str, made: NewFactor) -> str:
    return _json(
        {
            "user": name,
            "uri": made.uri,
            "secret": made.secret,
            "recovery_codes": list(made.codes),
        }
    )


def invited_json(name: str, made: NewInvitation) -> str:
    return _json({"user": name, "link": made.link, "expires": made.expires})


def reset_json(name: str, done: Reset) -> str:
    made = done.invitation
    return _json({"user": name, "removed": done.gone, "link": made.link, "expires": made.expires})


def removed_json(name: str, gone: int) -> str:
    return _json({"user": name, "removed": gone})


def unlocked_json(name: str, counts: int) -> str:
    return _json({"user": name, "forgotten": counts})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)

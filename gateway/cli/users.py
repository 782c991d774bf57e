"""`index-gateway user`: enrol, invite, list, show, reset, remove and unlock people.

Knows options and wording; what is done stands in `gateway.core.administration`, and how it
is shown in `gateway.cli.people`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import output, people
from gateway.cli.options import config_option

if TYPE_CHECKING:
    from gateway.core.administration import Admin

T = TypeVar("T")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
_FORCE = click.option("--force", is_flag=True, help="Print secrets even into a pipe.")
_NAME = click.argument("name", metavar="USER")
_ANYWAY = click.option(
    "--anyway", is_flag=True, help="Do not ask, though the index server does not know the name."
)


@click.group()
def user() -> None:
    """Enrol, invite, list, reset, remove and unlock people."""


@user.command("list")
@config_option
@_JSON
def list_people(config: Path, as_json: bool) -> int:
    """Everybody who has logged in here or was invited."""
    found = run(config, lambda admin: admin.people())
    click.echo(people.listed_json(found) if as_json else people.listed(found))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def show(config: Path, name: str, as_json: bool) -> int:
    """One person's factors, sessions and wrong codes."""
    found = run(config, lambda admin: admin.show(name))
    click.echo(people.shown_json(found) if as_json else people.shown(found))
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
    click.echo(people.enrolled_json(name, made) if as_json else people.enrolled(name, made))
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
    click.echo(people.invited_json(name, made) if as_json else people.invited(made))
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
        click.echo(people.reset_json(name, done))
        return output.OK
    click.echo(people.reset(name, done.gone))
    if force or output.is_terminal():
        click.echo(people.invited(done.invitation))
        output.hint(
            f"Give {name} this link. Nothing else lets them in, and only with the password."
        )
    else:  # a link in a log file would be a way in
        output.hint(f"The link is not printed into a pipe: index-gateway user invite {name}")
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def remove(config: Path, name: str, as_json: bool) -> int:
    """Forget somebody who has left; only the audit trail keeps the name."""
    gone = run(config, lambda admin: admin.remove(name))
    click.echo(people.removed_json(name, gone) if as_json else people.removed(name, gone))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
def unlock(config: Path, name: str, as_json: bool) -> int:
    """Forget somebody's wrong codes, so that codes are taken again at once."""
    counts = run(config, lambda admin: admin.unlock(name))
    click.echo(people.unlocked_json(name, counts) if as_json else people.unlocked(name, counts))
    return output.OK


def ask_about_stranger(config: Path, name: str) -> None:
    """Ask before something is made for a name that the index server does not know.

    Where its kind tells no users, or it cannot be asked now, nobody is held up.

    Raises:
        CommandFailed: the person says no, or nobody is there to ask.
    """
    from gateway.app.enrolment_report import users_of
    from gateway.core.errors import Refusal
    from gateway.core.lacking import id_or_name
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

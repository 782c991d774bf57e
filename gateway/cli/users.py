"""`index-gateway user`: enrol, invite, list, show, reset and unlock people.

Knows options and wording; what is done stands in `gateway.core.admin`, and how it is shown in
`gateway.cli.people`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import output, people
from gateway.cli.options import config_option

if TYPE_CHECKING:
    from gateway.core.admin import Admin

T = TypeVar("T")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
_FORCE = click.option("--force", is_flag=True, help="Print secrets even into a pipe.")
_NAME = click.argument("name", metavar="USER")


@click.group()
def user() -> None:
    """Enrol, invite, list, reset and unlock people."""


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
def enrol(config: Path, name: str, device: str, as_json: bool, force: bool) -> int:
    """Give somebody a one-time code secret and recovery codes, in force at once."""
    output.secret_allowed(json=as_json, force=force)
    made = run(config, lambda admin: admin.enrol(name, device))
    click.echo(people.enrolled_json(name, made) if as_json else people.enrolled(name, made))
    return output.OK


@user.command()
@config_option
@_NAME
@_JSON
@_FORCE
def invite(config: Path, name: str, as_json: bool, force: bool) -> int:
    """Print a link for setting up a first factor: works once, for 24 hours."""
    output.secret_allowed(json=as_json, force=force)
    made = run(config, lambda admin: admin.invite(name))
    click.echo(people.invited_json(name, made) if as_json else people.invited(made))
    return output.OK


@user.command()
@config_option
@_NAME
@click.option("--reason", required=True, help="Why; recorded in the audit trail.")
@_JSON
def reset(config: Path, name: str, reason: str, as_json: bool) -> int:
    """Take away all factors of somebody who has lost them, and end their sessions."""
    wanted = " ".join(reason.split())
    if not wanted:
        raise click.UsageError("--reason is empty.")
    gone = run(config, lambda admin: admin.reset(name, wanted))
    click.echo(people.reset_json(name, gone) if as_json else people.reset(name, gone))
    if not as_json:
        output.hint(f"A new start: index-gateway user invite -c {config} {name}")
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


def run(config: Path, work: Callable[[Admin], Awaitable[T]]) -> T:
    """Do something with the administrator's view of the gateway a configuration describes."""
    from gateway.app.domain import open_domain
    from gateway.core.admin import Admin
    from gateway.settings import load

    async def done() -> T:
        async with open_domain(load(config)) as parts:
            return await work(Admin(parts))

    return asyncio.run(done())

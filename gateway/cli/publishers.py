"""`index-gateway publisher`: who uploads without a secret, and the passwords they upload with.

Knows options and wording; the publishers themselves stand in the configuration.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.publishing.accounts import PublisherAccounts

T = TypeVar("T")

_USER = click.argument("user", metavar="USER")


@click.group()
def publisher() -> None:
    """List trusted publishers and keep their passwords."""


@publisher.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def list_publishers(config: Path, as_json: bool) -> int:
    """The publishers of a configuration, and whether they have a password to upload with."""
    from gateway.settings import load

    settings = load(config)
    service = settings.upstream.service_account
    users = {one.user for one in settings.publishers if one.user}
    lacking = without_password(config, users)
    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "kind": one.kind,
            "issuer": one.its_issuer,
            "index": list(one.index),
            "projects": list(one.projects),
            "only": one.only,
            "user": one.user or (service.user if service else ""),
            "ready": one.user not in lacking,
        }
        for one in settings.publishers
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return output.OK
    for row in rows:
        only = ", and nobody else" if row["only"] else ""
        where = f" to {', '.join(row['index'])}" if row["index"] else ""
        lacks = "" if row["ready"] else f"; index-gateway publisher password {row['user']}"
        what = f"{', '.join(row['projects'])}{where} as {row['user']}{only}{lacks}"
        click.echo(f"{row['name']} ({row['kind']}): {what}")
    if not rows:
        click.echo("There is no publisher.")
    return output.OK if all(row["ready"] for row in rows) else output.FAILED


@publisher.command()
@config_option
@_USER
@click.option(
    "--password-file",
    type=click.File("r"),
    help="Where the password at the index stands; - for stdin. Asked for without it.",
)
def password(config: Path, user: str, password_file: IO[str] | None) -> int:
    """Keep the password of USER, in whose name publishers upload.

    The index is asked whether it is right. It is sealed under the gateway's keys: whoever has these
    and the store has the password.
    """
    from gateway.app.token_owner import proven
    from gateway.settings import load

    settings = load(config)
    secret = output.password_of(user, password_file)
    credential = asyncio.run(proven(settings, user, secret))
    _run(config, lambda accounts: accounts.keep(credential))
    output.note(f"The password of {user} is kept for publishers.")
    return output.OK


@publisher.command()
@config_option
@_USER
def forget(config: Path, user: str) -> int:
    """Remove the password of USER that is kept for publishers."""
    gone = _run(config, lambda accounts: accounts.forget(user))
    click.echo(f"Forgotten: {user if gone else 'nothing, none was kept'}.")
    return output.OK


def without_password(config: Path, users: set[str]) -> list[str]:
    """Those in whose name publishers upload, and whose password is not kept."""

    async def work(accounts: PublisherAccounts) -> list[str]:
        return [user for user in sorted(users) if await accounts.of(user) is None]

    return _run(config, work) if users else []


def _run(config: Path, work: Callable[[PublisherAccounts], Awaitable[T]]) -> T:
    from gateway.app.domain import open_domain
    from gateway.core.publishing.accounts import PublisherAccounts
    from gateway.settings import load

    async def done() -> T:
        async with open_domain(load(config)) as parts:
            return await work(PublisherAccounts(parts.store, parts.ring))

    return asyncio.run(done())

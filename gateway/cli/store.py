"""`backup`, `restore` and `store migrate`: copies of everything the gateway has to remember.

Knows options and wording; what is copied stands in `gateway.core.copying`, what comes back in
`gateway.core.restoring`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.copying import Copyable, Inventory, Restored

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_COPY = "index-gateway store migrate {source} {target}"


@click.command()
@config_option
@click.argument("file", type=_FILE)
def backup(config: Path, file: Path) -> int:
    """Write everything in the SQLite store to a new FILE, while the gateway runs.

    Keep it as safe as the store, and apart from the keys: together they are all secrets there are.
    """
    from gateway.core.copying import Backed
    from gateway.settings import load

    settings = load(config)
    place = str(file.absolute())

    async def run() -> Inventory:
        async with _opened(settings.store) as store:
            if not isinstance(store, Backed):
                copying = _COPY.format(source="REDIS-ADDRESS", target=f"sqlite:{file}")
                raise output.CommandFailed(
                    "The store is a Redis, which has backups of its own.",
                    f"A copy of its content in a file: {copying}",
                )
            await store.backup(place)
        return await _look(f"sqlite:{place}")

    found = asyncio.run(run())
    click.echo(f"{file}: {in_words(found)}; read again and found whole.")
    return output.OK


@click.command()
@config_option
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(config: Path, file: Path, yes: bool) -> int:
    """Bring accounts and tokens of a backup back into the SQLite store, while the gateway runs.

    Everybody has to log in again. What was changed since the backup is as it was then: a factor
    or token removed since is there again, a recovery code used since can be used again. The audit
    trail stays where it goes on from the one in the backup; throttles and what waits to be mailed
    stay too.
    """
    if not file.exists():
        raise output.CommandFailed(f"{file} is not there.")
    if not yes:
        click.confirm(f"Bring back what {file} holds, and end all logins?", abort=True, err=True)
    made = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    restored = asyncio.run(_restored(config, str(file.absolute()), made))
    trail = "stays" if restored.followed else "was not there, and came back"
    click.echo(
        f"{restored.records} records came back, {restored.ended} of logins ended; "
        f"the audit trail {trail}."
    )
    if restored.changed:
        people = ", ".join(restored.changed[:20]) + (" …" if len(restored.changed) > 20 else "")
        output.warning(
            f"{len(restored.changed)} accounts are not as they were a moment ago: {people}. "
            "Look at their factors and tokens."
        )
    return output.OK


async def _restored(config: Path, file: str, made: str) -> Restored:
    from gateway.app.domain import open_domain
    from gateway.core.audit.events import Event, Origin
    from gateway.core.copying import Backed
    from gateway.core.restoring import plan
    from gateway.factors.totp import DRIFT, STEP
    from gateway.settings import load

    async with open_domain(load(config)) as services:
        store = services.store
        if not isinstance(store, Backed):
            copying = _COPY.format(source=f"sqlite:{file}", target="REDIS-ADDRESS")
            raise output.CommandFailed(
                "The store is a Redis.", f"Stop the gateways, empty it, then: {copying}"
            )
        origin = Origin(user_agent="index-gateway restore")

        async def record() -> None:
            await services.audit.record(
                Event.STORE_RESTORED, "", origin, detail=f"from a file of {made}"
            )

        await record()
        step = int(services.clock()) // STEP + DRIFT
        restored = await store.restore(file, plan(step))
        if not restored.followed:
            await record()
        return restored


@click.group()
def store() -> None:
    """Move what the gateway remembers to another store."""


@store.command()
@click.argument("source")
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="Only look at both, and count.")
def migrate(source: str, target: str, dry_run: bool) -> int:
    """Copy everything from the store SOURCE into the empty store TARGET.

    Both are addresses as `store:` takes them, such as sqlite:state.db and redis://127.0.0.1/0.
    Stop the gateways first: what they write meanwhile would be missing, and the command says so.
    """
    import time

    from gateway.core.copying import copy, inventory, is_empty

    async def run() -> int:
        async with _opened(source, must_exist=True) as old, _opened(target) as new:
            if not await is_empty(new):
                raise output.CommandFailed(
                    "The target is not empty.", "Name an empty one; nothing is ever mixed."
                )
            if dry_run:
                click.echo(in_words(await inventory(old, time.time)))
                return output.OK
            copied = await copy(old, new, time.time)
            before, after = await inventory(old, time.time), await inventory(new, time.time)
            if copied.digest != before.digest:
                raise output.CommandFailed(
                    "The source changed while it was copied.",
                    "Stop every gateway that uses it, empty the target, and try again.",
                )
            if after.digest != copied.digest:
                raise output.CommandFailed(
                    "The target does not hold what was copied.", "Empty it and try again."
                )
            click.echo(f"{in_words(after)}; read again from both, and the same.")
            output.hint("Name the new one at 'store:' of every gateway, and start them.")
            return output.OK

    return asyncio.run(run())


def in_words(found: Inventory) -> str:
    """What a store holds, the most of it first."""
    rows = sorted(found.counts.items(), key=lambda row: (-row[1], row[0]))
    return ", ".join(f"{count} {kind}" for kind, count in rows) or "nothing"


async def _look(address: str) -> Inventory:
    import time

    from gateway.core.copying import inventory

    async with _opened(address) as found:
        return await inventory(found, time.time)


@asynccontextmanager
async def _opened(address: str, *, must_exist: bool = False) -> AsyncIterator[Copyable]:
    import time

    from gateway.core.copying import Copyable
    from gateway.settings.files import unmade_store
    from gateway.stores import open_store

    if must_exist and unmade_store(address) is not None:
        raise output.CommandFailed(f"{address} is not there.")
    opened = await open_store(address, time.time)
    try:
        assert isinstance(opened, Copyable)  # every store is
        yield opened
    finally:
        await opened.close()

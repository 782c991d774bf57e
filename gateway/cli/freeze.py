"""`index-gateway freeze` and `unfreeze`: the emergency stop.

Knows options and wording; what is done stands in `gateway.core.freezing`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.freezes import Freeze
    from gateway.core.freezing import Freezing

T = TypeVar("T")


class _Duration(click.ParamType[float]):
    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from gateway.core.freezes import LONGEST
        from gateway.settings.amounts import parse_duration, write_duration

        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error))
        if seconds > LONGEST:
            self.fail(f"{value}; at most {write_duration(LONGEST)}")
        return seconds


@click.command()
@config_option
@click.argument("what", metavar="WHAT")
@click.option("--for", "lasts", type=_Duration(), default="2h", show_default=True, help="How long.")
@click.option("--reason", default="", help="Clients are told, and it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def freeze(config: Path, what: str, lasts: float, reason: str, as_json: bool) -> int:
    """Stop WHAT at every gateway on this store, within a second. Downloads and reading go on.

    WHAT is uploads, logins, deletions, all (every change), user:NAME (logins and changes in that
    name), project:NAME (its uploads and deletions) or token:ID. `freeze list` shows what is
    stopped. Stopping the same again sets another end and reason.
    """
    if what == "list":
        found = _run(config, lambda freezing: freezing.now())
        if as_json:
            click.echo(json.dumps([_row(one) for one in found], ensure_ascii=False, indent=2))
            return output.OK
        for one in found:
            click.echo(_line(one))
        if not found:
            click.echo("Nothing is stopped.")
        return output.OK
    if not reason.strip():
        raise click.UsageError("Say why: --reason …. Clients are told, and it is recorded.")

    async def stop(freezing: Freezing) -> Freeze:
        kind, name = await freezing.meant(what)
        return await freezing.freeze(kind, name, lasts=lasts, reason=reason)

    made = _run(config, stop)
    click.echo(json.dumps(_row(made), ensure_ascii=False) if as_json else _line(made))
    output.note(
        f"Every gateway obeys within a second. To end it: index-gateway unfreeze {made.key}"
    )
    return output.OK


@click.command()
@config_option
@click.argument("what", metavar="WHAT", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Everything that is stopped.")
def unfreeze(config: Path, what: str, everything: bool) -> int:
    """Let WHAT go on, named as `freeze list` names it."""
    if everything == bool(what):
        raise click.UsageError("Name what goes on, or --all for everything that is stopped.")

    async def end(freezing: Freezing) -> list[Freeze]:
        if everything:
            return list(await freezing.unfreeze(None))
        held = {one.key for one in await freezing.now()}
        if what in held:
            return list(await freezing.unfreeze([what]))
        kind, name = await freezing.meant(what)
        return list(await freezing.unfreeze([f"{kind}:{name}" if name else str(kind)]))

    lifted = _run(config, end)
    for one in lifted:
        click.echo(f"{one.key} goes on.")
    if not lifted:
        raise output.CommandFailed(
            f"{what or 'Nothing'} is not stopped." if what else "Nothing is stopped.",
            "See what is: index-gateway freeze list",
        )
    return output.OK


def _line(one: Freeze) -> str:
    since = output.moment(one.since)
    return f"{one.key} is stopped until {one.end} (since {since}): {one.reason}"


def _row(one: Freeze) -> dict[str, object]:
    from gateway.core.clock import timestamp

    return {
        "what": one.key,
        "since": timestamp(one.since),
        "until": timestamp(one.until),
        "reason": one.reason,
    }


def _run(config: Path, work: Callable[[Freezing], Awaitable[T]]) -> T:
    from gateway.app.domain import open_domain
    from gateway.core.freezing import Freezing, Unclear
    from gateway.settings import load

    async def done() -> T:
        settings = load(config)
        async with open_domain(settings) as parts:
            try:
                return await work(Freezing(parts, settings.admins))
            except Unclear as error:
                raise output.CommandFailed(f"{error}.", code=output.MISUSE) from None

    return asyncio.run(done())

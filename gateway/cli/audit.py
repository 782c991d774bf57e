"""`index-gateway audit`: read, find in, count, export and verify the audit trail.

Knows how entries look in a terminal; the chain itself is in `gateway.core`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.audit.entry import Entry
    from gateway.core.audit.finding import Wanted
    from gateway.core.audit.trail import Trail


class _Moment(click.ParamType[float]):
    """A day or a time of ISO 8601, in UTC unless it says otherwise; seconds since the epoch."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            moment = datetime.fromisoformat(str(value))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return moment.timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2026-01-31 or 2026-01-31T12:00:00Z")


class _Head(click.ParamType[tuple[int, str]]):
    """A head as `verify` prints it: NUMBER:HASH."""

    name = "head"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        number, mark, mac = str(value).partition(":")
        if not (mark and mac and number.isascii() and number.isdigit()):
            self.fail(f"{value!r} is not a head such as 120:AbC…, as verify prints it")
        return int(number), mac


@click.group()
def audit() -> None:
    """Read, find in, count, export and verify the audit trail."""


@audit.command()
@config_option
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(0), help="Entries.")
@click.option("-f", "follow", is_flag=True, help="Go on with what is added.")
def tail(config: Path, count: int, follow: bool) -> int:
    """Show the newest entries."""
    return _with_trail(config, lambda trail: show_tail(trail, count, follow=follow))


def _filters(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say which entries."""
    for option in (
        click.option("--request", default="", metavar="ID", help="Only what this request made."),
        click.option("--project", default="", metavar="NAME", help="Only about this project."),
        click.option(
            "--user", "users", multiple=True, metavar="NAME", help="Only of these; repeatable."
        ),
        click.option(
            "--event", "events", multiple=True, metavar="NAME", help="Only these; repeatable."
        ),
        click.option("--until", type=_Moment(), help="Before this day or time."),
        click.option("--since", type=_Moment(), help="From this day or time on."),
    ):
        command = option(command)
    return command


def _wanted(
    since: float | None,
    until: float | None,
    events: tuple[str, ...],
    users: tuple[str, ...],
    project: str,
    request: str,
) -> Wanted:
    from gateway.core.administration import id_or_name
    from gateway.core.audit.events import Event
    from gateway.core.audit.finding import Wanted

    unknown = sorted(set(events) - set(Event))
    if unknown:
        raise click.UsageError(f"--event: there is no {unknown[0]!r}; {', '.join(sorted(Event))}.")
    who = frozenset(map(id_or_name, users))
    return Wanted(since, until, frozenset(events), who, project, request)


@audit.command()
@config_option
@_filters
@click.option("-n", "count", default=50, show_default=True, type=click.IntRange(1), help="At most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines for scripts.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
def find(
    config: Path,
    since: float | None,
    until: float | None,
    events: tuple[str, ...],
    users: tuple[str, ...],
    project: str,
    request: str,
    count: int,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Show the newest entries of a person, a project, an event or a time; the newest last."""
    if as_json and as_csv:
        raise click.UsageError("Only one of --json and --csv.")
    wanted = _wanted(since, until, events, users, project, request)
    form = "csv" if as_csv else "json" if as_json else ""
    return _with_trail(config, lambda trail: show_found(trail, wanted, count, form))


@audit.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def stats(config: Path, as_json: bool) -> int:
    """Draw the logins, refusals and uploads of the last 30 days."""
    return _with_trail(config, lambda trail: show_stats(trail, as_json=as_json))


@audit.command()
@config_option
@_filters
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until stopped.")
@click.option(
    "--to",
    default="-",
    metavar="WHERE",
    help="-, file:PATH, syslog:udp://HOST:PORT, syslog:tcp://HOST:PORT, syslog:unix:/dev/log, or "
    "https://… for a signed POST of each entry.",
)
@click.option("--key", metavar="SOURCE", help="What signs a POST: file:PATH or env:NAME.")
@click.option(
    "--cursor",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that keeps how far it has come; a file of entries needs none.",
)
def export(
    config: Path,
    since: float | None,
    until: float | None,
    events: tuple[str, ...],
    users: tuple[str, ...],
    project: str,
    request: str,
    follow: bool,
    to: str,
    key: str | None,
    cursor: Path | None,
) -> int:
    """Give the entries to somewhere as JSON Lines, oldest first.

    Each one once: behind a crash it goes on with the entry that was not taken yet. What was given
    and not confirmed is given again, with the same id (a POST) or number (syslog).
    """
    from gateway.cli.feed import Cursor, feed, sink_of

    sink = sink_of(to, _key(to, key))
    wanted = _wanted(since, until, events, users, project, request)
    return _with_trail(
        config, lambda trail: feed(trail, sink, wanted, Cursor(cursor), follow=follow)
    )


def _key(to: str, source: str | None) -> Callable[[], str]:
    """What gives the key of a POST, asked for at each."""
    from gateway.settings.files import parse_source

    if not to.startswith(("http:", "https:")):
        if source is not None:
            raise click.UsageError("--key goes with --to https://….")
        return lambda: ""
    if source is None:
        raise click.UsageError("A POST is signed: add --key file:PATH or --key env:NAME.")
    try:
        return parse_source(source, Path.cwd()).read
    except ValueError as error:
        raise click.UsageError(f"--key: {error}.") from None


@audit.command()
@config_option
@click.option("--head", "known", type=_Head(), help="A head that verify printed earlier.")
def verify(config: Path, known: tuple[int, str] | None) -> int:
    """Check that no entry was changed, removed or moved.

    Prints the head of the chain; noted down elsewhere and given with --head later, it shows
    that the whole store was not put back to an older state.
    """
    return _with_trail(config, lambda trail: show_verdict(trail, known))


async def show_tail(trail: Trail, count: int, *, follow: bool = False) -> int:
    from gateway.cli.feed import pages
    from gateway.core.audit.finding import Wanted
    from gateway.core.audit.trail import LOG

    last = await trail.store.last(LOG)
    after = 0 if last is None else max(0, last[0] - count)
    async for lines, _ in pages(trail, after, Wanted(), follow=follow):
        for line in lines:
            click.echo(as_line(line.raw))
    return output.OK


async def show_found(trail: Trail, wanted: Wanted, count: int, form: str = "") -> int:
    """form: "csv", "json" or "" for one line an entry."""
    import time

    from gateway.core.audit.entry import line
    from gateway.core.audit.export import csv_of
    from gateway.core.audit.finding import newest

    found: list[Entry] = []
    before, now = 0, time.time()
    while True:
        seen = await newest(trail, wanted, now=now, before=before, limit=count - len(found))
        found += seen.entries
        before = seen.before
        if not before or len(found) >= count:
            break
    found.reverse()
    if form == "csv":
        click.echo(csv_of(found), nl=False)
        return output.OK
    for entry in found:
        click.echo(line(entry) if form else said(entry))
    if not found:
        output.hint("Nothing was found.")
    return output.OK


async def show_stats(trail: Trail, *, as_json: bool) -> int:
    import time
    from shutil import get_terminal_size

    from gateway.cli.stats import drawn, stats_json
    from gateway.core.audit.tally import daily

    days = await daily(trail, time.time())
    click.echo(stats_json(days) if as_json else drawn(days, get_terminal_size().columns))
    return output.OK


async def show_verdict(trail: Trail, known: tuple[int, str] | None = None) -> int:
    from gateway.core.audit.verify import verify as check

    verdict = await check(trail, known=known)
    if verdict.sound:
        click.echo(f"{verdict.entries} entries, none changed, missing or moved.")
        if verdict.head[0]:
            click.echo("head {}:{}".format(*verdict.head))
        return output.OK
    output.error(f"Entry {verdict.broken} {verdict.why}.")
    output.hint("Somebody changed the store, or a key is missing from the key file.")
    return output.FAILED


def as_line(raw: bytes) -> str:
    """One entry as one line; what others wrote cannot steer the terminal."""
    from gateway.core.audit.entry import NotAuthentic, parse

    try:
        return said(parse(raw))
    except NotAuthentic:
        return "(an entry that cannot be read)"


def said(entry: Entry) -> str:
    """The same of one that was read."""
    from gateway.core.wording import device_name

    origin = entry.origin
    when = datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    words = [f"{entry.number:>6}", when, f"{entry.event:<20}", entry.user or "-"]
    if origin.address:
        words.append(f"from {origin.address}")
    if origin.user_agent:
        words.append(f"({device_name(origin.user_agent)})")
    if entry.factor:
        words.append(f"with {entry.factor}")
    if origin.method:
        words.append(f"{origin.method} {origin.path}")
    words += _about(entry)
    if origin.rule:
        words.append(f"[{origin.rule}]")
    if entry.detail:
        words.append(f"- {entry.detail}")
    return "".join(char if char.isprintable() else "?" for char in " ".join(words))


def _about(entry: Entry) -> list[str]:
    """The project and the files of an entry."""
    transfer = entry.transfer
    if transfer is None:
        return [f"of {entry.project}"] if entry.project else []
    words = [f"of {entry.project or '?'} {transfer.version}".rstrip()]
    for file in transfer.files:
        digest = f", sha256 {file.sha256[:16]}…" if file.sha256 else ", no sha256"
        words.append(f"{file.name} ({_size(file.size)}{digest})")
    answer = f"answered {transfer.status}" if transfer.status else "not answered"
    return [*words, answer]


def _size(count: int | None) -> str:
    return "size not known" if count is None else f"{count} bytes"


def _with_trail(config: Path, work: Callable[[Trail], Awaitable[int]]) -> int:
    from gateway.app.domain import open_domain
    from gateway.core.audit.trail import Trail
    from gateway.settings import load

    async def run() -> int:
        async with open_domain(load(config)) as parts:
            return await work(Trail(parts.store, parts.ring, parts.clock))

    return asyncio.run(run())

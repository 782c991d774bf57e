"""`init`, `check`, `schema`: write a configuration, see that it holds and whom it would refuse.

Knows options and wording; what a configuration means stands in `gateway.settings`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli import interpreter, output
from gateway.cli import live as cli_live
from gateway.cli import uploads as cli_uploads
from gateway.cli.output import WRITABLE, config_option

if TYPE_CHECKING:
    from gateway.settings import Settings

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app.enrolment_report import Roll
    from gateway.core.administration import Lacking
    from gateway.settings import Settings


_ETC: Final = Path("/etc")
_STORE_BESIDE: Final = "store: sqlite:state.db"
# Where systemd lets a service write (StateDirectory=); below /etc it may not.
_STORE_OF_A_SERVICE: Final = "store: sqlite:/var/lib/index-gateway/state.db"


@click.command()
@click.argument("kind", type=click.Choice(["devpi", "pypiserver"]))
@click.option(
    "-o",
    "--output",
    "target",
    default="gateway.yaml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file to write; - for stdout.",
)
@click.option("--private", is_flag=True, help="Reading takes a login, too.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--listen", metavar="ADDRESS", help="Where it accepts connections, as 0.0.0.0:8080.")
@click.option("--public-url", metavar="URL", help="The address people use.")
@click.option("--upstream", "url", metavar="URL", help="The index, as http://devpi:3141.")
@click.option("--store", metavar="ADDRESS", help="As sqlite:state.db or redis://redis:6379/0.")
@click.option("--keys", metavar="PLACE", help="As file:gateway.keys or env:GATEWAY_KEYS.")
def init(kind: str, target: Path, private: bool, force: bool, **values: str | None) -> int:
    """Write a commented configuration for an index server."""
    from gateway.settings import loads
    from gateway.settings.shipped import shipped, with_values

    said = {key: value for key, value in values.items() if value is not None}
    text = with_values(shipped(kind, private=private), said)
    loads(text.encode(), file="what was said")
    if str(target) == "-":
        click.echo(text, nl=False)
        return output.OK
    text = text.replace("THIS_FILE", str(target))
    if target.absolute().is_relative_to(_ETC):
        text = text.replace(_STORE_BESIDE, _STORE_OF_A_SERVICE)
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise output.CommandFailed(
            f"{target} is there already.", "Name another file with -o, or add --force."
        ) from None
    click.echo(str(target))
    names = {"public_url": "public_url", "url": "upstream.url", "store": "store"}
    if left := [name for key, name in names.items() if key not in said]:
        *most, last = left
        output.hint(f"Look at {', '.join(most)}{' and ' * bool(most)}{last} in it, then:")
    output.hint(f"  index-gateway keys new -c {target}")
    output.hint(f"  index-gateway check -c {target}")
    output.hint(f"  index-gateway serve -c {target}")
    return output.OK


@click.command()
@config_option
@click.option("--who", is_flag=True, help="List who is refused for lack of a second factor.")
@click.option(
    "--users",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    help="With --who: a file of user names, one a line, such as pypiserver's htpasswd; - for "
    "stdin.",
)
@click.option(
    "--live",
    is_flag=True,
    help="See that what it names works: index, passwords, store, keys, public address.",
)
@click.option(
    "--uploads",
    is_flag=True,
    help="Who uploads with a password, where a rule with policy token is not enforced yet.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="With --live or --uploads: what was found, as JSON."
)
@click.option("--quiet", is_flag=True, help="With --live: tell only what does not work.")
def check(
    config: Path,
    who: bool,
    users: Path | None,
    live: bool,
    uploads: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Validate a configuration, run its tests and look at its store.

    With --live it fails where something does not work. Run it as the user of the gateway, while
    the gateway runs: no other has the same rights, and the public address has to lead to it.

    With --who it fails where somebody is refused today, or where the index server, which knows
    its users, did not tell them.

    With --uploads it fails where an upload of the last 30 days would be refused, or where none is
    counted.
    """
    if users and not who:
        raise click.UsageError("--users goes with --who.")
    if quiet and not live:
        raise click.UsageError("--quiet goes with --live.")
    if as_json and live == uploads:
        raise click.UsageError("--json goes with either --live or --uploads.")
    from gateway.app.domain import reading_of
    from gateway.settings import ConfigError, load, run_tests

    interpreter.require()
    settings = load(config)
    if not quiet:
        for problem in settings.warnings:
            output.warning(str(problem))
    failed = run_tests(settings, reading_of(settings))
    if failed:
        raise ConfigError(tuple(failed))
    if as_json and uploads:
        return cli_uploads.look(settings, as_json=True)
    if as_json or quiet:
        return cli_live.look(settings, json=as_json, quiet=quiet)
    _look_at_keys(settings)
    _look_at_store(settings)
    _look_at_documentation(settings)
    _look_at_publishers(config, settings)
    click.echo(
        f"{config}: {len(settings.rules)} rules and {len(settings.tests)} tests hold; "
        f"{settings.public_url} -> {settings.upstream.kind} at {settings.upstream.url}"
    )
    works = cli_live.look(settings) if live else output.OK
    lacking = _look_at_people(settings, users) if who else output.OK
    return max(works, lacking, cli_uploads.look(settings, as_json=False) if uploads else output.OK)


def _look_at_publishers(config: Path, settings: Settings) -> None:
    from gateway.cli.publishers import without_password
    from gateway.settings.files import unmade_store, unwritable_store

    users = {one.user for one in settings.publishers if one.user}
    unread = unwritable_store(settings.store) or unmade_store(settings.store) is not None
    for user in sorted(users) if unread else without_password(config, users):
        output.warning(f"publishers have no password of {user} to upload with.")
        output.hint(f"index-gateway publisher password {user}")


def _look_at_people(settings: Settings, users: Path | None) -> int:
    import asyncio
    import time

    from gateway.app.enrolment_report import call_roll

    named = names_in(users) if users else None
    roll = asyncio.run(call_roll(settings, named))
    tell(settings, roll, now=time.time())
    refused = roll.refused_at(time.time())
    return output.FAILED if refused or roll.why_not else output.OK


def _look_at_keys(settings: Settings) -> None:
    """Say which secrets are not there yet; `serve` would stop without them."""
    smtp, webhook = settings.notices.smtp, settings.notices.webhook
    named = {
        "keys": settings.keys,
        "notices.smtp.password": smtp.password if smtp else None,
        "notices.webhook.key": webhook.key if webhook else None,
    }
    for key, source in named.items():
        if source is None:
            continue
        there = os.environ.get(source.name) if source.kind == "env" else _readable(source.name)
        if not there:
            output.warning(f"{settings.file}: {key}: {source} is not there or cannot be read")
            if key == "keys":
                output.hint(f"index-gateway keys new -c {settings.file}")


def _look_at_documentation(settings: Settings) -> None:
    """Ask for what makes documentation harmless that did not come through the gateway."""
    if settings.upstream.kind == "devpi" and any(rule.unpacked for rule in settings.rules):
        output.hint(
            "With devpi-web start devpi-server with --keep-docs-packed: it then unpacks no "
            "documentation."
        )


def _readable(name: str) -> bool:
    return os.access(name, os.R_OK)


def _look_at_store(settings: Settings) -> None:
    """Say what the store's administrator should know, where it can be reached."""
    import asyncio
    import time

    from gateway.core.store import StoreUnavailable
    from gateway.core.unnamed_proxies import noted
    from gateway.settings.files import unmade_store, unwritable_store
    from gateway.stores import BadStoreAddress, open_store

    line, column = settings.place(("store",))
    where = f"{settings.file}:{line}:{column}: store:"
    why = unwritable_store(settings.store)
    if why:
        output.warning(f"{where} {why}")
        output.hint(WRITABLE)
        return
    if unmade_store(settings.store) is not None:  # made by the first start; looking would make it
        return

    async def look() -> tuple[list[str], list[str]]:
        store = await open_store(settings.store, time.time)
        try:
            return await store.warnings(), await noted(store)
        finally:
            await store.close()

    strangers: list[str] = []
    try:
        found, strangers = asyncio.run(look())
    except BadStoreAddress as error:
        raise output.CommandFailed(f"{where} {error}") from None
    except StoreUnavailable as error:
        found = [f"the store cannot be reached from here ({error or 'no answer'})"]
    for text in found:
        output.warning(f"{where} {text}")
    _tell_strangers(settings, strangers)


def _tell_strangers(settings: Settings, strangers: list[str]) -> None:
    """Peers whose X-Forwarded-For the running gateway has not believed in the last week."""
    from ipaddress import ip_address

    from gateway.core.http.facts import is_trusted

    line, column = settings.place(("trusted_proxies",))
    for peer in strangers:
        if not is_trusted(ip_address(peer), settings.trusted_proxies):
            output.warning(
                f"{settings.file}:{line}:{column}: trusted_proxies: {peer} sends X-Forwarded-For "
                "or Forwarded and is not named here; if it is a proxy of yours, all people behind "
                "it are one network, and the wrong passwords of one hold back everybody"
            )


@click.command()
@click.option("--tokens", is_flag=True, help="Of requests for API tokens, and of what is told.")
@click.option("--audit", is_flag=True, help="Of an entry of the audit trail, as it is exported.")
def schema(tokens: bool, audit: bool) -> int:
    """Print the JSON Schema of the configuration file, for editors."""
    import json

    if audit:
        from gateway.core.audit.schema import ENTRY

        click.echo(json.dumps(dict(ENTRY), indent=2))
        return output.OK
    if tokens:
        from gateway.core.tokens.messages import REQUEST, TOKEN

        found = {"request": dict(REQUEST), "token": dict(TOKEN)}
        click.echo(json.dumps({"$defs": found}, indent=2))
        return output.OK
    from gateway.settings.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return output.OK


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
    if roll.lacking:
        click.echo("\n".join(f"  {one.user.ljust(width)}  {_state(one)}" for one in roll.lacking))
    _tell_ways_in(settings, roll)


def _tell_ways_in(settings: Settings, roll: Roll) -> None:
    by_invitation = settings.second_factor.enrolment == "invite"
    act = "invite" if by_invitation else "enrol"
    if any(by_invitation or not one.invited_only for one in roll.lacking):
        output.hint(f"index-gateway user {act} -c {settings.file} USER")
        if not by_invitation:
            output.hint(f"Or let them log in once with a browser at {settings.public_url}")
    if not by_invitation and any(one.invited_only for one in roll.lacking):
        output.hint(f"Whose factors were reset: index-gateway user invite -c {settings.file} USER")


def _heading(roll: Roll, now: float) -> str:
    everybody, refused = roll.everybody_at(now), len(roll.refused_at(now))
    others = _people(len(roll.lacking) - (0 if everybody else refused))
    if everybody and refused:
        return f"Refused today: {_people(refused)} no second factor."
    if everybody:
        return "Nobody is refused today: everybody who is known has a second factor."
    nobody = "Nobody is refused"
    if refused:
        nobody = (
            f"Refused today: {_people(refused)} had their factors reset. Nobody else is refused"
        )
    if roll.refused_from is None:
        return f"{nobody}, because enrolment is optional; {others} no second factor."
    day = datetime.fromtimestamp(roll.refused_from, UTC).date()
    return f"{nobody} before {day}; {others} no second factor yet."


def _people(count: int) -> str:
    return "1 person has" if count == 1 else f"{count or 'no'} people have"


def _state(one: Lacking) -> str:
    reset = "factors reset, " if one.invited_only else ""
    if one.invited_until:
        until = datetime.fromtimestamp(one.invited_until, UTC)
        return f"{reset}invited until {until:%Y-%m-%d %H:%M} UTC"
    if one.invited_only:
        return f"{reset}needs an invitation"
    return "no second factor" if one.seen else "has never logged in here"

"""`index-gateway keys`: make a key file, and put a new key in front under a running gateway.

Knows the steps and their wording; what a key file is stands in `gateway.keystore`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Final

import click

from gateway.cli import output
from gateway.cli.output import config_option, usual_config
from gateway.core.crypto.keyring import new_key
from gateway.keystore import (
    LOOK_EVERY,
    create_key_file,
    key_file_lock,
    read_key_file,
    replace_key_file,
)

_UNTIL_SEEN: Final = 2 * LOOK_EVERY  # seconds until every running worker has seen the file


@click.group()
def keys() -> None:
    """Make and rotate the gateway's keys."""


@keys.command()
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to make; one that is there is never overwritten.",
)
@click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Make the file that this configuration names; without -o and -c the usual one's, "
    "or gateway.keys here.",
)
def new(path: Path | None, config: Path | None) -> int:
    """Make a key file with one fresh key."""
    if path is not None and config is not None:
        raise click.UsageError("-o and -c both name a file; give one.")
    if path is None:
        config = config or usual_config()
        path = _key_file(config) if config else Path("gateway.keys")
    try:
        create_key_file(path, (new_key((), secrets.token_bytes),))
    except FileExistsError:
        raise output.CommandFailed(
            f"{path} is there already, and was left as it is.",
            "Without its keys nobody's second factor works. Another place: -o FILE",
        ) from None
    output.note(f"Made {path}, readable by its owner only.")
    output.hint("Back it up apart from the store: without it every second factor is lost.")
    return output.OK


@keys.command()
@config_option
@click.option("--reseal-only", is_flag=True, help="Add no key; finish an earlier rotation.")
def rotate(config: Path, reseal_only: bool) -> int:
    """Put a new key in front and seal every secret under it.

    Works under running gateways that read the same file. Older keys stay in the file: what
    they sealed or signed goes on until it ends.
    """
    path = _key_file(config)
    with key_file_lock(path):
        if not reseal_only:
            added = put_in_front(path)
            output.note(f"{added} is the active key now; older ones are kept.")
        resealed, seen = asyncio.run(_reseal(config))
    output.note(f"Sealed {resealed} of {seen} people's secrets anew.")
    output.hint(
        f"Back up {path} again. Gateways on other machines need the same file: copy it there."
    )
    return output.OK


def put_in_front(path: Path) -> str:
    """Add a key in two steps, so that no worker meets what it cannot read yet; the key's id."""
    before = read_key_file(path)
    fresh = new_key((name for name, _ in before), secrets.token_bytes)
    replace_key_file(path, (*before, fresh))
    time.sleep(_UNTIL_SEEN)
    replace_key_file(path, (fresh, *before))
    # And until nobody seals under the older one any more, so that the next step misses nothing.
    time.sleep(_UNTIL_SEEN)
    return fresh[0]


def _key_file(config: Path) -> Path:
    from gateway.settings import load

    source = load(config).keys
    if source.path is None:
        raise output.CommandFailed(
            f"The keys are in the environment variable {source.name}, which no command changes.",
            "Put the line of a fresh key (index-gateway keys new -o FILE) first in it by hand "
            "and restart every gateway; the older keys stay below it.",
        )
    return source.path


async def _reseal(config: Path) -> tuple[int, int]:
    from gateway.app.domain import open_domain
    from gateway.core.administration import reseal
    from gateway.core.audit.events import Event, Origin
    from gateway.settings import load

    async with open_domain(load(config)) as parts:
        done = await reseal(parts.accounts, parts.factors, now=parts.clock())
        await parts.audit.record(
            Event.KEYS_ROTATED,
            "",
            Origin(user_agent="index-gateway keys"),
            detail=f"{parts.ring.active} active",
        )
        return done.changed, done.accounts

"""`check --uploads`: who still uploads with a password, where policy `token` is tried out.

Knows wording; what is counted, and when, stands in `gateway.core.tokens.raw_uploads`.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli import output

if TYPE_CHECKING:
    from gateway.core.tokens.raw_uploads import RawUpload
    from gateway.settings import Settings

_CARRIED: Final = {
    "password": "with a password",
    "index_token": "with a token of the index, made without a second factor",
    "nothing": "without any credential",
}


@dataclass(frozen=True, slots=True)
class RefusedSoFar:
    """since: seconds since the epoch, None where no gateway runs with the rules yet."""

    since: float | None
    found: list[RawUpload]


def look(settings: Settings, *, as_json: bool) -> int:
    """Tell it; FAILED where something would be refused, or nothing is counted."""
    rules = [rule.name for rule in settings.ruleset().rules if rule.tried]
    if not rules:
        raise output.CommandFailed(
            "No rule counts who uploads with a password.",
            "Write `policy: token` and `enforce: false` into the rule of uploads, and run it for "
            "some days.",
        )
    counted = asyncio.run(_so_far(settings, rules))
    if as_json:
        click.echo(json.dumps(_data(rules, counted), ensure_ascii=False, indent=2))
    else:
        _tell(settings, rules, counted)
    return output.FAILED if counted.found or counted.since is None else output.OK


async def _so_far(settings: Settings, rules: list[str]) -> RefusedSoFar:
    from gateway.app.domain import open_domain
    from gateway.core.tokens.raw_uploads import RawUploadLedger

    async with open_domain(settings) as parts:
        ledger = RawUploadLedger(parts.store, parts.audit, time.time)
        return RefusedSoFar(await ledger.since(rules), await ledger.of_late())


def _data(rules: list[str], counted: RefusedSoFar) -> dict[str, Any]:
    from gateway.core.tokens.raw_uploads import DAYS

    refused = [
        {
            "user": one.user,
            "index": one.index,
            "count": one.count,
            "first": _moment(one.first),
            "last": _moment(one.last),
            "address": one.address,
            "client": one.client,
            "rule": one.rule,
            "with": one.carried,
            "refusal": one.slug,
        }
        for one in counted.found
    ]
    since = None if counted.since is None else _moment(counted.since)
    return {"days": DAYS, "since": since, "rules": rules, "refused": refused}


def _tell(settings: Settings, rules: list[str], counted: RefusedSoFar) -> None:
    from gateway.core.tokens.raw_uploads import DAYS

    named = " and ".join(f"'{name}'" for name in rules)
    if counted.since is None:
        output.warning(f"no gateway runs with {named} yet: nothing is counted.")
    else:
        since = max(counted.since, time.time() - DAYS * 86400)
        counting = f"since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC"
        total = sum(one.count for one in counted.found)
        people = len({one.user for one in counted.found})
        if not total:
            click.echo(f"{named} enforced would have refused nothing {counting}.")
            return
        click.echo(
            f"{named} enforced would have refused {_many(total, 'upload')} of "
            f"{_many(people, 'person', 'people')} {counting}:"
        )
    rows = [_row(one) for one in counted.found]
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(wide) for cell, wide in zip(row, width, strict=True))
        click.echo(("  " + "  ".join(cells)).rstrip())
    output.hint(
        f"A token for each: {settings.public_url}/+auth/tokens, or index-gateway token create "
        f"-c {settings.file} USER"
    )


def _row(one: RawUpload) -> tuple[str, ...]:
    last = datetime.fromtimestamp(one.last, UTC)
    how = f"{one.count} {_CARRIED.get(one.carried, one.carried)}"
    place = f"last {last:%Y-%m-%d %H:%M} UTC from {one.address or 'an unknown address'}"
    where = (f"to {_plain(one.index)}",) if one.index else ()
    return (_plain(one.user) or "(nobody)", " ".join((how, *where)), place, _plain(one.client))


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

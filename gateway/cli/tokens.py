"""`index-gateway token`: make, list, show and revoke API tokens.

Knows options and wording; what is done stands in `gateway.core.tokens`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time
from typing import IO, TYPE_CHECKING, Final, TypeVar

import click

from gateway.cli import output
from gateway.cli.output import config_option

if TYPE_CHECKING:
    from gateway.core.tokens.models import Listed, NewToken
    from gateway.core.tokens.records import Scope
    from gateway.core.tokens.tokens import Tokens

T = TypeVar("T")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
_USER = click.argument("user", metavar="USER")
_COLUMNS: Final = ("USER", "NAME", "ID", "SCOPE", "EXPIRES", "LAST USED", "STATE")
_AGENT: Final = "index-gateway token"


@click.group()
def token() -> None:
    """Make, list, show and revoke API tokens."""


@token.command()
@config_option
@_USER
@click.option("--name", required=True, help="What it is for, such as 'CI of foo'.")
@click.option(
    "--scope",
    "actions",
    multiple=True,
    default=("upload",),
    show_default=True,
    help="upload, read or manage; may be repeated.",
)
@click.option("--index", "indexes", multiple=True, help="Only this one (devpi: USER/INDEX).")
@click.option("--project", "projects", multiple=True, help="Only this one, or a pattern: acme-*.")
@click.option("--network", "networks", multiple=True, help="Only from this network.")
@click.option("--days", type=float, default=90, show_default=True, help="How long it lives.")
@click.option(
    "--password-file",
    type=click.File("r"),
    help="Where the password at the index stands; - for stdin. Asked for without it.",
)
@_JSON
@click.option("--force", is_flag=True, help="Print the token even into a pipe.")
def create(
    config: Path,
    user: str,
    name: str,
    actions: tuple[str, ...],
    indexes: tuple[str, ...],
    projects: tuple[str, ...],
    networks: tuple[str, ...],
    days: float,
    password_file: IO[str] | None,
    as_json: bool,
    force: bool,
) -> int:
    """Make a token for somebody, with their password at the index.

    It is shown once. The person is told of it.
    """
    from gateway.app.domain import form_of
    from gateway.core.tokens.messages import told_new
    from gateway.core.tokens.records import no_indexes, scope_of
    from gateway.settings import load
    from gateway.upstreams import UPSTREAMS

    output.secret_allowed(json=as_json, force=force)
    scope = scope_of(actions, indexes, projects, networks)
    settings = load(config)
    if scope.indexes and not UPSTREAMS[settings.upstream.kind](form_of(settings)).indexed:
        raise no_indexes()
    password = ""
    if settings.upstream.service_account is None:
        password = output.password_of(user, password_file)
    made = asyncio.run(_made(config, user, password, name, scope, days * 86400))
    if as_json:
        click.echo(_dumped(told_new(made, time())))
        return output.OK
    click.echo(made.text)
    output.note(_lines_for(str(settings.public_url), settings.upstream.kind))
    return output.OK


async def _made(
    config: Path, user: str, password: str, name: str, scope: Scope, lifetime: float
) -> NewToken:
    from gateway.app.domain import open_domain
    from gateway.app.token_owner import proven, scoped_by
    from gateway.core.audit.events import Origin
    from gateway.settings import load

    settings = load(config)
    credential = await proven(settings, user, password) if password else None
    async with open_domain(settings) as parts, scoped_by(settings, parts.tokens) as scoped:
        made = await parts.tokens.make(
            *(user, name, scope, lifetime, credential, Origin(user_agent=_AGENT)),
            made_by="administrator",
            scoped=scoped,
        )
        if scoped is not None:
            await scoped.give_back(made.token.owner, credential)
        return made


@token.command("list")
@config_option
@click.argument("user", metavar="[USER]", required=False)
@click.option("--all", "ended", is_flag=True, help="Also those that have ended.")
@_JSON
def list_tokens(config: Path, user: str | None, ended: bool, as_json: bool) -> int:
    """Somebody's tokens, or everybody's."""
    from gateway.core.tokens.messages import told
    from gateway.core.user_id import user_id

    async def work(tokens: Tokens) -> list[Listed]:
        if user is not None:
            return await tokens.of(user_id(user))
        return [one async for page in tokens.pages() for one in page]

    now = time()
    found = [one for one in _run(config, work) if ended or one.token.live(now)]
    if as_json:
        click.echo(_dumped([told(one, now) for one in found]))
    else:
        click.echo(_table(found, now) if found else "There is no token.")
    return output.OK


@token.command()
@config_option
@_USER
@click.argument("wanted", metavar="TOKEN")
@_JSON
def show(config: Path, user: str, wanted: str, as_json: bool) -> int:
    """One token, by its name or id: scope, last use, what became of it."""
    from gateway.core.tokens.messages import told

    found, now = _run(config, lambda tokens: _found(tokens, user, wanted)), time()
    click.echo(_dumped(told(found, now)) if as_json else _shown(found, now))
    return output.OK


@token.command()
@config_option
@_USER
@click.argument("wanted", metavar="[TOKEN]", required=False)
@click.option("--all", "every", is_flag=True, help="All of this person's.")
@_JSON
def revoke(config: Path, user: str, wanted: str | None, every: bool, as_json: bool) -> int:
    """End a token, by its name or id.

    Uploads with it are refused at once; reading may go on for up to a minute."""
    if every == (wanted is not None):
        raise click.UsageError("Name one TOKEN, or give --all.")
    from gateway.core.audit.events import Origin
    from gateway.core.user_id import user_id

    origin = Origin(user_agent=_AGENT)

    async def work(tokens: Tokens) -> list[str]:
        owner = user_id(user)
        if wanted is None:
            return [one.id for one in await tokens.revoke_all(owner, origin)]
        found = await _found(tokens, user, wanted)
        return [found.token.id] if await tokens.revoke(owner, found.token.id, origin) else []

    gone = _run(config, work)
    if as_json:
        click.echo(_dumped({"user": user, "revoked": gone}))
    else:
        click.echo(f"Revoked: {', '.join(gone) or 'none, it had ended before'}.")
    return output.OK


async def _found(tokens: Tokens, user: str, wanted: str) -> Listed:
    from gateway.core.errors import Refusal, Slug
    from gateway.core.user_id import user_id

    found = await tokens.find(user_id(user), wanted)
    if found is None:
        raise Refusal(Slug.NO_SUCH_TOKEN, name=wanted, user=user)
    return found


def _run(config: Path, work: Callable[[Tokens], Awaitable[T]]) -> T:
    from gateway.app.domain import open_domain
    from gateway.settings import load

    async def done() -> T:
        async with open_domain(load(config)) as parts:
            return await work(parts.tokens)

    return asyncio.run(done())


def _table(found: list[Listed], now: float) -> str:
    rows = [_COLUMNS, *(_row(one, now) for one in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(one: Listed, now: float) -> tuple[str, ...]:
    from gateway.core.tokens.messages import state_of

    token = one.token
    scope = token.scope
    limits = [*scope.indexes, *scope.projects, *map(str, scope.networks)]
    shown = ",".join(scope.actions) + (f" ({', '.join(limits)})" if limits else "")
    used, expires = output.moment(one.use.at), output.moment(token.expires)
    left = ", keep or end?" if token.undecided and token.live(now) else ""
    return token.user, token.name, token.id, shown, expires, used, state_of(token, now) + left


def _shown(one: Listed, now: float) -> str:
    from gateway.core.tokens.messages import state_of

    token, use = one.token, one.use
    scope = token.scope.texts()
    lines = [f"Token:      {token.name} ({token.id}) of {token.user}"]
    lines += [f"{kind.capitalize() + ':':<12}{', '.join(of)}" for kind, of in scope.items() if of]
    lines += [
        f"Created:    {output.moment(token.created)} by {token.made_by or 'its owner'}",
        f"Expires:    {output.moment(token.expires)}",
        f"Last used:  {output.moment(use.at)}"
        + (f" from {use.address or 'no address'} by {use.client or 'no client'}" if use.at else ""),
        f"State:      {state_of(token, now)}",
    ]
    if token.undecided:
        lines.append(
            "Left by a changed password; its owner has not said yet whether to keep or end it."
        )
    return "\n".join(lines)


def _lines_for(public_url: str, kind: str) -> str:
    where = f"{public_url}/USER/INDEX/" if kind == "devpi" else f"{public_url}/"
    return (
        "\nIt is not shown again. Try it with:\n"
        f"  TWINE_USERNAME=__token__ TWINE_PASSWORD=… "
        f"twine upload --repository-url {where} dist/*\n"
        f"  UV_PUBLISH_TOKEN=… uv publish --publish-url {where}"
    )


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)

"""`init`, `check`, `explain`, `schema`: writing a configuration and finding out what it does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import output

if TYPE_CHECKING:
    from gateway.core.facts import IPAddress
    from gateway.core.rules import Policy
    from gateway.core.trial import Verdict
    from gateway.settings import Settings

_CONFIG = click.option(
    "-c",
    "--config",
    "config",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file.",
)


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
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(kind: str, target: Path, force: bool) -> int:
    """Write a commented configuration for an index server."""
    from importlib.resources import files

    text = (files("gateway") / "config" / f"{kind}.yaml").read_text("utf-8")
    if str(target) == "-":
        click.echo(text, nl=False)
        return output.OK
    text = text.replace("THIS_FILE", str(target))
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise output.CommandFailed(
            f"{target} is there already.", "Name another file with -o, or add --force."
        ) from None
    click.echo(str(target))
    output.hint("Set public_url and upstream.url in it, then:")
    output.hint(f"  index-gateway check -c {target}")
    output.hint(f"  index-gateway keys new -c {target}")
    output.hint(f"  index-gateway serve -c {target}")
    return output.OK


@click.command()
@_CONFIG
@click.option("--who", is_flag=True, help="List who is refused for lack of a second factor.")
def check(config: Path, who: bool) -> int:
    """Validate a configuration, run its tests and look at its store."""
    from gateway.settings import ConfigError, load, run_tests

    settings = load(config)
    for problem in settings.warnings:
        output.warning(str(problem))
    failed = run_tests(settings)
    if failed:
        raise ConfigError(tuple(failed))
    _look_at_keys(settings)
    _look_at_store(settings)
    click.echo(
        f"{config}: {len(settings.rules)} rules and {len(settings.tests)} tests hold; "
        f"{settings.public_url} -> {settings.upstream.kind} at {settings.upstream.url}"
    )
    if who:
        _look_at_people(settings)
    return output.OK


def _look_at_people(settings: Settings) -> None:
    import asyncio
    import time

    from gateway.app.who import call_roll
    from gateway.cli.who import tell

    tell(settings, asyncio.run(call_roll(settings)), now=time.time())


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


def _readable(name: str) -> bool:
    return os.access(name, os.R_OK)


def _look_at_store(settings: Settings) -> None:
    """Say what the store's administrator should know, where it can be reached."""
    import asyncio
    import time

    from gateway.core.store import StoreUnavailable
    from gateway.stores import BadStoreAddress, open_store

    path = settings.store.removeprefix("sqlite:")
    if path != settings.store and not Path(path).exists():
        return  # made by the first start; looking would make it

    async def look() -> list[str]:
        store = await open_store(settings.store, time.time)
        try:
            return await store.warnings()
        finally:
            await store.close()

    line, column = settings.place(("store",))
    try:
        found = asyncio.run(look())
    except BadStoreAddress as error:
        raise output.CommandFailed(f"{settings.file}:{line}:{column}: store: {error}") from None
    except StoreUnavailable as error:
        found = [f"the store cannot be reached from here ({error or 'no answer'})"]
    for text in found:
        output.warning(f"{settings.file}:{line}:{column}: store: {text}")


@click.command()
@_CONFIG
@click.argument("method")
@click.argument("target")
@click.option("--form", "form", multiple=True, metavar="NAME=VALUE", help="A field of the body.")
@click.option("--content-type", "content_type", default="", help="The media type of the body.")
@click.option("--from", "client", default="", metavar="IP", help="The address of the client.")
def explain(
    config: Path, method: str, target: str, form: tuple[str, ...], content_type: str, client: str
) -> int:
    """Show which rule meets METHOD TARGET, why those before it do not, and what it takes.

    TARGET is the address as on the request line, from the first slash on.
    """
    from gateway.core.trial import Trial, judge
    from gateway.settings import load

    settings = load(config)
    trial = Trial(method, target, _fields(form), content_type, _address(client))
    verdict = judge(settings.ruleset(), trial)
    for rule, why in verdict.steps:
        click.echo(f"  not {rule.name}: {why}")
    for line in _told(settings, verdict):
        click.echo(line)
    return output.OK


def _fields(form: tuple[str, ...]) -> dict[str, str]:
    fields = {}
    for text in form:
        name, mark, value = text.partition("=")
        if not mark or not name or name in fields:
            raise click.BadParameter(f"{text!r}: NAME=VALUE, each name once", param_hint="--form")
        fields[name] = value
    return fields


def _address(text: str) -> IPAddress | None:
    from ipaddress import ip_address

    try:
        return ip_address(text) if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no IP address", param_hint="--from") from None


def _told(settings: Settings, verdict: Verdict) -> list[str]:
    """What becomes of the request, line by line."""
    from gateway.core.errors import MESSAGES
    from gateway.core.rules import Policy

    if verdict.refusal:
        message = MESSAGES[verdict.refusal]
        return [f"refused: {verdict.refusal} ({message.status}): {message.text}", message.hint]
    if verdict.own or verdict.matched is None:
        return [f"path: {verdict.path}", "answered by the gateway itself"]
    rule, policy = verdict.matched.rule, verdict.matched.policy
    lines = [f"path: {verdict.path}"]
    if rule is None:
        lines.append("rule: none; the default decides")
    else:
        lines.append(f"rule: {rule.name} ({rule.position})")
    lines.append(f"policy: {policy}")
    if policy is Policy.DENY:
        lines.append(f"refused: denied ({MESSAGES['denied'].status}): {MESSAGES['denied'].text}")
    else:
        age = rule.max_age if rule and rule.max_age else settings.second_factor.max_age
        lines.append(f"needs: {_needs(policy, age)}")
    if rule and rule.sandbox:
        lines.append("answer: in a sandbox (Content-Security-Policy)")
    return lines


def _needs(policy: Policy, age: float) -> str:
    """The evidence a policy accepts (and the slug of the refusal without it)."""
    from gateway.core.rules import Policy
    from gateway.settings.amounts import write_duration

    told = {
        Policy.PASS: "nothing; what the upstream asks for is its own affair",
        Policy.LOGIN: "name and password, which the upstream judges, then a second factor: a code "
        "after the password (PASSWORD,123456), the header X-OTP, or the page after the form",
        Policy.SECOND_FACTOR: f"a second factor not older than {write_duration(age)}: a session, "
        "a token or cookie from a login with a second factor, or a code with the password "
        "(PASSWORD,123456 or X-OTP); otherwise 401 second_factor_required",
        Policy.TOKEN: "a token or cookie from a login with a second factor, however old; "
        "a password is refused",
        Policy.AUTHENTICATED: "a session, or whatever credential the upstream itself accepts",
    }
    return told[policy]


@click.command()
def schema() -> int:
    """Print the JSON Schema of the configuration file, for editors."""
    import json

    from gateway.settings import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return output.OK


commands = (init, check, explain, schema)

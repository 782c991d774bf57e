"""`explain`: which rule meets a request, why those before it do not, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import output
from gateway.cli.output import config_option
from gateway.core.errors import Slug
from gateway.core.urls import FRONT

if TYPE_CHECKING:
    from gateway.core.http.facts import IPAddress
    from gateway.core.http.responses import Response
    from gateway.core.rules.explain import Explanation
    from gateway.core.rules.rules import Policy
    from gateway.settings import Settings


@click.command()
@config_option
@click.argument("method")
@click.argument("target")
@click.option("--form", "form", multiple=True, metavar="NAME=VALUE", help="A field of the body.")
@click.option("--content-type", "content_type", default="", help="The media type of the body.")
@click.option("--from", "client", default="", metavar="IP", help="The address of the client.")
@click.option("--user", default="", metavar="NAME", help="Whom its credentials name.")
@click.option("--project", default="", help="The project it is about, where the rest is silent.")
def explain(
    config: Path,
    method: str,
    target: str,
    form: tuple[str, ...],
    content_type: str,
    client: str,
    user: str,
    project: str,
) -> int:
    """Show which rule meets METHOD TARGET, why those before it do not, and what it takes.

    TARGET is the address as on the request line, from the first slash on; of a whole address
    (https://…) that part is taken.
    """
    from gateway.app.domain import reading_of
    from gateway.core.rules.explain import Trial, judge
    from gateway.settings import load

    settings = load(config)
    target = _on_the_line(settings, target)
    trial = Trial(
        *(method, target, _fields(form), content_type, _address(client)),
        user=_user(user),
        project=_project(project),
    )
    verdict = judge(settings.ruleset(), trial, reading_of(settings))
    unmatched = verdict.matched is not None and verdict.matched.rule is None
    if unmatched:
        click.echo(f"No rule matches; the default decides: {settings.default}")
    for rule, why in verdict.steps:
        click.echo(f"  not {rule.name}: {why}")
    for line in _told(settings, verdict):
        click.echo(line)
    if method.upper() not in ("GET", "HEAD", "OPTIONS"):
        _say_what_is_stopped(settings)
    return output.OK


def _say_what_is_stopped(settings: Settings) -> None:
    """The freezes of the store, if there is one here: what they name is refused whatever the
    rules say."""
    import asyncio
    from time import time

    from gateway.core.freezes import Freezes
    from gateway.core.store import StoreUnavailable
    from gateway.settings.files import unmade_store, unwritable_store
    from gateway.stores import open_store

    if unwritable_store(settings.store) or unmade_store(settings.store) is not None:
        return

    async def look() -> list[str]:
        store = await open_store(settings.store, time)
        try:
            freezes = Freezes(store, time)
            await freezes.look()
        finally:
            await store.close()
        return [f"{one.key} until {one.end}: {one.reason}" for one in freezes.live]

    try:
        for line in asyncio.run(look()):
            click.echo(f"stopped now: {line}")
    except StoreUnavailable as error:
        output.warning(f"whether anything is frozen, the store does not say: {error}")


def _on_the_line(settings: Settings, target: str) -> str:
    """The target as a client of the gateway would send it (RFC 9112 section 3.2.1)."""
    from urllib.parse import urlsplit

    from gateway.core.urls import without_base

    if target.lower().startswith(("http://", "https://")):
        parts = urlsplit(target)
        path = target[len(parts.scheme) + len("://") + len(parts.netloc) :] or "/"
        public = settings.public_url
        inside = without_base(public.path, path)
        if f"{parts.scheme}://{parts.netloc}".lower() != public.origin or not inside:
            output.warning(f"{parts.scheme}://{parts.netloc} is not public_url; its path is taken.")
        return inside or path
    if not target.startswith("/"):
        output.hint(f"TARGET is a path from its first slash on: /{target}")
    return target


def _fields(form: tuple[str, ...]) -> dict[str, str]:
    fields = {}
    for text in form:
        name, mark, value = text.partition("=")
        if not mark or not name or name in fields:
            raise click.BadParameter(f"{text!r}: NAME=VALUE, each name once", param_hint="--form")
        fields[name] = value
    return fields


def _user(text: str) -> str:
    from gateway.core.errors import Refusal
    from gateway.core.user_id import user_id

    try:
        return user_id(text) if text else ""
    except Refusal as refusal:
        raise click.BadParameter(refusal.text, param_hint="--user") from None


def _project(text: str) -> str | None:
    from gateway.core.tokens.projects import is_name, normalised

    if text and not is_name(text):
        raise click.BadParameter(f"{text!r} is no name of a project", param_hint="--project")
    return normalised(text) if text else None


def _address(text: str) -> IPAddress | None:
    from ipaddress import ip_address

    try:
        return ip_address(text) if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no IP address", param_hint="--from") from None


def _told(settings: Settings, verdict: Explanation) -> list[str]:
    """What becomes of the request, line by line."""
    from gateway.core.errors import MESSAGES
    from gateway.core.rules.rules import Policy

    if verdict.refusal:
        status = MESSAGES[verdict.refusal].status
        return [f"refused: {verdict.refusal} ({status}): {verdict.said}"]
    if verdict.own or verdict.matched is None:
        return [f"path: {verdict.path}", "answered by the gateway itself"]
    rule, policy = verdict.matched.rule, verdict.matched.policy
    lines = [f"path: {verdict.path}"]
    lines.append(f"rule: {rule.name} ({rule.position})" if rule else "rule: none")
    tried = rule is not None and rule.tried
    lines.append(f"policy: {'token (not enforced)' if tried else policy}")
    if verdict.barred is not None:
        assert rule is not None
        message = MESSAGES[verdict.barred]
        lines[-1] = f"policy: {rule.policy}"
        lines.append(f"refused: {verdict.barred} ({message.status}): {verdict.why}")
    elif policy is Policy.DENY:
        lines.append(
            f"refused: denied ({MESSAGES[Slug.DENIED].status}): {MESSAGES[Slug.DENIED].text}"
        )
    else:
        age = rule.max_age if rule and rule.max_age else settings.second_factor.max_age
        acts = rule.session if rule else settings.upstream.acts_by_session
        session = acts or not verdict.changes
        if policy is Policy.PASS and rule and rule.rights and rule.rights.by_people:
            lines.append("needs: the name in every credential; the upstream judges the password")
        elif tried:
            lines.append("needs: nothing yet; uploads without a token are counted")
        else:
            lines.append(f"needs: {_needs(settings, policy, age, session=session)}")
        begins = getattr(rule.rights, "newcomers", None) if rule else None
        if begins is not None:
            lines.append(f"new projects: only by {begins}")
        if policy in (Policy.SECOND_FACTOR, Policy.TOKEN, Policy.AUTHENTICATED) and not session:
            lines.append("session: is not enough for a change")
    said = rule.response if rule is not None else None
    lines.append(f"answer: {_answer(said or settings.response)}")
    denied = rule is not None and rule.policy is Policy.DENY
    if settings.appearance.front_page and verdict.path == FRONT and verdict.seen and not denied:
        lines.append("browsers: the gateway's own page (appearance.front_page) instead of all this")
    if rule and rule.unpacked:
        lines.append("files: only ZIP archives whose members stay in their folder")
    return lines


def _answer(response: Response) -> str:
    """What a browser does with the answer."""
    from gateway.core.http.responses import Response

    told = {
        Response.INERT: "inert; nothing in it runs in a browser",
        Response.PAGES: "pages; only script files of the index run",
        Response.DOCUMENTATION: "documentation; its scripts run in an origin of their own",
        Response.PLAIN: "plain; as the index sends it",
    }
    return told[response]


def _needs(settings: Settings, policy: Policy, age: float, *, session: bool) -> str:
    """The evidence a policy accepts here (and the slug of the refusal without it).

    Args:
        age: how old a second factor may be, in seconds.
        session: whether a browser's session is evidence for this request.
    """
    from gateway.core.rules.rules import Policy
    from gateway.settings.amounts import write_duration

    by_session = ", or a session" if session else ""
    by_token = ", or a token from a login with one" if settings.upstream.kind == "devpi" else ""
    match policy:
        case Policy.PASS:
            return "nothing; what the upstream asks for is its own affair"
        case Policy.LOGIN:
            return (
                "name and password, which the upstream judges, then a second factor: a code "
                "after the password (PASSWORD,123456), the header X-OTP, or the page after the form"
            )
        case Policy.SECOND_FACTOR:
            return (
                f"a second factor not older than {write_duration(age)}: a code "
                f"with the password (PASSWORD,123456 or X-OTP){by_token}{by_session}; "
                "otherwise 401 second_factor_required"
            )
        case Policy.TOKEN:
            return "a token from a login with a second factor, however old; a password is refused"
        case Policy.AUTHENTICATED:
            return f"whatever credential the upstream itself accepts{by_session}"
        case Policy.DENY:
            return "nothing is enough"

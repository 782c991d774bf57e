"""`index-gateway reload`: have the gateway that serves a configuration read it again."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import output
from gateway.cli.output import config_option


@click.command()
@config_option
@click.option(
    "--within",
    default=90.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to wait for what comes of it.",
)
def reload(config: Path, within: float) -> int:
    """Have the running gateway read its configuration again, without dropping a connection.

    Run it on the same machine, as the gateway's user or root. A file that cannot be used changes
    nothing: the command says why and ends with 1.
    """
    from gateway.serving.reloading import NotServed, ask

    try:
        outcome = ask(config, within)
    except NotServed as error:
        said = str(error)
        raise output.CommandFailed(
            f"{said[:1].upper()}{said[1:]}: {config}.",
            "Name the file as `serve` did, on the same machine and as the same user.",
        ) from None
    if outcome.ok:
        output.note(f"{config} was read again and is in use.")
        return output.OK
    for line in outcome.lines:
        output.error(line)
    output.hint("The gateway goes on with what it had.")
    return output.FAILED

"""`index-gateway preview`: look at every page as a configuration makes it, before people do."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from gateway.cli import output
from gateway.cli.output import config_option


@click.command()
@config_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8095,
    show_default=True,
    help="Where to listen, on this machine only.",
)
def preview(config: Path, port: int) -> int:
    """Show every page with sample people, on this machine only, until Ctrl-C.

    Nothing of the configuration's store is read or written, its keys are not needed, no index is
    asked, and nobody gets a notice.
    """
    from gateway.app.preview import run
    from gateway.settings.apart import load_apart

    settings = load_apart(config)

    def ready(address: str) -> None:
        output.note(f"Every page, with sample people: {address}  (Ctrl-C ends it)")

    with contextlib.suppress(KeyboardInterrupt):
        try:
            run(settings, port, ready)
        except OSError as error:
            raise output.CommandFailed(
                f"Port {port} of 127.0.0.1 cannot be listened on: {error.strerror}.",
                "Take another: --port 8096.",
            ) from None
    return output.OK

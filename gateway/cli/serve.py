"""`index-gateway serve`: read the configuration, see that its tests hold, run the gateway."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import interpreter, live, output
from gateway.cli.output import WRITABLE, config_option


@click.command()
@config_option
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Processes that share the listener; one per core is plenty.",
)
@click.option(
    "--look/--no-look",
    default=True,
    help="Tell at start what of `check --live` fails (in the background).",
)
def serve(config: Path, workers: int, look: bool) -> int:
    """Run the gateway until SIGTERM or Ctrl-C; SIGHUP or `reload` reads the file again.

    Running transfers finish within the limit of the configuration, then it ends.
    """
    from gateway.app import run
    from gateway.app.domain import reading_of
    from gateway.app.logs import install
    from gateway.settings import ConfigError, run_tests
    from gateway.settings.apart import load_apart
    from gateway.settings.files import unwritable_store

    interpreter.require()
    settings = load_apart(config)
    for problem in settings.warnings:
        output.warning(str(problem))
    failed = run_tests(settings, reading_of(settings))
    if failed:
        raise ConfigError(tuple(failed))
    why = unwritable_store(settings.store)
    if why:
        line, column = settings.place(("store",))
        raise output.CommandFailed(f"{settings.file}:{line}:{column}: store: {why}", WRITABLE)

    def ready(listening: list[str]) -> None:
        behind = f"{settings.upstream.kind} at {settings.upstream.url}"
        output.note(f"Serving {settings.public_url} on {', '.join(listening)}, before {behind}.")
        if look:
            begin()

    install(settings.log.format, settings.log.level)
    with live.beside(config, alone=workers <= 1) as begin:
        code = run(settings, workers=workers, ready=ready, file=config)
    return output.FAILED if code else output.OK

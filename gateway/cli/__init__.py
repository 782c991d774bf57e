"""The command line: which commands there are, and how their failures end.

Knows the names of the commands and where they live; each is imported only when it runs, so
that `serve` starts without the others. What a command does stands in its own file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

import click

from gateway import __version__
from gateway.cli import output


class _Command(NamedTuple):
    module: str
    attribute: str
    summary: str


COMMANDS: Final = MappingProxyType(
    {
        "demo": _Command(
            "demo.command", "demo", "Try it on this machine, with nothing to configure."
        ),
        "init": _Command("config", "init", "Write a commented configuration."),
        "check": _Command("config", "check", "Validate a configuration and run its tests."),
        "explain": _Command("explain", "explain", "Show which rule meets a request, and why."),
        "schema": _Command("config", "schema", "Print the JSON Schema of the configuration."),
        "preview": _Command("preview", "preview", "Look at every page, with sample people."),
        "serve": _Command("serve", "serve", "Run the gateway."),
        "reload": _Command("reload", "reload", "Have the running gateway read its file again."),
        "user": _Command("users", "user", "Enrol, invite, list, reset, remove and unlock people."),
        "token": _Command("tokens", "token", "Make, list, show and revoke API tokens."),
        "login": _Command("login", "login", "Log a command line in, by a word in the browser."),
        "publisher": _Command(
            "publishers",
            "publisher",
            "List trusted publishers and keep their passwords.",
        ),
        "freeze": _Command(
            "freeze", "freeze", "Stop uploads, logins or more for a while; list it."
        ),
        "unfreeze": _Command("freeze", "unfreeze", "Let go on what was stopped."),
        "keys": _Command("keys", "keys", "Make and rotate the gateway's keys."),
        "backup": _Command("store", "backup", "Copy the SQLite store, while the gateway runs."),
        "restore": _Command("store", "restore", "Bring a backup back, while the gateway runs."),
        "store": _Command("store", "store", "Move everything to another store."),
        "audit": _Command("audit", "audit", "Read, export and verify the audit trail."),
    }
)


class _LazyGroup(click.Group):
    """A group that imports a command when it is called, and lists them without importing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(f"gateway.cli.{place.module}"), place.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.module}.{place.attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """A second factor for a Python package index you cannot change."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with 0 (fine), 1 (refused or failed) or 2 (misuse)."""
    from gateway.app.logs import install

    install()
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, say) has gone; nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status; expected failures are worded, not raised."""
    try:
        result = cli.main(args=arguments, prog_name=output.PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as failed:
        click.echo(failed.format_message(), err=True)
        return output.MISUSE
    except click.UsageError as failed:
        output.error(failed.format_message())
        place = failed.ctx.command_path if failed.ctx else output.PROGRAM
        output.hint(f"Try '{place} --help'.")
        return output.MISUSE
    except click.ClickException as failed:
        output.error(failed.format_message())
        return output.FAILED
    except (click.Abort, KeyboardInterrupt):
        output.note("")
        return 130
    except BrokenPipeError:
        return output.FAILED
    except Exception as failed:
        worded = _worded(failed)
        if worded is None:
            raise
        output.error(worded.text)
        if worded.suggestion:
            output.hint(worded.suggestion)
        return worded.code
    return result if isinstance(result, int) else output.OK


def _worded(failed: Exception) -> output.CommandFailed | None:
    """The words for an expected failure, None for a defect (which keeps its traceback)."""
    from gateway.cli.failures import words

    return words(failed)

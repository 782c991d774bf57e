"""How the commands speak: results to stdout, everything else to stderr with a prefix.

Knows the terminal, the wording of prefixes, and the options that several commands share; knows no
command.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import click

PROGRAM: Final = "index-gateway"

OK: Final = 0
FAILED: Final = 1
MISUSE: Final = 2


class CommandFailed(Exception):
    """An expected failure of a command: what happened, and what to do about it.

    Args:
        text: one or several lines; each becomes an `error:` line.
        suggestion: printed as a `hint:` line when not empty.
        code: exit status, `FAILED` or `MISUSE`.
    """

    def __init__(self, text: str, suggestion: str = "", *, code: int = FAILED) -> None:
        super().__init__(text)
        self.text: Final = text
        self.suggestion: Final = suggestion
        self.code: Final = code


def error(text: str) -> None:
    """Say what failed, one prefixed line for each line of `text`."""
    for line in text.splitlines():
        click.echo(f"{PROGRAM}: error: {line}", err=True)


def warning(text: str) -> None:
    """Say what does not stop the command but should be known."""
    for line in text.splitlines():
        click.echo(f"{PROGRAM}: warning: {line}", err=True)


def hint(text: str) -> None:
    """Say what to do next."""
    for line in text.splitlines():
        click.echo(f"hint: {line}", err=True)


def note(text: str) -> None:
    """Say what goes on; not a result, so it goes to stderr."""
    click.echo(text, err=True)


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Whether a stream (stdout by default) is a terminal a person looks at."""
    target = sys.stdout if stream is None else stream
    try:
        return target.isatty()
    except ValueError:  # closed
        return False


def secret_allowed(*, json: bool = False, force: bool = False) -> None:
    """Stop before a secret goes into a pipe nobody asked to hold one.

    Args:
        json: the output is for a script that asked for it.
        force: the person insists.

    Raises:
        CommandFailed: stdout is no terminal and neither was given.
    """
    if not (json or force or is_terminal()):
        raise CommandFailed(
            "The output is not a terminal and would hold a secret.",
            "Use --json for scripts, or --force to print it anyway.",
        )


def moment(when: float) -> str:
    """Seconds since the epoch as people read them; "never" for 0."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC") if when else "never"


CONFIG_VARIABLE: Final = "INDEX_GATEWAY_CONFIG"
CONFIG_FILE: Final = Path("/etc/index-gateway/gateway.yaml")

WRITABLE: Final = (
    "Name a place this user may write, such as sqlite:/var/lib/index-gateway/state.db "
    "(StateDirectory=index-gateway of systemd makes the directory), or give it the files (chown)."
)

config_option = click.option(
    "-c",
    "--config",
    "config",
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    default=CONFIG_FILE,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file.",
)


def usual_config() -> Path | None:
    """The file that commands take without -c; None where there is none."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return CONFIG_FILE if CONFIG_FILE.exists() else None


def password_of(user: str, file: IO[str] | None) -> str:
    """A person's password at the index, from a file or typed.

    Raises:
        CommandFailed
    """
    if file is not None:
        password = file.read().rstrip("\r\n")
    elif is_terminal(sys.stdin):
        password = click.prompt(f"Password of {user} at the index", hide_input=True, err=True)
    else:
        raise CommandFailed(
            "Nobody is there to type the password.", "Give it by --password-file, or - for stdin."
        )
    if not password:
        raise CommandFailed("The password is empty.")
    return str(password)

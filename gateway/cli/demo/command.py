"""The `demo` command: start everything, tell what there is, stop everything.

Whatever ends it (Ctrl-C, SIGTERM, a closed terminal, a failure half-way), no process and no file
is left.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from gateway.cli import interpreter, output
from gateway.cli.demo import guide, indexes
from gateway.cli.demo.processes import ENDING, Children, listens, signals_held
from gateway.cli.demo.proof import prove
from gateway.cli.demo.stage import build


class _Stopped(Exception):
    """Somebody asked for the end."""


@click.command()
@click.option(
    "--upstream",
    type=click.Choice(["pypiserver", "devpi"]),
    default="pypiserver",
    show_default=True,
    help="The index that runs behind the gateway.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Where to listen, on this machine only.",
)
def demo(upstream: str, port: int) -> int:
    """Try it on this machine, with nothing to configure.

    Starts a real index with two packages in it, the gateway before it and a user who has a second
    factor already. Ctrl-C stops everything and leaves nothing behind.
    """
    interpreter.require()
    indexes.require(upstream)
    if listens(port):
        other = port + 10 if port <= 65525 else 8090
        raise output.CommandFailed(
            f"Port {port} of 127.0.0.1 is in use.",
            f"Stop what listens there, or take another: --port {other}, make demo PORT={other}.",
        )
    before = {number: signal.signal(number, _stop) for number in ENDING}
    try:
        with ExitStack() as left:
            with signals_held():
                place = Path(tempfile.mkdtemp(prefix="index-gateway-demo-"))
                left.callback(_remove, place)
            _run(left.enter_context(Children()), place, upstream, port)
    except _Stopped:
        output.note("\nStopped; nothing is left.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return output.OK


def _stop(number: int, frame: FrameType | None) -> None:
    # Only the first one interrupts: the rest must not disturb the cleaning up.
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def _remove(place: Path) -> None:
    with signals_held():
        shutil.rmtree(place, ignore_errors=True)


def _run(children: Children, place: Path, upstream: str, port: int) -> None:
    output.note(f"Starting {upstream} and the gateway …")
    stage = build(children, place, upstream, port)
    prove(stage)
    shown = guide.codes(stage.otpauth)
    click.echo(guide.welcome(stage, shown(time.time())[0]))
    live = output.is_terminal()
    while True:
        ended = children.ended()
        if ended:
            raise output.CommandFailed(f"{ended.name} ended by itself:\n{ended.tail()}")
        if live:
            click.echo("\r" + guide.status(*shown(time.time())), nl=False)
            sys.stdout.flush()
        time.sleep(0.5)

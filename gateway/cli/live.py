"""`check --live`: what was found of index, store, keys and public address, in words; and the same
told by `serve` while it starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import output

if TYPE_CHECKING:
    from gateway.app.live_check import Finding
    from gateway.settings import Settings

_NICE = 10


def look(settings: Settings, *, json: bool = False, quiet: bool = False) -> int:
    """Look, tell each fact in a line of its own, and return the exit status.

    Args:
        json: for scripts. quiet: tell only what does not work, as warnings.
    """
    from gateway.app import live_check

    found = asyncio.run(live_check.look(settings))
    if json:
        import json as writer

        click.echo(writer.dumps([asdict(finding) for finding in found], indent=2))
    elif quiet:
        warn(found)
    else:
        for finding in found:
            _tell(finding)
    return output.OK if all(finding.ok for finding in found) else output.FAILED


def warn(found: list[Finding]) -> None:
    for finding in found:
        if not finding.ok:
            output.warning(f"{finding.what}: {finding.said}.")
            output.hint(finding.fix)


def _tell(finding: Finding) -> None:
    click.echo(f"{'ok' if finding.ok else 'FAILED':<7} {finding.what:<11} {finding.said}")
    if not finding.ok:
        click.echo(f"{'':<19} {finding.fix}")


@contextlib.contextmanager
def beside(config: Path, *, alone: bool) -> Iterator[Callable[[], None]]:
    """`check --live` in a process of its own while a gateway starts: it takes neither time nor
    memory of the gateway. It begins when the given function is called, and ends with the block.

    Args:
        alone: no other process of ours is waited for, which would take note of its end.
    """
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        arguments = ["check", "--live", "--quiet", "-c", str(config)]
        child = subprocess.Popen(  # noqa: S603 - this interpreter and our own arguments
            [sys.executable, "-m", "gateway", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError):  # the gateway's first clients come before it
            os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
        started.append(child)
        if alone:
            threading.Thread(target=child.wait, daemon=True).start()

    try:
        yield begin
    finally:
        for child in started:
            if child.poll() is None:
                child.terminate()

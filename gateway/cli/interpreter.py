"""Stops a command that would run on an interpreter that misreads what it judges."""

from __future__ import annotations

import platform
import sys

from gateway.cli.output import CommandFailed


def require() -> None:
    """See that this interpreter reads heads, paths and forms as it should.

    Raises:
        CommandFailed: it does not; nothing may be served by it.
    """
    from gateway.app.selftest import misread

    found = list(misread())
    if found:
        name = f"{platform.python_implementation()} {platform.python_version()}"
        raise CommandFailed(
            f"{name} ({sys.executable}) misreads {len(found)} of the texts that index-gateway "
            f"tries at start, so it can judge no request.\n{found[0]}",
            "Install index-gateway for another Python (3.11.2 or newer), and report this one.",
        )

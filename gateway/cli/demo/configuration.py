"""The gateway's own commands, run as an administrator would: init, keys, user, serve.

Knows how a configuration is written and changed; knows no index server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.cli.demo.processes import Child, Children
from gateway.cli.output import PROGRAM as PROGRAM_NAME
from gateway.cli.output import CommandFailed
from gateway.core.urls import HEALTH

PROGRAM: Final = (sys.executable, "-m", "gateway")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a person gets at enrolment: the otpauth address and the recovery codes."""

    uri: str = field(repr=False)
    recovery_codes: tuple[str, ...] = field(repr=False)


def write(path: Path, kind: str, changes: Mapping[str, object]) -> None:
    """The configuration `init` writes for a kind of index, with some keys changed.

    changes: values by dotted key; None removes a key.
    """
    from ruamel.yaml import YAML

    call("init", kind, "-o", str(path))
    yaml = YAML()
    yaml.preserve_quotes = True
    data = yaml.load(path)
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    yaml.dump(data, path)


def make_keys(config: Path) -> None:
    call("keys", "new", "-c", str(config))


def enrol(config: Path, user: str) -> Enrolled:
    told = json.loads(call("user", "enrol", "-c", str(config), user, "--json"))
    return Enrolled(told["uri"], tuple(told["recovery_codes"]))


def serve(children: Children, config: Path, port: int, log: Path, *, workers: int = 1) -> Child:
    """Start the gateway and wait until it is healthy."""
    argv = [*PROGRAM, "serve", "--no-look", "-c", str(config)]
    argv += ["--workers", str(workers)]
    child = children.start("index-gateway", argv, log)
    child.ready(port, HEALTH, within=60)
    return child


def call(*arguments: str) -> str:
    """Run an `index-gateway` command; what it wrote to stdout.

    Raises:
        CommandFailed: with what it wrote to stderr.
    """
    done = subprocess.run(  # noqa: S603 - our own argument lists
        [*PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.replace(f"{PROGRAM_NAME}: error: ", "").strip()
        raise CommandFailed(f"'{PROGRAM_NAME} {arguments[0]}' failed:\n{said}")
    return done.stdout

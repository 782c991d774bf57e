"""Everything a demo needs, set up in one directory: index, packages, user, gateway.

Knows the order, and the gateway's own commands as an administrator would run them (init, keys,
user, serve); how an index server is set up stands in `indexes`.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.cli.demo import indexes
from gateway.cli.demo.indexes import Package, write
from gateway.cli.demo.processes import Child, Children, free_port
from gateway.cli.output import PROGRAM as PROGRAM_NAME
from gateway.cli.output import CommandFailed
from gateway.core.urls import HEALTH

USER: Final = "demo"
PACKAGES: Final = (
    Package("hello", "1.0", "Says hello."),
    Package("goodbye", "1.0", "Says goodbye."),
)
# Not uploaded yet: what the person uploads.
FRESH: Final = Package("fresh", "1.0", "Uploaded through the gateway.")


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs. uploads: where packages go, index: where installers read, config: the
    gateway's configuration."""

    kind: str
    url: str
    uploads: str
    index: str
    fresh: Path
    config: Path
    password: str = field(repr=False)
    otpauth: str = field(repr=False)


def build(children: Children, place: Path, kind: str, port: int) -> Demo:
    """Start an index and a gateway before it.

    Raises:
        CommandFailed: a part did not start.
    """
    # No comma: what follows one is read as a code.
    password = secrets.token_hex(5)
    url = f"http://localhost:{port}"
    behind = free_port()
    setups = {"pypiserver": _pypiserver, "devpi": _devpi}
    upload_path, index_path = setups[kind](children, place, behind, password)
    fresh, _ = write(place / "fresh", FRESH)
    config = place / "gateway.yaml"
    write_configuration(
        config,
        kind,
        {
            "listen": f"127.0.0.1:{port}",
            "public_url": url,
            "upstream.url": f"http://127.0.0.1:{behind}",
            "store": "sqlite:state.db",
            "keys": "file:gateway.keys",
            "second_factor.issuer": "index-gateway demo",
            **({"appearance.front_page": True} if kind == "pypiserver" else {}),
        },
    )
    make_keys(config)
    enrolled = enrol(config, USER)
    serve(children, config, port, place / "gateway.log")
    return Demo(
        kind, url, url + upload_path, url + index_path, fresh, config, password, enrolled.uri
    )


def _pypiserver(children: Children, place: Path, port: int, password: str) -> tuple[str, str]:
    packages = place / "packages"
    for package in PACKAGES:
        write(packages, package)
    indexes.write_htpasswd(place / "htpasswd", {USER: password})
    log = place / "pypiserver.log"
    indexes.start_pypiserver(children, port, packages, place / "htpasswd", log)
    return "/", "/simple/"


def _devpi(children: Children, place: Path, port: int, password: str) -> tuple[str, str]:
    root_password = secrets.token_hex(16)
    indexes.init_devpi(place / "devpi", root_password)
    indexes.start_devpi(children, port, place / "devpi", place / "devpi.log")
    indexes.DevpiServer(port, "root", root_password).add_user(USER, password)
    indexes.DevpiServer(port, USER, password).add_index(f"{USER}/packages")
    path = f"/{USER}/packages/"
    files = [file for package in PACKAGES for file in write(place / "dist", package)]
    indexes.upload(f"http://127.0.0.1:{port}{path}", USER, password, files)
    return path, f"{path}+simple/"


PROGRAM: Final = (sys.executable, "-m", "gateway")


@dataclass(frozen=True, slots=True)
class DemoUser:
    """What a person gets at enrolment: the otpauth address and the recovery codes."""

    uri: str = field(repr=False)
    recovery_codes: tuple[str, ...] = field(repr=False)


def write_configuration(
    path: Path, kind: str, changes: Mapping[str, object], *options: str
) -> None:
    """The configuration `init` writes for a kind of index, with some keys changed (`change`).

    options: of `init`.
    """
    call("init", kind, *options, "-o", str(path))
    change(path, changes)


def change(path: Path, changes: Mapping[str, object]) -> None:
    """Change keys of a configuration: values by dotted key; None removes a key."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    data = yaml.load(path)
    change_data(data, changes)
    yaml.dump(data, path)


def change_data(data: dict[str, Any], changes: Mapping[str, object]) -> None:
    """The same of a configuration that was read."""
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value


def make_keys(config: Path) -> None:
    call("keys", "new", "-c", str(config))


def enrol(config: Path, user: str) -> DemoUser:
    told = json.loads(call("user", "enrol", "-c", str(config), user, "--json"))
    return DemoUser(told["uri"], tuple(told["recovery_codes"]))


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

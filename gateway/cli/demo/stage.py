"""Everything a demo needs, set up in one directory: index, packages, user, gateway.

Knows the order; how each part is done stands in the files beside this one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.cli.demo import configuration, indexes
from gateway.cli.demo.packages import Package, write
from gateway.cli.demo.processes import Children, free_port

USER: Final = "demo"
PACKAGES: Final = (
    Package("hello", "1.0", "Says hello."),
    Package("goodbye", "1.0", "Says goodbye."),
)
# Not uploaded yet: what the person uploads.
FRESH: Final = Package("fresh", "1.0", "Uploaded through the gateway.")


@dataclass(frozen=True, slots=True)
class Stage:
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


def build(children: Children, place: Path, kind: str, port: int) -> Stage:
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
    configuration.write(
        config,
        kind,
        {
            "listen": f"127.0.0.1:{port}",
            "public_url": url,
            "upstream.url": f"http://127.0.0.1:{behind}",
            "store": "sqlite:state.db",
            "keys": "file:gateway.keys",
            "second_factor.issuer": "index-gateway demo",
        },
    )
    configuration.make_keys(config)
    enrolled = configuration.enrol(config, USER)
    configuration.serve(children, config, port, place / "gateway.log")
    return Stage(
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
    indexes.Devpi(port, "root", root_password).add_user(USER, password)
    indexes.Devpi(port, USER, password).add_index(f"{USER}/packages")
    path = f"/{USER}/packages/"
    files = [file for package in PACKAGES for file in write(place / "dist", package)]
    indexes.upload(f"http://127.0.0.1:{port}{path}", USER, password, files)
    return path, f"{path}+simple/"

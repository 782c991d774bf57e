"""Real index servers for trying out, set up from nothing and filled with small valid packages.

Knows how pypiserver and devpi are initialised and started, and how a wheel (PEP 427) and an sdist
(PEP 625) are written without a build backend and without the network; knows nothing of the gateway.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, run
from types import MappingProxyType
from typing import Final

from gateway.cli.demo.processes import Child, Children
from gateway.cli.output import CommandFailed

# What each needs to be importable, and the extra that brings it.
NEEDS: Final = MappingProxyType(
    {
        "pypiserver": (("pypiserver", "passlib", "twine"), "demo"),
        "devpi": (("devpi_server", "devpi_web", "devpi_lockdown", "devpi_tokens"), "demo-devpi"),
    }
)

# devpi derives its keys with argon2 at a cost made for a server that runs for months (ten
# seconds, 1 GiB); this one is gone with its secret in minutes.
QUICK_DEVPI: Final = (
    "--argon2-memory-cost=8",
    "--argon2-parallelism=1",
    "--argon2-time-cost=1",
)


def require(kind: str) -> None:
    """Raises CommandFailed, with the pip command, where packages of the demo are missing."""
    modules, extra = NEEDS[kind]
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise CommandFailed(
            f"The demo of {kind} needs packages that are not installed: {', '.join(missing)}.",
            f"{sys.executable} -m pip install 'index-gateway[{extra}]'",
        )


def script(name: str) -> str:
    """The path of a command that was installed beside this interpreter."""
    return str(Path(sysconfig.get_path("scripts")) / name)


# -- pypiserver -----------------------------------------------------------------------------


def write_htpasswd(path: Path, users: Mapping[str, str], *, rounds: int | None = None) -> None:
    """An htpasswd file as pypiserver reads it (through passlib). rounds: of SHA-crypt; None: as
    many as passlib thinks right."""
    from passlib.apache import HtpasswdFile
    from passlib.hash import sha256_crypt

    table = HtpasswdFile(str(path), new=True)
    for user, password in users.items():
        table.set_hash(user, sha256_crypt.using(rounds=rounds).hash(password))
    table.save()
    path.chmod(0o600)


def start_pypiserver(
    children: Children,
    port: int,
    packages: Path,
    htpasswd: Path,
    log: Path,
    *,
    protected: str = "update",
) -> Child:
    """Start pypiserver on a loopback port and wait until it answers.

    protected: its `-a`, the actions that need a password.
    """
    argv = [script("pypi-server"), "run", "-i", "127.0.0.1", "-p", str(port)]
    argv += ["-P", str(htpasswd), "-a", protected]
    argv += ["--disable-fallback", "--health-endpoint", "/health", str(packages)]
    child = children.start("pypiserver", argv, log)
    child.ready(port, "/health")
    return child


# -- devpi ----------------------------------------------------------------------------------


def init_devpi(serverdir: Path, root_password: str, *, program: Sequence[str] = ()) -> Path:
    """Make devpi's directory; returns its secret file, without which tokens die at restart.

    program: what to run in place of devpi-init.
    """
    secret = serverdir / "secret"
    argv = [*(program or [script("devpi-init")]), "--serverdir", str(serverdir), "--no-root-pypi"]
    _call([*argv, "--root-passwd", root_password])
    # What devpi-gen-secret writes, without the seconds it takes to start.
    secret.write_text(b64encode(os.urandom(32)).decode())
    secret.chmod(0o600)
    return secret


def devpi_options(port: int, serverdir: Path) -> list[str]:
    """What devpi-server is told to run on a loopback port."""
    return [
        *("--serverdir", str(serverdir), "--secretfile", str(serverdir / "secret")),
        *("--host", "127.0.0.1", "--port", str(port)),
        *QUICK_DEVPI,
    ]


def theme() -> Path:
    """The theme of devpi-web that leads to the gateway's pages."""
    return Path(str(files("gateway") / "config" / "devpi-theme"))


def start_devpi(children: Children, port: int, serverdir: Path, log: Path) -> Child:
    """Start devpi-server on a loopback port and wait until it answers."""
    argv = [script("devpi-server"), *devpi_options(port, serverdir), "--keep-docs-packed"]
    argv += ["--theme", str(theme())]
    child = children.start("devpi-server", argv, log)
    child.ready(port, "/+api")
    return child


class DevpiServer:
    """The few calls that set up a user and an index, straight at devpi-server."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        answer = self._call("POST", "/+login", {"user": user, "password": password})
        token = answer["result"]["password"]
        self._auth = _basic(user, token)

    def add_user(self, name: str, password: str, **more: str) -> None:
        self._call("PUT", f"/{name}", {"password": password, **more}, self._auth)

    def add_index(self, path: str, **settings: object) -> None:
        """path: user/index, the user being the one who is logged in (or root)."""
        plain: dict[str, object] = {"type": "stage", "bases": [], "volatile": True}
        self._call("PUT", f"/{path}", {**plain, **settings}, self._auth)

    def _call(
        self, method: str, path: str, body: Mapping[str, object], auth: str = ""
    ) -> dict[str, dict[str, str]]:
        fields = {"Content-Type": "application/json", "Accept": "application/json"}
        if auth:
            fields["X-Devpi-Auth"] = auth
        request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
            self._base + path, json.dumps(body).encode(), fields, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            answer: dict[str, dict[str, str]] = json.load(reply)
            return answer


def upload(url: str, user: str, password: str, files: Iterable[Path]) -> None:
    """Upload with twine; the password goes by the environment, not the process list."""
    argv = [sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    _call(
        [*argv, "--repository-url", url, *map(str, files)],
        {"TWINE_USERNAME": user, "TWINE_PASSWORD": password},
    )


def _basic(user: str, secret: str) -> str:
    return b64encode(f"{user}:{secret}".encode()).decode()


def _call(argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    done = run(  # noqa: S603 - our own argument lists
        argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").splitlines()[-12:]
        raise CommandFailed("\n".join([f"{Path(argv[0]).name} failed:", *said]))


# One fixed date, so that the same package has the same bytes on every run.
_DATE = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A pure Python package of one module. name: a normalised name without hyphens."""

    name: str
    version: str
    summary: str = "A package to try the gateway with."
    padding: bytes = b""

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def wheel_name(self) -> str:
        return f"{self.stem}-py3-none-any.whl"

    @property
    def sdist_name(self) -> str:
        return f"{self.stem}.tar.gz"


def metadata(package: Package) -> bytes:
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {package.name}\n"
        f"Version: {package.version}\n"
        f"Summary: {package.summary}\n"
        "Requires-Python: >=3.8\n"
        "Description-Content-Type: text/plain\n"
        f"\n{package.summary}\n"
    ).encode()


def module(package: Package) -> bytes:
    return f'"""{package.summary}"""\n\n__version__ = "{package.version}"\n'.encode()


def wheel(package: Package) -> bytes:
    """The bytes of its wheel, with RECORD."""
    info = f"{package.stem}.dist-info"
    files = {
        f"{package.name}/__init__.py": module(package),
        f"{info}/METADATA": metadata(package),
        f"{info}/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: index-gateway\n"
            b"Root-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    if package.padding:
        files[f"{package.name}/data.bin"] = package.padding
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return target.getvalue()


def sdist(package: Package) -> bytes:
    """The bytes of its source archive, buildable by setuptools."""
    files = {
        "PKG-INFO": metadata(package),
        "pyproject.toml": (
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            f'[project]\nname = "{package.name}"\nversion = "{package.version}"\n'
        ).encode(),
        f"{package.name}/__init__.py": module(package),
    }
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{package.stem}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def write(place: Path, package: Package) -> tuple[Path, Path]:
    """Write wheel and sdist into a directory, which is made if it is not there."""
    place.mkdir(parents=True, exist_ok=True)
    paths = place / package.wheel_name, place / package.sdist_name
    paths[0].write_bytes(wheel(package))
    paths[1].write_bytes(sdist(package))
    return paths


def _digest(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")

"""Small valid packages, built without a build backend and without the network.

Knows the wheel format (PEP 427), the sdist format (PEP 625) and core metadata 2.1; knows no
index server.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

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

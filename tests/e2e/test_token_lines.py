"""The lines that the page of a new token shows, with the programs they are for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, script, write
from gateway.core.upstream import Addresses
from gateway.web.handlers.token_lines import Lines, read_lines, upload_lines
from tests.conftest import PYPISERVER_USERS
from tests.e2e.conftest import NewPerson
from tests.e2e.test_tokens import make
from tests.support.clients import pip, run, uv
from tests.support.gateways import Gateway


def by_program(lines: tuple[Lines, ...]) -> Mapping[str, Lines]:
    return {one.program: one for one in lines}


def exported(lines: Lines) -> dict[str, str]:
    """The variables that a shell would set."""
    rows = [line.removeprefix("export ") for line in lines.text.splitlines()]
    return dict(row.split("=", 1) for row in rows)


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_what_is_copied_works(
    kind: str, before_devpi: Gateway, before_pypiserver: Gateway, person: NewPerson, tmp_path: Path
) -> None:
    if kind == "devpi":
        alice = person("copied")
        gateway, user, password = before_devpi, alice.name, alice.password
        places = Addresses(f"/{alice.index}/", f"/{alice.index}/+simple/")
    else:
        gateway, user, password = before_pypiserver, "carol", PYPISERVER_USERS["carol"]
        places = Addresses("/", "/simple/")
    text = make(gateway, user, password, "copied", "--scope", "upload", "--scope", "read")
    wheel, sdist = write(tmp_path / "dist", Package("copied", "1.0"))
    upload = by_program(upload_lines(text, gateway.url, places))
    (tmp_path / ".pypirc").write_text(upload["twine"].text)
    argv = [script("twine"), "upload", "--non-interactive", "-r", "company", str(wheel)]
    done = run(tmp_path, *argv)
    assert done.code == 0, done.said
    done = uv(tmp_path, "publish", str(sdist), **exported(upload["uv"]))
    assert done.code == 0, done.said

    read = by_program(read_lines(text, gateway.url, places))
    (tmp_path / "pip.conf").write_text(read["pip"].text)
    argv = ["download", "--no-deps", "--no-cache-dir", "copied"]
    done = pip(tmp_path, *argv, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert done.code == 0, done.said
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    argv = ["pip", "install", "--no-cache", "--target", "lib", "copied"]
    done = uv(tmp_path, *argv, **exported(read["uv"]))
    assert done.code == 0, done.said
    (tmp_path / ".netrc").write_text(read["pip, uv, curl and others"].text)
    done = run(tmp_path, "curl", "-sSf", "--netrc", f"{gateway.url}{places.simple}copied/")
    assert done.code == 0 and wheel.name in done.said, done.said

"""Which project pypiserver files an upload under, held to its own function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypiserver.pkg_helpers import guess_pkgname_and_version, normalize_pkgname

from gateway.core.tokens.projects import file_belongs
from gateway.upstreams.pypiserver import Pypiserver

PARTS = "foo bar - 1 2 -2 -1.0 . _ a s c + ! İ any .whl .WHL .zip .ZIP .tar.gz .egg .asc -py3 .4- \
.win32-"
NAMES = st.lists(st.sampled_from(PARTS.split()), max_size=9).map(
    lambda parts: "foo" + "".join(parts)
)


def check(filename: str) -> None:
    """Whatever a token for one project may upload is filed under no other."""
    found = guess_pkgname_and_version(filename)
    if found is None:  # pypiserver refuses it
        return
    filed, said = normalize_pkgname(found[0]), Pypiserver().file_project(filename)
    assert said == filed or (said is None and ".whl" in filename)
    for project in {"foo", "foo-1", "foo-2", "foo-bar"} - {filed}:
        assert not file_belongs(filename, project) or said not in (None, project)


@given(NAMES)
def test_no_file_gets_into_another_project(filename: str) -> None:
    check(filename)


@pytest.mark.parametrize(
    "filename",
    [
        "foo-2-.tar.gz...asc",
        "foo-2-1-py3.4-any-a.WHL",
        "foo-2--.egg",
        "foo-2!-_.zip",
        "foo-2İ-x.zip",
        "foo-2+-2-2-py3.4-bar",
        "foo-1.0.tar.gz.asc",
        "foo-1.0-py3-none-any.whl.asc",
        "foo-2-1.0.tar.gz",
    ],
)
def test_names_read_differently(filename: str) -> None:
    check(filename)

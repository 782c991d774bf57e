"""Names of projects, patterns over them, and which project a file is of."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import projects


@pytest.mark.parametrize(
    ("name", "plain"), [("Foo_Bar", "foo-bar"), ("a.-_b", "a-b"), ("FOO", "foo"), ("x1", "x1")]
)
def test_one_spelling(name: str, plain: str) -> None:
    assert projects.is_name(name)
    assert projects.normalised(name) == plain


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a/b", "ä", "ſ", "a+b", "a" * 201, "a\n"])
def test_no_name(name: str) -> None:
    assert not projects.is_name(name)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(("Acme_*", "acme-*"), (" foo ", "foo"), ("*", "*"), ("a?", "a?"), ("-*", "-*")),
        *(("[ab]", None), ("", None), ("-", None), ("foo-", None), ("\u212aoo", None)),
    ],
)
def test_patterns_have_one_spelling(text: str, found: str | None) -> None:
    assert projects.pattern(text) == found


@given(st.text("ab-*?", max_size=8), st.text("ab-", max_size=8))
def test_a_pattern_fits_what_the_shell_says(pattern: str, name: str) -> None:
    assert projects.fits(name, pattern) == fnmatch.fnmatchcase(name, pattern)


def test_no_pattern_takes_long() -> None:
    assert not projects.fits("a" * 200, "*a" * 100 + "b")


FILES = {
    "foo-1.0.tar.gz": "foo",
    "Foo-1.0.tar.gz": "foo",
    "foo_bar-1.0.tar.gz": "foo-bar",
    "foo-bar-1.0.tar.gz": "foo-bar",
    "foo.bar-1.0.zip": "foo-bar",
    "foo-1.0-py3-none-any.whl": "foo",
    "foo_bar-1.0-1-py3-none-any.whl": "foo-bar",
    "foo-1.0-py3.12.egg": "foo",
    "foo-1.0.tar.gz.asc": "foo",
    "foo-1.0-py3-none-any.whl.asc": "foo",
}


@pytest.mark.parametrize(("filename", "project"), FILES.items())
def test_a_file_is_of_its_project(filename: str, project: str) -> None:
    assert projects.file_belongs(filename, project)
    for other in {*FILES.values(), "fo", "bar", "foo-ba"} - {project}:
        assert not projects.file_belongs(filename, other)


@pytest.mark.parametrize(
    "filename",
    [
        "bar-1.0.tar.gz",
        "foobar-1.0.tar.gz",
        "foo.tar.gz",
        "x/foo-1.0.tar.gz",
        "foo-1.0/../bar-1.0.zip",
        "foo-1.0\\bar.zip",
        "foo_bar-1.0-py3-none-any.whl",
        "foo-bar-1.0-py3-none-any.whl",
        "foo.bar-1.0.zip",
        "foo-bar-1.0.zip",
        "foo--py3-none-any.whl",
        "foo-1.0-none-any.whl",
        "",
    ],
)
def test_a_file_that_is_not_of_it(filename: str) -> None:
    assert not projects.file_belongs(filename, "foo")

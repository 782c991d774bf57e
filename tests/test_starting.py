"""Tests that start something are told apart from the quick ones by themselves."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.support.servers import start_redis
from tests.support.starting import nothing_starts, starts

REFUSED = "mark it with @pytest.mark.server"


def helper() -> None:
    def inner() -> None:
        subprocess.run([sys.executable, "-V"], check=True)

    inner()


class Server:
    @property
    def port(self) -> int:
        return start_redis.__code__.co_firstlineno


def by_a_helper() -> None:
    helper()


def by_a_class() -> None:
    assert Server().port


def by_itself() -> None:
    socket.socket().bind(("127.0.0.1", 0))


def by_nothing() -> None:
    assert socket.AF_INET


def item(request: pytest.FixtureRequest, function: object) -> pytest.Function:
    found: pytest.Function = pytest.Function.from_parent(
        request.node.parent, name="test_of_something", callobj=function
    )
    return found


@pytest.mark.parametrize("function", [by_a_helper, by_a_class, by_itself])
def test_what_starts_something_is_told(function: object, request: pytest.FixtureRequest) -> None:
    assert starts(item(request, function))


def test_what_starts_nothing_is_quick(request: pytest.FixtureRequest) -> None:
    assert not starts(item(request, by_nothing))


def test_a_fixture_that_starts_something_is_told(request: pytest.FixtureRequest) -> None:
    def with_server(pypiserver: object) -> None: ...

    assert starts(item(request, with_server))


def test_a_quick_test_that_starts_something_fails() -> None:
    with nothing_starts(), pytest.raises(pytest.fail.Exception, match=REFUSED):
        globals()["by_itself"]()
    with nothing_starts(), pytest.raises(pytest.fail.Exception, match=REFUSED):
        globals()["helper"]()

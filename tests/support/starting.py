"""Which tests start something: a server, a process, anything that listens.

The others are the quick ones (`make quick`). Nobody lists them: what a test, its fixtures and
the helpers that they call are made of tells, and a quick test that starts something all the same
fails (`nothing_starts`). Such a test is marked `server` by hand.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Final
from unittest.mock import patch

import pytest

# Names in the code of whatever starts something.
_STARTERS: Final = frozenset(
    {"Popen", "bind", "fork", "create_server", "create_unix_server", "create_subprocess_exec",
     "start_server", "start_unix_server", "TCPSite", "TestServer", "TestClient", "HTTPServer",
     "ThreadingHTTPServer", "run_app", "sync_playwright", "free_port"}
)  # fmt: skip
_MODULES: Final = frozenset({"subprocess", "multiprocessing"})
# Whose code is looked into. What else starts something has one of the names above.
_OURS: Final = ("tests.", "gateway.cli.demo")


def starts(item: pytest.Item) -> bool:
    """Whether this test starts something, as far as its code tells."""
    if item.get_closest_marker("server"):
        return True
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs
    functions = [item.function, *(one.func for several in fixtures.values() for one in several)]
    return any(_starts(function, item) for function in functions)


_known: dict[object, bool] = {}


def _starts(thing: object, item: pytest.Item) -> bool:
    """Whether a function, class or module of ours leads to a starter."""
    if thing in _known:
        return _known[thing]
    _known[thing] = False  # for what calls itself
    _known[thing] = found = any(
        _code_starts(code, function, item)
        for function in _functions(thing)
        for code in _codes(function.__code__)
    )
    return found


def _functions(thing: object) -> Iterator[FunctionType]:
    thing = getattr(thing, "__wrapped__", thing)
    if isinstance(thing, FunctionType):
        yield thing
    elif isinstance(thing, type):
        for member in vars(thing).values():
            yield from _functions(
                getattr(member, "fget", None) or getattr(member, "__func__", member)
            )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _code_starts(code: CodeType, function: FunctionType, item: pytest.Item) -> bool:
    names = set(code.co_names)
    if names & _STARTERS:
        return True
    used = [function.__globals__[name] for name in names if name in function.__globals__]
    # What is imported where it is used, or is a part of a module of ours.
    for module in [each for each in used if isinstance(each, ModuleType)]:
        used += [vars(module)[name] for name in names if name in vars(module)]
        if module.__name__ in _MODULES:
            return True
    if "getfixturevalue" in names:
        manager = item.session._fixturemanager
        for constant in code.co_consts:
            if isinstance(constant, str):
                used += [one.func for one in manager.getfixturedefs(constant, item) or ()]
    return any(_ours(each) and _starts(each, item) for each in used)


def _ours(thing: object) -> bool:
    home = str(getattr(thing, "__module__", ""))
    return isinstance(thing, Callable) and home.startswith(_OURS)  # type: ignore[arg-type]


@contextmanager
def nothing_starts() -> Iterator[None]:
    """Meanwhile whatever starts something fails."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a quick test starts something: mark it with @pytest.mark.server")

    with (
        patch.object(socket.socket, "bind", refuse),
        patch.object(subprocess.Popen, "__init__", refuse),
    ):
        yield

"""What is logged of libraries' messages and of exceptions: nothing that came with a request."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from aiohttp.http_exceptions import InvalidHeader

from gateway.app.logs import Discreet

SECRET = "s3cr3t-0f-a-session"


class _ForeignError(Exception):
    pass


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Discreet())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream.getvalue
    root.removeHandler(handler)


def fail() -> None:
    try:
        json.loads(SECRET)
    except ValueError as exc:
        raise _ForeignError(f"Cookie: {SECRET}") from exc


def test_a_librarys_words_are_said_and_what_it_quotes_is_not(logged: Callable[[], str]) -> None:
    library = logging.getLogger("aiohttp.server")
    library.error("cannot read %r from %s", SECRET, SECRET)
    library.error(f"cannot take {SECRET}")
    library.error("%(what)s is bad", {"what": SECRET})
    library.error(SECRET.encode())
    library.error(InvalidHeader(SECRET.encode()))
    text = logged()
    assert SECRET not in text
    assert "ERROR: aiohttp.server: cannot read … from … (test_logs.py:" in text
    assert text.count("a message that is left out (test_logs.py:") == 3
    assert "… is bad" in text


@pytest.mark.parametrize("name", ["gateway.handler", "aiohttp.server", "redis"])
def test_of_an_exception_its_kind_and_place_are_said(logged: Callable[[], str], name: str) -> None:
    try:
        fail()
    except _ForeignError:
        logging.getLogger(name).exception("a page failed")
    text = logged()
    assert SECRET not in text
    assert "a page failed" in text
    assert "  tests.app.test_logs._ForeignError\n    app/test_logs.py:" in text
    assert " in fail\n  json.decoder.JSONDecodeError\n" in text


def test_a_task_that_fails_unheard(logged: Callable[[], str]) -> None:
    async def work() -> None:
        fail()

    async def main() -> None:
        task = asyncio.create_task(work(), name=SECRET)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(main())
    text = logged()
    assert "ERROR: asyncio: " in text and "_ForeignError" in text
    assert SECRET not in text


PROCESS = f"""
import logging, threading, warnings
from gateway.app.logs import install
install()
class Bad:
    def __del__(self): raise ValueError({SECRET!r})
Bad()
def fail(): raise ValueError({SECRET!r})
thread = threading.Thread(target=fail)
thread.start()
thread.join()
warnings.warn({SECRET!r})
logging.getLogger("redis").warning("so %s", {SECRET!r})
logging.getLogger("gateway.proxy").warning("ours %s", 1)
"""


def test_a_process_logs_in_no_other_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=30, check=True
    )
    assert SECRET not in done.stderr + done.stdout
    assert "a thread failed" in done.stderr and "an exception was ignored" in done.stderr
    assert done.stderr.count("builtins.ValueError") == 2
    assert "WARNING: py.warnings: a message that is left out" in done.stderr
    assert "WARNING: redis: so … (" in done.stderr
    assert "WARNING: gateway.proxy: ours 1" in done.stderr

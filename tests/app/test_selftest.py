"""The table that is read at start: this interpreter reads it, and a fault of one is seen."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import gateway.proxy
from gateway.app.selftest import misread
from gateway.cli import run

MODULES = [
    *(module.name for module in pkgutil.walk_packages(gateway.proxy.__path__, "gateway.proxy.")),
    "gateway.core.http.form_dialects",
    "gateway.core.http.path",
    "gateway.web.forms",
]
# Patterns that judge nothing a stranger sends, or only what was judged before.
ELSEWHERE = {
    "gateway.upstreams.client": {"_TOKEN"},
    "gateway.proxy.http1.request_fields": {"_OWN_COOKIE"},  # whose a cookie is, not where it ends
    "gateway.core.http.path": {"_PLAIN"},  # a shorter way to the same
    "gateway.core.http.trace_context": {"_CAME", "_PARENT"},
    "gateway.core.http.request_id": {"_WRITTEN"},  # what a request is called, not what it is
    "gateway.web.forms": {"_CONTENT_TYPE"},
    "gateway.proxy.http1.faults": {"_LINE", "_NAME", "_VALUE"},  # words for what was refused
    "gateway.proxy.http1.response": {"_SET_COOKIE"},  # these two write anew what was judged
    "gateway.proxy.page_start": {"_LENGTH", "_HAS_DOCTYPE", "_HAS_NONE"},  # how a page is laid out
    "gateway.proxy.http1.route": {"_NAME", "_VALUE"},
    "gateway.proxy.rewrite": {"_CACHE", "_COOKIE", "_SHARED"},
    "gateway.proxy.http1.syntax": {"BARE", "TOKENS"},  # imported where they are used
}


def patterns() -> Iterator[tuple[str, str]]:
    for name in MODULES:
        for attribute, value in sorted(vars(importlib.import_module(name)).items()):
            if isinstance(value, re.Pattern) and attribute not in ELSEWHERE.get(name, ()):
                yield name, attribute


def test_this_interpreter_reads_the_table_as_meant() -> None:
    assert list(misread()) == []
    assert list(misread()) == [], "the second time finds what the first did"


@pytest.mark.parametrize("fault", ["matches nothing", "matches anything"])
@pytest.mark.parametrize(("module", "attribute"), list(patterns()))
def test_a_pattern_that_is_misread_is_seen(
    module: str, attribute: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = getattr(importlib.import_module(module), attribute)
    groups = "()" * sound.groups
    text = rf"(?!){groups}" if fault == "matches nothing" else rf"(?s:.*){groups}"
    broken: Any = text if isinstance(sound.pattern, str) else text.encode()
    monkeypatch.setattr(f"{module}.{attribute}", re.compile(broken))
    assert list(misread())


@pytest.mark.parametrize("command", ["serve", "check", "demo"])
def test_no_command_serves_or_approves_on_such_an_interpreter(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.proxy.http1.response._ANSWER", re.compile(rb"(?!)"))
    arguments = [] if command == "demo" else ["-c", "nothing.yaml"]
    assert run([command, *arguments]) == 1
    said = capsys.readouterr().err
    assert "misreads" in said
    assert "the head of an answer: b'HTTP/1.1 200 OK" in said
    assert "hint: Install index-gateway for another Python" in said

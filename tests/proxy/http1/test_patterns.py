"""Every pattern of the gateway is one that all interpreters from 3.11.2 on read alike, and the
grammars that framing rests on say what readers without any pattern say."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import string
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gateway
from gateway.core.http import form_dialects, path
from gateway.proxy.http1 import body, request, request_fields, response
from gateway.proxy.http1.memo import Layout, Layouts, Shapes
from gateway.proxy.http1.syntax import FIELDS
from gateway.web import forms

_PARSER: Any = importlib.import_module("re._parser")
_SINGLE = {"LITERAL", "NOT_LITERAL", "IN", "ANY", "RANGE", "CATEGORY"}
_FUNCTIONS = {"compile", "match", "fullmatch", "search", "finditer", "findall", "split", "sub"}
# Patterns that are put together only when they are needed, each with the test that has them.
_BUILT = {
    "gateway.proxy.http1.syntax": 1,  # one of names and a value, from constants
    "gateway.proxy.http1.memo": 2,  # test_shapes_are_safe
    "gateway.settings.fields": 1,  # of Written(…): constants
    "gateway.core.wording": 1,  # of its tables: constants
    "gateway.settings.shipped": 1,  # of the names of options: constants
}


def misread(pattern: str | bytes) -> list[str]:
    """What CPython 3.11.2 reads wrongly (gh-106052): possession of more than one character."""
    return list(_misread(_PARSER.parse(pattern)))


def _misread(parsed: Any) -> Iterator[str]:
    for operation, argument in parsed:
        name = str(operation)
        if name == "ATOMIC_GROUP":
            yield "an atomic group"
        if name == "POSSESSIVE_REPEAT":
            body = list(argument[2])
            if len(body) != 1 or str(body[0][0]) not in _SINGLE:
                yield "a possessive repeat of more than one character"
        yield from _inside(argument)


def _inside(argument: Any) -> Iterator[str]:
    if isinstance(argument, _PARSER.SubPattern):
        yield from _misread(argument)
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _inside(part)


@pytest.mark.parametrize(
    "pattern",
    [r"(?:a++b)*+", r"(?:a|bc)*+", r"(?:ab?c)++", r"(?>ab)", r"((?:a)(?:b))?+", r"x(?:(?:ab){2}+)",
     r"(?=(?:ab)++)", r"(a|(?>b))", rb"((?:\n[a-z]++:[a-z]*+\r)*+)\n\r\n"],
)  # fmt: skip
def test_what_is_misread_is_seen(pattern: str | bytes) -> None:
    assert misread(pattern)


@pytest.mark.parametrize("pattern", [r"(?:a++b)*", r"[a-z]{1,9}+", r".*+", r"(?:a|b)*+", r"[^a]?+"])
def test_what_is_read_well_is_left(pattern: str) -> None:
    assert not misread(pattern)


MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(gateway.__path__, "gateway.")
    if not module.name.endswith("__main__")
]


def _tree(module: ModuleType) -> ast.Module:
    with open(module.__file__ or "", encoding="utf-8") as file:
        return ast.parse(file.read())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_pattern_is_read_alike(module: ModuleType) -> None:
    built = 0
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            assert not _of_a_piece(node.value), (node.lineno, node.value)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in _FUNCTIONS
        ):
            try:
                code = compile(ast.Expression(node.args[0]), "<pattern>", "eval")
                pattern = eval(code, dict(vars(module)))
            except NameError:
                built += 1
                continue
            assert not misread(pattern), (node.lineno, pattern)
    assert built <= _BUILT.get(module.__name__, 0), "list what builds patterns, and try it"


def _of_a_piece(text: str | bytes) -> list[str]:
    """Of any constant that is a pattern by itself; most are not, and some are half of one."""
    try:
        return misread(text)
    except (re.error, RecursionError, OverflowError):
        return []


def test_shapes_are_safe() -> None:
    """The patterns that are built from lists of names."""
    layouts = Layouts[int](lambda name: name == "te", {b"host": 1}, lambda names: None)
    shapes = Shapes[int](response._STATUS, 3, rb"\n\r\n", usual=rb"HTTP/1\.1 200")
    layout: Layout[int] = layouts.of(b"\nHost: a\r\nTE: b\r\nConnection: c\r\nA: d\r")
    for _ in range(20):
        shapes.notice(layout)
    assert shapes.recent and not misread(shapes.recent[0].pattern.pattern)


# -- the same, said without patterns ----------------------------------------------------------

_TCHAR = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
_TEXT = frozenset([9, *range(0x20, 0x7F), *range(0x80, 0x100)])


def fields_end(data: bytes, at: int = 0) -> int:
    """Where the fields end that begin here."""
    while True:
        end = data.find(b"\r", at)
        line = data[at:end]
        name, colon, value = line[1:].partition(b":")
        well = end >= 0 and line[:1] == b"\n" and colon and name and _TCHAR.issuperset(name)
        if not well or not _TEXT.issuperset(value):
            return at
        at = end + 1


def is_block(data: bytes) -> bool:
    return fields_end(data) == len(data)


def is_answer(data: bytes) -> bool:
    start, _, _ = data.partition(b"\r")
    status, space, reason = start[9:12], start[12:13], start[13:]
    if start[:9] not in (b"HTTP/1.0 ", b"HTTP/1.1 ") or len(status) < 3 or not status.isdigit():
        return False
    if status[0] == 48 or space not in (b"", b" ") or not _TEXT.issuperset(reason):
        return False
    end = fields_end(data, len(start) + 1)
    return data[len(start) :][:1] == b"\r" and data[end : end + 3] == b"\n\r\n"


def escaped(text: str, allowed: str) -> bool:
    pieces = text.split("%")
    hexadecimal = set(string.hexdigits)
    return set(pieces[0]) <= set(allowed) and all(
        len(piece) >= 2 and set(piece[:2]) <= hexadecimal and set(piece[2:]) <= set(allowed)
        for piece in pieces[1:]
    )


def is_path(text: str) -> bool:
    pchar = string.ascii_letters + string.digits + "._~!$&'()*+,=:@/-"
    return text[:1] == "/" and escaped(text[1:], pchar)


def is_form(text: str) -> bool:
    return escaped(text, "".join(chr(n) for n in range(0x21, 0x7F) if chr(n) not in "%"))


def is_escaped(text: str) -> bool:
    return is_form(text) and ";" not in text


def is_size(data: bytes) -> bool:
    """chunk-size and chunk-ext of RFC 9112 section 7.1, with its line end."""
    if data[-2:] != b"\r\n":
        return False
    digits, _, rest = data[:-2].partition(b";")
    if not 0 < len(digits) <= 16 or not set(digits) <= set(string.hexdigits.encode()):
        return False
    return b";" not in data[: len(digits) + 1] or _extensions(rest)


def _extensions(rest: bytes) -> bool:
    while True:
        name = _token(rest)
        rest = rest[len(name) :]
        if name and rest[:1] == b"=":
            value = _quoted(rest[1:]) or _token(rest[1:])
            rest = rest[1 + len(value) :]
            name = value
        if not name or not rest:
            return bool(name)
        if rest[:1] != b";":
            return False
        rest = rest[1:]


def _token(data: bytes) -> bytes:
    return data[: next((n for n, byte in enumerate(data) if byte not in _TCHAR), len(data))]


def _quoted(data: bytes) -> bytes:
    if data[:1] != b'"':
        return b""
    at = 1
    while at < len(data):
        if data[at] == 0x22:
            return data[: at + 1]
        if data[at] == 0x5C:
            at += 1
            if data[at : at + 1] not in [bytes([n]) for n in (9, *range(0x20, 0x7F))]:
                return b""
        elif data[at] not in (9, *range(0x20, 0x7F)):
            return b""
        at += 1
    return b""


_BYTES: dict[str, tuple[Callable[[bytes], object], Callable[[bytes], bool], list[bytes]]] = {
    "a block": (
        request_fields._BLOCK.fullmatch,
        is_block,
        [b"\na:\r", b"\nHost: a\r", b"\n", b"\r", b":", b"a", b" ", b"\t", b"\0", b"\xff", b"a:b\r",
         b"\nB:c\r", b"\r\n", b"(", b"\n:\r", b"\nc\r", b"\nd : e\r"],
    ),
    "an answer": (
        response._ANSWER.match,
        is_answer,
        [b"HTTP/1.1 200 OK\r", b"HTTP/1.0 404\r", b"\na:\r", b"\nServer: b\r", b"\n\r\n", b"\n",
         b"\r", b"HTTP/1.1 2", b"x", b" ", b"\x7f", b"\nServer : b\r", b"\n\r"],
    ),
    "the size of a chunk": (
        body._SIZE.fullmatch,
        is_size,
        [b"0", b"1F", b"\r\n", b";", b"a", b"=", b'"', b"\\", b";a=b", b';c="d"', b'\\"', b" ",
         b"\xff", b"\t", b"0123456789abcdef"],
    ),
}  # fmt: skip
_TEXTS: dict[str, tuple[Callable[[str], object], Callable[[str], bool], list[str]]] = {
    "a raw path": (path._RAW_PATH.fullmatch, is_path, ["/", "a", "%41", "%4", "%", ".", ";", "é"]),
    "a form": (forms._BODY.fullmatch, is_form, ["a", "=", "&", "%41", "%", "%a", " ", ";", "+"]),
    "an urlencoded body": (
        form_dialects._ESCAPED.fullmatch,
        is_escaped,
        ["a", "=", "&", "%41", "%", "%a", " ", ";", "+", "\xff"],
    ),
}


@pytest.mark.parametrize("what", _BYTES)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_bytes_are_read_as_without_patterns(what: str, data: st.DataObject) -> None:
    match, reference, atoms = _BYTES[what]
    text = b"".join(data.draw(st.lists(st.sampled_from(atoms), max_size=12)))
    assert bool(match(text)) == reference(text), text


@pytest.mark.parametrize("what", _TEXTS)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_text_is_read_as_without_patterns(what: str, data: st.DataObject) -> None:
    match, reference, atoms = _TEXTS[what]
    text = "".join(data.draw(st.lists(st.sampled_from(atoms), max_size=12)))
    assert bool(match(text)) == reference(text), text


_LONG = 1 << 16
_HOSTILE: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes]]] = {
    "short fields": (request_fields._BLOCK.fullmatch, lambda n: b"\na:\r" * (n // 4) + b"\0"),
    "one long field": (request_fields._BLOCK.fullmatch, lambda n: b"\na:" + b"x" * n),
    "one long name": (request_fields._BLOCK.fullmatch, lambda n: b"\n" + b"x" * n),
    "an answer without end": (
        response._ANSWER.match,
        lambda n: b"HTTP/1.1 200 \r" + b"\na:\r" * (n // 4),
    ),
    "a long reason": (response._ANSWER.match, lambda n: b"HTTP/1.1 200 " + b" " * n),
    "a long first line": (request._LINE.fullmatch, lambda n: b"GET " + b"/" * n + b" HTTP/1.2"),
    "many extensions": (body._SIZE.match, lambda n: b"1" + b";a=b" * (n // 4) + b"\r"),
    "an extension without end": (body._SIZE.match, lambda n: b'1;a="' + b'\\"' * (n // 2)),
    "quoted backslashes": (body._SIZE.match, lambda n: b'1;a="' + b"\\\\" * (n // 2) + b'"'),
}


@pytest.mark.parametrize("what", _HOSTILE)
def test_hostile_heads_cost_one_pass(what: str) -> None:
    """64 KiB that fail at their end take milliseconds; quadratic ones would take seconds."""
    match, make = _HOSTILE[what]
    data = make(_LONG)
    started = time.process_time()
    assert match(data) is None
    assert time.process_time() - started < 0.2


def test_many_fields_are_read() -> None:
    """More repeats than a recursive engine could take."""
    assert re.fullmatch(FIELDS, b"\na:\r" * 100_000)
    assert response._ANSWER.match(b"HTTP/1.1 200 \r" + b"\na:b\r" * 100_000 + b"\n\r\n")

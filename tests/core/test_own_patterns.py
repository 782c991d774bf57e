"""Our own regular expressions: none of them takes more than linear time on what a stranger sends.

Every `re` call of the package is found in its source, so a new pattern is tried by being there.
Python's engine backtracks: what is tried here are texts that almost match, with any part of them
repeated, in the way that the code uses the pattern (from the start, or anywhere). How fast the
machine is does not count: a pattern is slow where its time grows faster than the text, beyond a
few times what one plain pass takes on this machine.
"""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import pytest

import gateway
from gateway.core import wording

PACKAGE = Path(gateway.__file__).parent
ANYWHERE = frozenset({"search", "finditer", "findall", "sub", "subn", "split"})
FROM_START = frozenset({"compile", "match", "fullmatch"})
# In small steps: what is exponential is seen, and left, before it takes minutes.
LENGTHS = tuple(round(12 * 1.5**step) for step in range(18))
PASSES = 10  # what takes no longer than this many plain passes over the longest text is no harm
GROWTH = 8  # at four times the length; linear time grows by 4, quadratic by 16
_parser: Any = importlib.import_module("re._parser")


class Used(NamedTuple):
    """A pattern, and whether it is looked for anywhere in a text."""

    pattern: re.Pattern[Any]
    anywhere: bool


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _sources() -> Iterator[tuple[str, str]]:
    """The modules that may have patterns, and their text."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("gateway", *file.relative_to(PACKAGE).with_suffix("").parts))
        text = file.read_text("utf-8")
        if re.search(r"\bre\b|[A-Z]\.(search|finditer|sub)\(", text) and "devpi_client" not in name:
            yield name.removesuffix(".__init__"), text


@cache
def own_patterns() -> dict[str, Used]:
    """Every pattern in the package that can be told from its source: it takes a second."""
    trees = [(name, ast.parse(text)) for name, text in _sources()]
    sought = {
        _name(call.func.value)
        for _, tree in trees
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ANYWHERE
    } - {"re"}
    found: dict[str, Used] = {}
    for name, tree in trees:
        owners = {
            id(node.value): target
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in [
                _name(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            ]
        }
        for call in ast.walk(tree):
            if not (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and _name(call.func.value) == "re"
                and call.func.attr in ANYWHERE | FROM_START
            ):
                continue
            scope = vars(importlib.import_module(name))
            try:
                parts = [eval(ast.unparse(each), scope) for each in call.args[:1]]
                flags = eval(ast.unparse(call.args[1]), scope) if call.args[1:] else 0
            except NameError:
                continue  # put together at run time; see `at_run_time`
            flags = flags if call.func.attr == "compile" else 0
            anywhere = call.func.attr in ANYWHERE or owners.get(id(call), "") in sought
            found[f"{name}:{call.lineno}"] = Used(re.compile(parts[0], flags), anywhere)
    return found


def at_run_time() -> dict[str, Used]:
    """Those whose text is no expression of the module."""
    table = (*wording._PROGRAMS, *wording._SYSTEMS)
    return {f"agents:{name}": Used(re.compile(text), True) for name, text in table}


def patterns(module: str = "") -> dict[str, Used]:
    """Those of one module, or all."""
    found = own_patterns() | at_run_time()
    return {place: used for place, used in found.items() if not module or _module(place) == module}


def _module(place: str) -> str:
    return place.split(":")[0]


def sample(parsed: Any, draw: random.Random) -> str:
    """A text that matches, or nearly: look-around is not honoured."""
    return "".join(_node(str(operation), argument, draw) for operation, argument in parsed)


def _node(name: str, argument: Any, draw: random.Random) -> str:
    if name == "LITERAL":
        return chr(argument)
    if name in ("ANY", "NOT_LITERAL", "CATEGORY"):
        return draw.choice("a0 .-\t")
    if name == "IN":
        return _member(argument, draw)
    if name.endswith("REPEAT"):
        least, most, inner = argument
        times = draw.randint(least, min(int(most), least + 3))
        return "".join(sample(inner, draw) for _ in range(times))
    if name == "BRANCH":
        return sample(draw.choice(argument[1]), draw)
    if name == "SUBPATTERN":
        return sample(argument[3], draw)
    if name == "ATOMIC_GROUP":
        return sample(argument, draw)
    return ""


def _member(items: Any, draw: random.Random) -> str:
    kind, value = draw.choice([each for each in items if str(each[0]) != "NEGATE"])
    if str(items[0][0]) == "NEGATE":
        return draw.choice("ab0x -.")
    if str(kind) == "RANGE":
        return chr(draw.randint(*value))
    return chr(value) if str(kind) == "LITERAL" else draw.choice("a0 ")


def hostile(pattern: re.Pattern[Any], tries: int) -> Iterator[tuple[str, str, str]]:
    """Beginning, repeated middle and end of texts; the same ones in every run."""
    draw = random.Random(pattern.pattern.__repr__())
    parsed = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    for _ in range(tries):
        text = sample(parsed, draw) + draw.choice(["", sample(parsed, draw)])
        start = draw.randint(0, len(text))
        end = draw.randint(start, min(len(text), start + draw.choice((1, 2, 12))))
        pump = text[start:end] or draw.choice('a0 \t,;.-=%\\"\r\n')
        yield text[:start], pump, draw.choice(["", "\x00", "!", text[end:], text[end:-1] + "\x00"])


def least(match: Callable[[Any], object], subject: str | bytes, tries: int = 5) -> float:
    """Seconds of processor time: of several tries the one that was disturbed least."""
    took = []
    for _ in range(tries):
        began = process_time()
        match(subject)
        took.append(process_time() - began)
    return min(took)


@cache
def one_pass() -> float:
    """What an innocent pattern takes for the longest text, in seconds."""
    return least(re.compile(r"(?:a|bc)*").fullmatch, "abc" * (LENGTHS[-1] // 3), 20)


def slow_text(used: Used, tries: int = 60) -> str:
    """A text for which the pattern takes more than linear time, in words; empty: none was found."""
    match = used.pattern.search if used.anywhere else used.pattern.fullmatch
    binary = isinstance(used.pattern.pattern, bytes)
    limit = PASSES * one_pass()
    for start, pump, end in hostile(used.pattern, tries):
        for length in LENGTHS:
            times = length // len(pump)
            text, quarter = (start + pump * count + end for count in (times, times // 4))
            if binary:
                subject: str | bytes = text.encode("latin-1", "replace")
                shorter: str | bytes = quarter.encode("latin-1", "replace")
            else:
                subject, shorter = text, quarter
            if least(match, subject, 1) <= limit or (took := least(match, subject)) <= limit:
                continue
            if took > GROWTH * least(match, shorter):
                return f"{start[:40]!r} + {pump!r} * {times} + {end[:40]!r}"
    return ""


@pytest.mark.parametrize("module", [*(name for name, _ in _sources()), "agents"])
def test_no_pattern_of_ours_is_slow_on_any_text(module: str) -> None:
    slow = {
        f"{place}: {used.pattern.pattern!r}": text
        for place, used in patterns(module).items()
        if (text := slow_text(used))
    }
    assert not slow


def test_the_places_where_a_strangers_text_is_matched_are_among_them() -> None:
    modules = {_module(place) for place in patterns()}
    assert modules <= {"agents", *(name for name, _ in _sources())}
    assert {
        "gateway.core.http.forms",
        "gateway.core.http.form_dialects",
        "gateway.core.http.form_heads",
        "gateway.core.http.path",
        "gateway.core.typed",
        "gateway.notify.mail",
        "gateway.proxy.http1.syntax",
        "gateway.proxy.http1.body",
        "gateway.proxy.http1.request",
        "gateway.proxy.http1.request_fields",
        "gateway.upstreams.carriers",
        "gateway.web.forms",
        "agents",
    } <= modules


SLOW = {
    "exponential": Used(re.compile(r"x(a|a)*b"), False),
    "nested": Used(re.compile(r"((?:a+ ?)+);"), False),
    "quadratic": Used(re.compile(r"a=[a-z]*[a-z0-9]*;"), False),
    "quadratic only when looked for": Used(re.compile(r"[a-z]+@"), True),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_slow_pattern_would_be_found(slow: Used) -> None:
    assert slow_text(slow, 400)

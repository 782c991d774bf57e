"""Regular expressions that an administrator writes, and a hostile path is matched against."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final


class TemplateError(ValueError):
    """A template or regex cannot be used; the text says what was found and what is allowed."""


def compile_regex(source: str) -> re.Pattern[str]:
    """Compile a regex of the configuration.

    Raises:
        TemplateError: it is empty, does not compile, or repeats a repetition, which can take
            exponential time on a hostile path (`(a+)+`).
    """
    if not source:
        raise TemplateError("an empty regex; one that matches something")
    try:
        compiled = re.compile(source)
        exponential = _repeats_repetition(_parser.parse(source), False)
    except (re.error, RecursionError, OverflowError) as error:
        raise TemplateError(
            f"regex {source!r} does not compile ({error}); Python's re syntax"
        ) from None
    if exponential:
        raise TemplateError(
            f"regex {source!r} repeats what is repeated already, so a hostile path could keep it "
            "busy; one level of * or +, or possessive ones (*+, ++)"
        )
    return compiled


_parser: Final[Any] = import_module("re._parser")  # re's own; only to look at a regex


def _repeats_repetition(parsed: Any, inside: bool) -> bool:
    """Whether an open-ended, backtracking repeat stands inside another one."""
    for operation, argument in parsed:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            many = argument[1] is _parser.MAXREPEAT
            if (many and inside) or _repeats_repetition(argument[2], inside or many):
                return True
            continue
        parts = argument if isinstance(argument, tuple | list) else ()
        for part in parts:
            inner = part if isinstance(part, list) else [part]
            for each in inner:
                if isinstance(each, _parser.SubPattern) and _repeats_repetition(each, inside):
                    return True
    return False

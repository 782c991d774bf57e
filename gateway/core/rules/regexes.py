"""Regular expressions that an administrator writes, and a stranger's path is matched against.

They run on RE2, which never backtracks: the time is linear in the length of the text whatever the
expression is, and its memory is bounded. The module is imported when the first one is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_MEMORY: Final = 64 * 1024  # bytes for one expression: also bounds what one step of a match costs
_ALLOWED: Final = (
    r"the syntax of RE2: no look-around, back references or possessive repeats, \z for the end, "
    r"\d, \w, \s and \b know ASCII only"
)


class TemplateError(ValueError):
    """A template or regex cannot be used; the text says what was found and what is allowed."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled regex. Two of one source are equal."""

    source: str
    _match: Callable[[str], object] = field(compare=False, repr=False)

    def fits(self, text: str) -> bool:
        """Whether the whole text matches; in linear time. `text` has no lone surrogates."""
        return self._match(text) is not None


def compile_regex(source: str) -> Regex:
    """Compile a regex of the configuration.

    Raises:
        TemplateError: it is empty, does not compile, or is too large.
    """
    if not source:
        raise TemplateError("an empty regex; one that matches something")
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.never_capture = True
    options.log_errors = False  # it would write to stderr by itself
    try:
        return Regex(source, re2.compile(source, options).fullmatch)
    except re2.error as error:
        raw = error.args[0] if error.args else b""
        reason = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    except UnicodeEncodeError:
        reason = "it is no UTF-8"
    raise TemplateError(f"regex {source!r} does not compile ({reason}); {_ALLOWED}")

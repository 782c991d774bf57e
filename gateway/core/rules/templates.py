"""Path templates (`/{user}/{index:[a-z]+}/+f/**`), the tree that finds them, and their expressions.

Knows canonical paths (see `gateway.core.http.path`); knows no rules and no policies. A template is
always matched from end to end. `{name}` is one segment, `{name:regex}` one segment that the
regex matches in full, a final `**` any rest, the empty one included.

An administrator writes the expressions, and a stranger's path is matched against them. So they run
on RE2, which never backtracks: the time is linear in the length of the text whatever the
expression is, and its memory is bounded. The module is imported when the first one is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.core.http.path import segment_problem

_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: a literal, or a pattern (a compiled regex), or any (both None)."""

    literal: str | None = None
    pattern: Regex | None = None

    def fits(self, text: str) -> bool:
        if self.literal is not None:
            return text == self.literal
        return self.pattern is None or self.pattern.fits(text)

    def covers(self, other: Segment) -> bool:
        """Whether everything `other` fits surely fits this one too."""
        if self.literal is None and self.pattern is None:
            return True
        if other.literal is not None:
            return self.fits(other.literal)
        return other.pattern is not None and self.pattern == other.pattern


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. rest: it ends in `**`."""

    text: str
    segments: tuple[Segment, ...]
    rest: bool = False

    def fits(self, path: str) -> bool:
        """Whether a canonical path fits; the plain reading, for `explain` and as an oracle."""
        parts = split(path)
        if len(parts) < len(self.segments) or (len(parts) > len(self.segments) and not self.rest):
            return False
        return all(segment.fits(part) for segment, part in zip(self.segments, parts, strict=False))

    def covers(self, other: Template) -> bool:
        """Whether every path that fits `other` surely fits this one (never wrongly True)."""
        if len(self.segments) > len(other.segments):
            return False
        if not self.rest and (other.rest or len(self.segments) < len(other.segments)):
            return False
        return all(
            mine.covers(theirs) for mine, theirs in zip(self.segments, other.segments, strict=False)
        )


def split(path: str) -> list[str]:
    """The segments of a canonical path; none for the root."""
    return path[1:].split("/") if len(path) > 1 else []


def parse_template(text: str) -> Template:
    """Parse a template; one trailing slash means nothing.

    Raises:
        TemplateError: it is not a template, or could never match a canonical path.
    """
    if not text.startswith("/"):
        raise TemplateError(f"{text!r} does not begin with '/'; a path from the root")
    parts = list(_parts(text[1:]))
    if parts and parts[-1] == "":
        parts.pop()
    rest = bool(parts) and parts[-1] == "**"
    if rest:
        parts.pop()
    names: set[str] = set()
    return Template(text, tuple(_segment(part, names, text) for part in parts), rest)


def _parts(text: str) -> Iterator[str]:
    """Split at slashes that are not inside braces."""
    depth, start, skip = 0, 0, False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\" and depth:
            skip = True
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        elif char == "/" and depth <= 0:
            yield text[start:at]
            start = at + 1
    if depth:
        raise TemplateError(f"braces of {text!r} do not pair up; {{name}} or {{name:regex}}")
    yield text[start:]


def _segment(part: str, names: set[str], text: str) -> Segment:
    if not part.startswith("{"):
        return Segment(literal=_literal(part, text))
    if not part.endswith("}"):
        raise TemplateError(
            f"{part!r} in {text!r} mixes a placeholder with text; {{name:regex}} can say it"
        )
    name, colon, source = part[1:-1].partition(":")
    if not _NAME.fullmatch(name):
        raise TemplateError(f"{part!r} in {text!r} has no name; letters, digits and '_'")
    if name in names:
        raise TemplateError(f"placeholder {name!r} appears twice in {text!r}; each name once")
    names.add(name)
    if not colon:
        return Segment()
    return Segment(pattern=compile_regex(source))


def _literal(part: str, text: str) -> str:
    if part == "":
        raise TemplateError(f"{text!r} has an empty segment; single slashes")
    if "*" in part:
        raise TemplateError(
            f"{part!r} in {text!r}; '**' stands only at the end, one segment is {{name}}"
        )
    if "{" in part or "}" in part:
        raise TemplateError(
            f"{part!r} in {text!r} mixes a placeholder with text; {{name:regex}} can say it"
        )
    problem = segment_problem(part)
    if problem:
        raise TemplateError(
            f"{part!r} in {text!r} {problem}, so it can never match; the decoded, plain path"
        )
    return part


@dataclass(slots=True)
class Tree:
    """Templates by segments, so that finding those that fit hardly depends on their number."""

    literals: dict[str, Tree] = field(default_factory=dict)
    patterns: list[tuple[Regex, Tree]] = field(default_factory=list)
    any: Tree | None = None
    ends: list[int] = field(default_factory=list)
    rests: list[int] = field(default_factory=list)

    def add(self, template: Template, number: int) -> None:
        node = self
        for segment in template.segments:
            node = node._child(segment)
        (node.rests if template.rest else node.ends).append(number)

    def _child(self, segment: Segment) -> Tree:
        if segment.literal is not None:
            return self.literals.setdefault(segment.literal, Tree())
        if segment.pattern is None:
            self.any = self.any or Tree()
            return self.any
        for pattern, tree in self.patterns:
            if pattern == segment.pattern:
                return tree
        tree = Tree()
        self.patterns.append((segment.pattern, tree))
        return tree

    def find(self, parts: list[str]) -> list[int]:
        """The numbers of the templates that fit a path with these segments, perhaps twice."""
        found: list[int] = []
        nodes = [self]
        for part in parts:
            after: list[Tree] = []
            for node in nodes:
                if node.rests:
                    found += node.rests
                if part in node.literals:
                    after.append(node.literals[part])
                if node.any is not None:
                    after.append(node.any)
                for regex, tree in node.patterns:
                    if regex.fits(part):
                        after.append(tree)
            if not after:
                return found
            nodes = after
        for node in nodes:
            found += node.ends
            found += node.rests
        return found


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

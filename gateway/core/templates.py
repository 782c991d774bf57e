"""Path templates: `/{user}/{index:[a-z]+}/+f/**`, and a tree that finds those that fit a path.

Knows canonical paths (see `gateway.core.path`); knows no rules and no policies. A template is
always matched from end to end. `{name}` is one segment, `{name:regex}` one segment that the
regex matches in full, a final `**` any rest, the empty one included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from gateway.core.path import segment_problem

_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)


class TemplateError(ValueError):
    """A template cannot be used; the text says what was found and what is allowed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: a literal, or a pattern (a compiled regex), or any (both None)."""

    literal: str | None = None
    pattern: re.Pattern[str] | None = None

    def fits(self, text: str) -> bool:
        if self.literal is not None:
            return text == self.literal
        return self.pattern is None or self.pattern.fullmatch(text) is not None

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


@dataclass(slots=True)
class Tree:
    """Templates by segments, so that finding those that fit hardly depends on their number."""

    literals: dict[str, Tree] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], Tree]] = field(default_factory=list)
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
                    if regex.fullmatch(part):
                        after.append(tree)
            if not after:
                return found
            nodes = after
        for node in nodes:
            found += node.ends
            found += node.rests
        return found

"""YAML text becomes plain data with the place of every key and value.

Knows YAML and nothing of the settings. ruamel.yaml composes nodes (YAML 1.2), which know their
line and column; turning them into data here finds every doubled key and every value that is
none in one run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.settings.problems import Problem

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node

Data: TypeAlias = "str | int | float | bool | list[Data] | dict[str, Data] | Unread"
Loc: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]


class Unread:
    """Stands for a value of which `read_document` has said what is wrong with it."""


UNREAD: Final = Unread()
_TAG: Final = "tag:yaml.org,2002:"
_DEPTH: Final = 20


@dataclass
class Document:
    """What a file holds.

    places: where the value at each location starts, line and column from 1.
    keys: the same for the key that leads there.
    """

    file: str
    data: Data = UNREAD
    places: dict[Loc, Place] = field(default_factory=dict)
    keys: dict[Loc, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """The place of a location, or of the nearest thing around it."""
        if key and loc in self.keys:
            return self.keys[loc]
        while loc not in self.places and loc:
            loc = loc[:-1]
        return self.places.get(loc, (1, 1))

    def problem(self, mark: Place, found: str, allowed: str = "", where: str = "") -> None:
        self.problems.append(Problem(self.file, *mark, where, found, allowed))


def read_document(raw: bytes, file: str) -> Document:
    """Read a YAML file; what is wrong with it as YAML is in `problems`."""
    document = Document(file)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        document.problem(
            (line, column), f"byte 0x{raw[error.start]:02x} is not UTF-8", "text in UTF-8"
        )
        return document
    node = _compose(text, document)
    if node is not None:
        document.data = _Builder(document).build(node, ())
    elif not document.problems:
        document.problem((1, 1), "the file is empty", "a mapping with version, public_url, …")
    return document


def _compose(text: str, document: Document) -> Node | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="safe", pure=True)
    try:
        node: Node | None = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        lines = text.split("\n")
        line = lines[at[0] - 1] if at[0] <= len(lines) else ""
        if "\t" in line[: max(at[1], len(line) - len(line.lstrip()))]:
            document.problem(at, "a tab character", "spaces for indentation")
        else:
            document.problem(at, f"no YAML: {_first_line(error.problem or error.context)}")
    except ReaderError as error:
        before = text[: error.position]
        at = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        document.problem(at, "a control character", "printable text")
    except YAMLError as error:
        document.problem((1, 1), f"no YAML: {_first_line(str(error))}")
    except RecursionError:
        document.problem((1, 1), "nested too deep", f"at most {_DEPTH} levels")
    else:
        return node
    return None


def _first_line(text: str | None) -> str:
    return (text or "it cannot be read").strip().split("\n")[0]


class _Builder:
    """Turns nodes into data, noting places and problems in the document."""

    def __init__(self, document: Document) -> None:
        from ruamel.yaml import nodes

        self._document: Final = document
        self._nodes: Final = nodes

    def build(self, node: Node, loc: Loc) -> Data:
        mark = _mark(node)
        self._document.places[loc] = mark
        if node.anchor is not None:
            self._document.problem(mark, f"an anchor (&{node.anchor})", "everything written out")
            return UNREAD
        if len(loc) > _DEPTH:
            self._document.problem(mark, "nested too deep", f"at most {_DEPTH} levels")
            return UNREAD
        if isinstance(node, self._nodes.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, self._nodes.SequenceNode):
            return [self.build(entry, (*loc, at)) for at, entry in enumerate(node.value)]
        empty = node.start_mark.index == node.end_mark.index
        return self._scalar(node, self._document.keys.get(loc, mark) if empty else mark)

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, Data]:
        result: dict[str, Data] = {}
        for key_node, value_node in node.value:
            mark = _mark(key_node)
            if not isinstance(key_node, self._nodes.ScalarNode):
                self._document.problem(mark, "a key that is not text", "plain keys")
                continue
            key = str(key_node.value)
            if key == "<<":
                self._document.problem(mark, "a merge key (<<)", "everything written out")
                continue
            if key in result:
                line = self._document.keys[*loc, key][0]
                self._document.problem(
                    mark, f"key {key!r} a second time (first in line {line})", "each key once"
                )
                continue
            self._document.keys[*loc, key] = mark
            result[key] = self.build(value_node, (*loc, key))
        return result

    def _scalar(self, node: Node, mark: Place) -> Data:
        tag = str(node.tag or "").removeprefix(_TAG)
        text = str(node.value)
        if tag == "null":
            self._document.problem(mark, "no value", "a value, or leave the key out")
            return UNREAD
        if tag == "bool":
            return text.lower() == "true"
        if tag == "int" and re.fullmatch(r"[-+]?[0-9]{1,18}", text):
            return int(text)
        if tag == "float" and re.fullmatch(r"[-+]?[0-9.]{1,18}", text):
            return float(text)
        if tag not in ("str", "int", "float", "timestamp"):
            self._document.problem(mark, f"the tag {node.tag}", "plain values")
        return text


def _mark(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1

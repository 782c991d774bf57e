"""The configurations that `init` writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

RULES = "# The first rule that matches decides."
"""Where the part begins that a private index has another one of."""
_FIRST = {
    "devpi": "# index-gateway in front of devpi-server",
    "pypiserver": "# index-gateway in front of pypiserver",
}


def with_values(text: str, values: Mapping[str, str]) -> str:
    """One of them with other values. values: by key, `url` for the index's."""
    for key, value in values.items():
        plain = re.fullmatch(r"[\w./:@?=+-]*[\w/]", value) and not value.startswith(":")
        written = value if plain else "'" + value.replace("'", "''") + "'"
        line = re.search(rf"^ *{key}: ", text, re.MULTILINE)
        assert line, key
        text = text[: line.end()] + written + text[text.index("\n", line.end()) :]
    return text


def shipped(kind: str, *, private: bool = False) -> str:
    """The text of one. private: reading takes a login, too."""
    place = files("gateway") / "config"
    text = (place / f"{kind}.yaml").read_text("utf-8")
    if not private:
        return text
    before, mark, _ = text.partition(RULES)
    first = _FIRST[kind]
    assert mark and before.startswith(first)
    before = f"{first}, for a private index: who reads has to log in" + before[len(first) :]
    return before + (place / "private" / f"{kind}.yaml").read_text("utf-8")

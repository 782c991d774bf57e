"""Write the parts of the documentation that come from the code: keys, refusals, header fields, and
what clients are told about tokens.

    python tools/write_docs.py          writes them
    python tools/write_docs.py --check  says which are out of date, and fails

A generated part stands between two marks in a page; the rest of the page is written by hand.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.core.errors import MESSAGES
from gateway.core.http.headers import (
    HOP_BY_HOP,
    IDENTITY_AND_ROUTE,
    IDENTITY_AND_ROUTE_PREFIXES,
    SINGLE,
)
from gateway.core.upstream import Addresses
from gateway.settings.schema import json_schema
from gateway.web.handlers.token_lines import Lines, read_lines, upload_lines

DOCS = Path(__file__).parent.parent / "docs"


def keys() -> str:
    """A table of every key of the configuration, from its JSON Schema."""
    schema = json_schema()
    rows = ["| key | default | what it is |", "| --- | --- | --- |"]
    rows += [f"| `{name}` | {default} | {text} |" for name, default, text in _rows(schema, schema)]
    return "\n".join(rows)


def _rows(
    schema: dict[str, Any], node: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    required = node.get("required", [])
    for name, key in node["properties"].items():
        found = _resolve(schema, key)
        text = str(key.get("description", found.get("description", "")))
        text += _choices(found)
        default = "required" if name in required else _shown(key)
        yield prefix + name, default, text.replace("|", "\\|").replace("\n", " ")
        if "properties" in found:
            yield from _rows(schema, found, f"{prefix}{name}.")
        elif "properties" in _resolve(schema, found.get("items", {})):
            inner = _resolve(schema, found["items"])
            yield from _rows(schema, inner, f"{prefix}{name}[].")
        for value in found.get("patternProperties", {}).values():
            inner = _resolve(schema, value)
            if "properties" in inner:
                yield from _rows(schema, inner, f"{prefix}{name}.NAME.")


def _resolve(schema: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    reference = key.get("$ref")
    if reference is None:
        return key
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]]
    return found


def _choices(key: dict[str, Any]) -> str:
    values = [str(value) for value in key.get("enum", [])]
    return f" One of {', '.join(f'`{value}`' for value in values)}." if values else ""


def _shown(key: dict[str, Any]) -> str:
    if key.get("default") in (None, [], ""):
        return ""
    value = key["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def refusals() -> str:
    """Every refusal: slug, status and the words people read."""
    parts = []
    for slug, message in MESSAGES.items():
        words = " ".join(filter(None, (message.text, message.hint, message.other)))
        shown = re.sub(r"\{(\w+)\}", lambda field: field[1].upper(), words)
        parts.append(f"### `{slug}`\n\n{message.status} · {message.title}\n\n> {shown}")
    return "\n\n".join(parts)


def headers() -> str:
    """What becomes of header fields that could carry a route or an identity."""
    families = (f"{prefix}*" for prefix in IDENTITY_AND_ROUTE_PREFIXES)
    return "\n\n".join(
        (
            _fields("Dropped, since only the gateway may say it", {*IDENTITY_AND_ROUTE, *families}),
            _fields("Dropped, since it is for one connection only", HOP_BY_HOP),
            _fields("Refused when it comes twice", SINGLE),
        )
    )


def _fields(words: str, names: Iterable[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return textwrap.fill(f"{words}: {listed}.", 100, break_on_hyphens=False)


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "configuration.md": ("keys", keys),
    "security.md": ("headers", headers),
    "why-refused.md": ("refusals", refusals),
}


def filled(page: str) -> str:
    """A page with its generated parts made anew."""
    text = (DOCS / page).read_text("utf-8")
    if page not in PARTS:
        return CLIENT_PART.sub(lambda found: f"{found[1]}{_client(found)}{found[4]}", text)
    mark, make = PARTS[page]
    pattern = re.compile(rf"(<!-- {mark}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    assert pattern.search(text), f"{page} has no place for its {mark}"
    return pattern.sub(lambda found: f"{found[1]}\n{make()}\n\n{found[2]}", text)


CLIENT_PART = re.compile(
    r"(<!-- (upload|read) lines of (.+?): .*? -->\n).*?(<!-- end -->)", re.DOTALL
)
LANGUAGES = {"shell": "sh", "~/.pypirc": "ini", "pip.conf": "ini", "~/.netrc": "text"}


def _client(part: re.Match[str]) -> str:
    """The block that the page of a new token shows for a program."""
    make = upload_lines if part[2] == "upload" else read_lines
    places = Addresses("/alice/dev/", "/alice/dev/+simple/")
    blocks = make("pypi-…", "https://packages.example.org", places)
    lines: Lines = next(one for one in blocks if str(one.program) == part[3])
    language = LANGUAGES.get(re.split(r"[, ]", lines.where)[0], "yml")
    return f"\n```{language}\n{lines.text}\n```\n\n"


def main() -> int:
    clients = sorted(f"clients/{page.name}" for page in DOCS.glob("clients/*.md"))
    pages = [*PARTS, *clients]
    stale = [page for page in pages if filled(page) != (DOCS / page).read_text("utf-8")]
    if "--check" in sys.argv:
        for page in stale:
            print(f"docs/{page} is out of date: run python tools/write_docs.py", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        (DOCS / page).write_text(filled(page), "utf-8")
        print(f"docs/{page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Take the texts for people out of the code into gateway/locale, and compile the catalogues.

`make messages` runs it after texts or translations have changed. What is not translated yet is
shown in English. A catalogue of a new language begins with its folder:
gateway/locale/xx/LC_MESSAGES, and its line in gateway/languages.py.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parent.parent
LOCALE: Final = ROOT / "gateway" / "locale"
METHODS: Final = [("**.py", "python"), ("web/templates/**.html", "jinja2")]
OPTIONS: Final = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
KEYWORDS: Final = {"_": None, "gettext": None, "ngettext": (1, 2), "plural": (1, 2)}
_NO_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MOVING: Final = (b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By')


def template() -> Catalog:
    """Every text that is to be translated, and the files it is in."""
    found = Catalog(project="index-gateway", fuzzy=False)
    folder = ROOT / "gateway"
    for name, _line, text, comments, context in extract_from_dir(
        str(folder),
        METHODS,
        OPTIONS,
        dict(KEYWORDS),
        comment_tags=("NOTE:",),
        strip_comment_tags=True,
    ):
        found.add(text, None, [(f"gateway/{name}", 0)], auto_comments=comments, context=context)
    return found


def written(catalogue: Catalog) -> bytes:
    """A catalogue as text, the same for the same texts: no dates, no line numbers."""
    out = io.BytesIO()
    write_po(out, catalogue, width=100, include_lineno=False, ignore_obsolete=True)
    lines = out.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(_MOVING))


def compiled(catalogue: Catalog) -> bytes:
    """What gettext reads, the same for the same translations."""
    out = io.BytesIO()
    catalogue.creation_date = catalogue.revision_date = _NO_DAY
    write_mo(out, catalogue)
    return out.getvalue()


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name, domain="gateway")


def updated(path: Path, texts: Catalog) -> Catalog:
    """A catalogue with just the texts there are. A changed text is translated anew, not guessed."""
    catalogue = read(path) if path.exists() else Catalog(locale=path.parent.parent.name)
    catalogue.update(texts, no_fuzzy_matching=True)
    catalogue.fuzzy = False
    catalogue.header_comment = "# Translations of the texts for people; see CONTRIBUTING.md."
    return catalogue


def translated(message: Message) -> bool:
    """Whether each of its forms is."""
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def main() -> None:
    texts = template()
    for folder in sorted(LOCALE.glob("*/LC_MESSAGES")):
        path = folder / "gateway.po"
        catalogue = updated(path, texts)
        missing = sum(bool(one.id) and not translated(one) for one in catalogue)
        path.write_bytes(written(catalogue))
        path.with_suffix(".mo").write_bytes(compiled(read(path)))
        sys.stdout.write(
            f"{folder.parent.name}: {len(catalogue)} texts, {missing} not translated\n"
        )


if __name__ == "__main__":
    main()

"""The languages the gateway speaks, and which of them a request is answered in.

Catalogues are gettext's, in `gateway/locale`, compiled by `make messages`; one is read when
somebody first asks for it. A text that is not translated comes in English.
"""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.core.http.facts import Facts
from gateway.core.http.languages import preferred
from gateway.core.phrases import ENGLISH, Catalogue

NAMES: Final = MappingProxyType(
    {"en": "English", "de": "Deutsch", "es": "Español", "fr": "Français", "ja": "日本語"}
)
"""Every language by its code, as it calls itself."""
FOLDER: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "gateway"
_WITHOUT_BLANKS: Final = frozenset({"ja"})


class Translated:
    """A `Catalogue` out of a file."""

    def __init__(self, code: str, translations: gettext.NullTranslations) -> None:
        self.code: Final = code
        self.gap: Final = "" if code in _WITHOUT_BLANKS else " "
        self.gettext: Final = translations.gettext
        self.ngettext: Final = translations.ngettext


@cache
def catalogue(code: str) -> Catalogue:
    """A language by its code; English for one that is not there."""
    if code == ENGLISH.code or code not in NAMES:
        return ENGLISH
    return Translated(code, gettext.translation(DOMAIN, FOLDER, [code]))


def spoken(facts: Facts | None, *, chosen: str = "", default: str = "en") -> Catalogue:
    """The language a request is answered in.

    Args:
        facts: None where the head could not be read.
        chosen: what the person chose on a page; counts more than what the browser asks for.
        default: for requests that ask for no language, or none that is spoken here.
    """
    if chosen in NAMES:
        return catalogue(chosen)
    accept = facts.joined("accept-language") if facts is not None else ""
    return catalogue(preferred(accept, NAMES, default) if accept else default)

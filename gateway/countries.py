"""The country that an address is in, by a database of an administrator's in MaxMind's format.

Its reader and the names of countries are an extra, `index-gateway[geoip]`, and load only where a
database is named.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core.phrases import Catalogue, Phrase

if TYPE_CHECKING:
    from maxminddb import Reader

NEEDS: Final = ("maxminddb", "babel")
_LOOKED_AT: Final = 1000  # records that tell whether there are countries in it
_REMEMBERED: Final = 4096  # addresses


class Unusable(Exception):
    """No database of countries; its text says why."""


class Country(Phrase):
    """A country by its code (ISO 3166-1), named in the language of whoever reads it."""

    __slots__ = ("_code",)

    _code: str

    @classmethod
    def named(cls, code: str) -> Country:
        made = cls(_name(code, "en"))
        made._code = code
        return made

    def said(self, catalogue: Catalogue) -> str:
        return _name(self._code, catalogue.code)


class Countries:
    """What a file says, as it was when this was made.

    Raises:
        Unusable: packages are missing, the file cannot be read, or names no countries.
    """

    def __init__(self, path: Path) -> None:
        if any(find_spec(name) is None for name in NEEDS):
            raise Unusable("it takes packages that are not there: install 'index-gateway[geoip]'")
        from maxminddb import MODE_MEMORY, InvalidDatabaseError, open_database

        try:
            # In memory: whoever writes a new one over it changes nothing under our feet.
            self._reader: Reader = open_database(path, MODE_MEMORY)
            found = any(_code(record) for _net, record in islice(self._reader, _LOOKED_AT))
        except OSError as error:
            raise Unusable(f"{path} cannot be read ({error.strerror})") from None
        except (InvalidDatabaseError, ValueError):
            raise Unusable(f"{path} is no database in MaxMind's format") from None
        if not found:
            raise Unusable(f"{path} says nothing of countries")
        self._looked_up = lru_cache(_REMEMBERED)(self._look_up)

    def name(self, address: str) -> str:
        """The country's name, "" for an address that is private, not known, or none."""
        return self._looked_up(address)

    def _look_up(self, text: str) -> str:
        from maxminddb import InvalidDatabaseError

        try:
            address = ip_address(text)
            code = _code(self._reader.get(address)) if address.is_global else ""
        except (InvalidDatabaseError, ValueError):  # broken further on, or IPv6 in one of IPv4
            return ""
        return Country.named(code) if code else ""


def _code(record: object) -> str:
    """The country in a record, as MaxMind, DB-IP and IPinfo write it; "" for none."""
    if not isinstance(record, dict):
        return ""
    found = record.get("country") or record.get("registered_country")
    if isinstance(found, dict):
        found = found.get("iso_code")
    if not isinstance(found, str) or len(found) != 2:
        found = record.get("country_code")
    return found.upper() if isinstance(found, str) and len(found) == 2 else ""


def _name(code: str, language: str) -> str:
    from babel import Locale

    named = Locale.parse(language).territories.get(code)
    return str(named) if named else code

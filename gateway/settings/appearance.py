"""How the pages look: names, pictures, colours and links of an administrator's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from gateway.core.appearance import DARK, LIGHT, Appearance, Picture, nearest, readable
from gateway.countries import Countries, Unusable
from gateway.settings.fields import Section, Written, setting
from gateway.settings.files import path_in
from gateway.settings.problems import show

_COLOUR: Final = r"^#[0-9A-Fa-f]{6}$"
_LARGEST: Final = 32 * 1024
_PICTURE: Final = "a PNG, JPEG, WebP or SVG file of 32 KiB at most"
_DATABASE: Final = "a database of countries in MaxMind's format, such as GeoLite2-Country.mmdb"
_STARTS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF", "webp"))


def _colour(text: str, grounds: tuple[str, ...], which: str) -> str:
    if not re.fullmatch(_COLOUR, text):
        raise ValueError(f"{show(text)}; a colour such as #1f5fbf")
    if not readable(text, grounds):
        raise ValueError(
            f"{show(text)} cannot be read on the {which} pages (contrast below 4.5); "
            f"{nearest(text, grounds)} would do"
        )
    return text.lower()


def kind_of(body: bytes) -> str:
    """The kind of a picture by its first bytes, "" for none that is shown."""
    for start, kind in _STARTS:
        if body.startswith(start) and (kind != "webp" or body[8:12] == b"WEBP"):
            return kind
    return "svg" if re.search(rb"<svg[\s>]", body[:1024]) else ""


def read_picture(path: Path) -> Picture:
    """A picture file.

    Raises:
        OSError; ValueError: "what was found; what is allowed".
    """
    with path.open("rb") as file:
        body = file.read(_LARGEST + 1)
    kind = kind_of(body)
    if not kind or len(body) > _LARGEST:
        raise ValueError(f"{path} is {'too large' if kind else 'no picture'}; {_PICTURE}")
    return Picture(kind, body)


def _picture(text: str, base: Path) -> Path:
    path = path_in(text, "", base)
    try:
        read_picture(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {_PICTURE}") from None
    return path


def _countries(text: str, base: Path) -> Path:
    path = path_in(text, "", base)
    try:
        Countries(path)
    except Unusable as error:
        raise ValueError(f"{error}; {_DATABASE}") from None
    return path


LightColour: TypeAlias = Annotated[
    str, Written(_COLOUR, "a colour such as #1f5fbf", lambda text: _colour(text, LIGHT, "light"))
]
DarkColour: TypeAlias = Annotated[
    str, Written(_COLOUR, "a colour such as #7fb0ff", lambda text: _colour(text, DARK, "dark"))
]
PictureFile: TypeAlias = Annotated[Path, Written(r"^.+$", _PICTURE, _picture, based=True)]
DatabaseFile: TypeAlias = Annotated[Path, Written(r"^.+$", _DATABASE, _countries, based=True)]
Link: TypeAlias = Annotated[
    str, Written(r"^https?://[^\s<>\"]+$", "an address such as https://example.org/help")
]
Sentence: TypeAlias = Annotated[
    str, Written(r"^[^\x00-\x1f\x7f]{1,300}$", "one line of up to 300 characters")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceSettings(Section):
    name: Sentence | None = setting(
        "What the pages call this index; without it they say second_factor.issuer.", None
    )
    logo: PictureFile | None = setting(
        "A picture beside the name: PNG, JPEG, WebP or SVG, 32 KiB at most.", None
    )
    icon: PictureFile | None = setting("A square one for the browser's tab.", None)
    accent: LightColour | None = setting(
        "The colour of links and buttons. One that cannot be read on light pages is refused, with "
        "one that would do.",
        None,
    )
    accent_dark: DarkColour | None = setting(
        "The same on dark pages; without it accent is made lighter.", None
    )
    help: Link | None = setting("Where people find help, linked at the foot of each page.", None)
    contact: Sentence | None = setting(
        "Whom people ask who have lost phone and codes: a mail address, an address or a sentence.",
        None,
    )
    policy: Link | None = setting("The policy or privacy notice, linked at the foot.", None)
    password: Link | None = setting(
        "Where people change their password if the index does not keep it (LDAP at devpi, say): "
        "the page for it then leads there.",
        None,
    )
    note: Sentence | None = setting("A sentence on the login page and on refusals.", None)
    countries: DatabaseFile | None = setting(
        "A database of countries (GeoLite2-Country.mmdb, say), read at the start and by a reload: "
        "the country stands beside addresses on pages and in notices. Takes index-gateway[geoip].",
        None,
    )
    front_page: bool = setting(
        "Before pypiserver: browsers get a page of the gateway's at /, with the way to log in and "
        "to the packages, and the lines for pip and twine. Programs get pypiserver's own.",
        False,
    )

    def problem(self) -> str:
        if self.accent_dark is not None and self.accent is None:
            return "accent_dark without accent; both, or accent alone"
        return ""

    def country(self) -> Callable[[str], str] | None:
        """What names the country of an address; None without a database. Raises `Unusable`."""
        return None if self.countries is None else Countries(self.countries).name

    def look(self) -> Appearance:
        """The same with its pictures read. Raises OSError, ValueError where one has changed."""
        return Appearance(
            logo=read_picture(self.logo) if self.logo is not None else None,
            icon=read_picture(self.icon) if self.icon is not None else None,
            accent=self.accent or "",
            accent_dark=self.accent_dark or "",
            help=self.help or "",
            contact=self.contact or "",
            policy=self.policy or "",
            password=self.password or "",
            note=self.note or "",
        )

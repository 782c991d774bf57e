"""An administrator's own look: what the pages show of it, and which colours can be read.

Contrast is that of WCAG 2.2 (success criterion 1.4.3). Knows no files and no templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Rgb: TypeAlias = tuple[int, int, int]

LIGHT: Final = ("#f6f7f9", "#ffffff", "#fdf1f0", "#fff6e0", "#ecf7f0")
DARK: Final = ("#12161d", "#1a2029", "#34191a", "#322811", "#14291d", "#0c1522")
"""The grounds that links and buttons stand on, and the text on buttons, in `style.css`."""
LEAST: Final = 4.5


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to show: its kind as the end of a file name."""

    kind: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Appearance:
    """What an administrator gives the pages; "" and None for what is left as it is.

    accent, accent_dark: of links and buttons, "#rrggbb", on light and on dark grounds.
    help, policy: addresses. contact: an address, a mail address or a sentence.
    password: where people change their password, if not at the index.
    note: a sentence on the login page and on refusals.
    """

    logo: Picture | None = None
    icon: Picture | None = None
    accent: str = ""
    accent_dark: str = ""
    help: str = ""
    contact: str = ""
    policy: str = ""
    password: str = ""
    note: str = ""

    @property
    def contact_link(self) -> str:
        """The address behind the contact, "" where it is a sentence."""
        if self.contact.startswith(("https://", "http://")):
            return self.contact
        return f"mailto:{self.contact_mail}" if self.contact_mail else ""

    @property
    def contact_mail(self) -> str:
        """The contact where it is a mail address, else ""."""
        if self.contact.startswith(("https://", "http://")):
            return ""
        return self.contact if "@" in self.contact and " " not in self.contact else ""


PLAIN: Final = Appearance()


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black and white)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, grounds: Sequence[str]) -> bool:
    return all(contrast(colour, ground) >= LEAST for ground in grounds)


def nearest(colour: str, grounds: Sequence[str]) -> str:
    """The colour, or the same made darker or lighter until it can be read on each ground."""
    target = "#000000" if grounds is LIGHT else "#ffffff"
    return next(
        made
        for made in (mixed(colour, target, part / 50) for part in range(51))
        if readable(made, grounds)
    )


def mixed(colour: str, other: str, part: float) -> str:
    """So much of another colour in one."""
    pairs = zip(_rgb(colour), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def style(look: Appearance) -> str:
    """What is added to the style sheet."""
    if not look.accent:
        return ""
    dark = look.accent_dark or nearest(look.accent, DARK)
    light = _accent(look.accent, mixed(look.accent, "#000000", 0.2))
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) "
        f"{{ :root {{ {_accent(dark, mixed(dark, '#ffffff', 0.3))} }} }}\n"
    )


def _accent(colour: str, over: str) -> str:
    return f"--accent: {colour}; --accent-over: {over}; --focus: {colour};"


def _luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    red, green, blue = (_linear(part / 255) for part in _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _rgb(colour: str) -> Rgb:
    number = int(colour[1:], 16)
    return number >> 16, number >> 8 & 255, number & 255

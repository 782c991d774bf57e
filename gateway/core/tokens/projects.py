"""Names of projects and of their files, each read in exactly one way.

Knows PEP 503, PEP 508 and PEP 427; knows no index server.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 200

# PEP 508; without re.IGNORECASE, under which some other letters fit ("ſ").
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_SEPARATORS: Final = re.compile(r"[-_.]+")
_PATTERN: Final = re.compile(r"[a-z0-9*?-]+", re.ASCII)
_VERSION: Final = re.compile(r"-(?=[0-9])")
_ENDS: Final = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".zip")  # of a source distribution
_WHEEL_PARTS: Final = (5, 6)  # PEP 427: with a build tag six


def normalised(name: str) -> str:
    """The one spelling of a project's name (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def is_name(name: str) -> bool:
    """Whether it is the name of a project (PEP 508), in any spelling."""
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None


def pattern(text: str) -> str | None:
    """The one spelling of a name, or of a pattern with `*` and `?`; None for neither."""
    plain = text.strip()
    found = normalised(plain)
    # In ASCII before it is folded: the Kelvin sign becomes a "k".
    if not plain.isascii() or len(found) > LONGEST or not _PATTERN.fullmatch(found):
        return None
    return found if set("*?") & set(found) or is_name(found) else None


def fits(project: str, wanted: str) -> bool:
    """Whether a normalised name fits a pattern: `*` stands for any characters, `?` for one.

    In time proportional to the product of both lengths at most, whatever they are.
    """
    at = start = 0
    star, mark = -1, 0
    while at < len(project):
        if start < len(wanted) and wanted[start] in ("?", project[at]):
            at, start = at + 1, start + 1
        elif start < len(wanted) and wanted[start] == "*":
            star, mark = start, at
            start += 1
        elif star >= 0:
            mark += 1
            at, start = mark, star + 1
        else:
            return False
    return not wanted[start:].strip("*")


def file_belongs(filename: str, project: str) -> bool:
    """Whether a file's name says that it is one of this (normalised) project.

    A wheel has its name before the first hyphen (PEP 427). In other files a hyphen stands between
    the name and a version, which begins with a digit; where there is more than one such hyphen
    any of them may be meant, and what an index server makes of it, its adapter knows.
    """
    if "/" in filename or "\\" in filename:
        return False
    return project in projects_of(filename)


def projects_of(filename: str) -> tuple[str, ...]:
    """Every project that a file with this name may be of, normalised."""
    filename = filename.removesuffix(".asc")
    if filename.lower().endswith(".whl"):
        found = wheel_project(filename)
        return (found,) if found else ()
    return _before_versions(filename)


def version_in(filename: str) -> str:
    """The version that a file's name tells, "" where it tells none for certain."""
    name = filename.removesuffix(".asc")
    if name.lower().endswith(".whl"):
        return name.split("-")[1] if wheel_project(name) else ""
    hyphens = list(_VERSION.finditer(name))
    if len(hyphens) != 1:
        return ""
    rest = name[hyphens[0].end() :]
    return next((rest[: -len(end)] for end in _ENDS if rest.lower().endswith(end)), "")


def _before_versions(filename: str) -> tuple[str, ...]:
    names = (filename[: hyphen.start()] for hyphen in _VERSION.finditer(filename))
    return tuple(dict.fromkeys(normalised(name) for name in names if is_name(name)))


def wheel_project(filename: str) -> str | None:
    """The project of a wheel that is named as PEP 427 wants it, normalised; None for others."""
    parts = filename[:-4].split("-")
    if len(parts) not in _WHEEL_PARTS or not all(parts) or not is_name(parts[0]):
        return None
    numbered = parts[1:2] if len(parts) == min(_WHEEL_PARTS) else parts[1:3]
    if not all(part[0] in "0123456789" for part in numbered):
        return None
    return normalised(parts[0])

"""A configuration file becomes settings, or a list of all its problems in one run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from gateway.settings.checks import check_rules, check_settings
from gateway.settings.groups import resolve
from gateway.settings.model import Settings
from gateway.settings.nodes import UNREAD, Data, Document, read_document
from gateway.settings.problems import ConfigError, Problem


def load(path: Path) -> Settings:
    """Read a configuration file; relative paths in it start at its directory.

    Raises:
        ConfigError: with every problem found. Warnings are in `Settings.warnings`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        found = f"it cannot be read ({error.strerror})"
        allowed = "index-gateway init writes one, -c FILE or INDEX_GATEWAY_CONFIG names it"
        if isinstance(error, PermissionError):
            allowed = "run the command as the user the gateway runs as"
        raise ConfigError((Problem(str(path), 0, 0, "", found, allowed),)) from None
    return loads(raw, file=str(path), base=path.parent)


def loads(raw: bytes, *, file: str = "configuration", base: Path | None = None) -> Settings:
    """The same for the bytes of a file.

    Args:
        file: its name in messages.
        base: where relative paths start; the working directory unless told.
    """
    return _read(read_document(raw, file), base or Path())


def from_data(data: Data, *, base: Path | None = None) -> Settings:
    """The same for what a file holds, as plain data."""
    return _read(Document("configuration", data), base or Path())


def _read(document: Document, base: Path) -> Settings:
    settings = None
    if document.data is not UNREAD:
        from gateway.settings import validation

        read = validation.read(document, base)
        if read is None:
            groups = resolve(document, validation.valid_groups(document, base))
            check_rules(document, validation.valid_rules(document), groups)
        else:
            groups = resolve(document, read.groups)
            check_rules(document, list(enumerate(read.rules)), groups)
            keys = {each.name: getattr(read, each.name) for each in fields(read)}
            settings = Settings(**keys, file=document.file, places=document.places, members=groups)
    if settings is not None and not document.problems:
        check_settings(document, settings)
    problems = [problem for problem in document.problems if not problem.warning]
    if settings is None or problems:
        raise ConfigError(tuple(sorted(problems, key=lambda each: (each.line, each.column))))
    return replace(settings, warnings=tuple(document.problems))

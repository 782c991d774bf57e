"""A configuration file becomes settings, or a list of all its problems in one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.settings.checks import check_rules, check_settings
from gateway.settings.model import Settings
from gateway.settings.nodes import Data, Document, read_document
from gateway.settings.problems import ConfigError, Problem
from gateway.settings.rules import RuleModel
from gateway.settings.sections import Section
from gateway.settings.shape import ABSENT, Here, tried


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
    if document.data is not None:
        read = tried(Section(Settings), document.data, Here(document, base=base))
        settings = read if isinstance(read, Settings) else None
        check_rules(document, _valid_rules(document))
    if settings is not None and not document.problems:
        check_settings(document, settings)
    problems = [problem for problem in document.problems if not problem.warning]
    if settings is None or problems:
        raise ConfigError(tuple(sorted(problems, key=lambda each: (each.line, each.column))))
    warnings = tuple(document.problems)
    return replace(settings, file=document.file, places=document.places, warnings=warnings)


def _valid_rules(document: Document) -> list[tuple[int, RuleModel]]:
    """The rules that hold by themselves, so that they are compared even if others do not."""
    rules = document.data.get("rules") if isinstance(document.data, dict) else None
    entries = rules if isinstance(rules, list) else []
    aside = Here(Document(document.file))  # what is wrong with them has been said
    read = [tried(Section(RuleModel), entry, aside) for entry in entries]
    return [(number, rule) for number, rule in enumerate(read) if rule is not ABSENT]

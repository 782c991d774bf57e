"""What a request is about, as far as the rights of rules go: which index, which project.

The form of an upload has to name its project in one way: the field `name` and the names of all
files agree, and the index server would not file it under another. Where that is not so, a rule
that asks for the project refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.forms import FilePart
from gateway.core.phrases import _
from gateway.core.rules.rights import Claim
from gateway.core.tokens.projects import file_belongs, is_name, normalised
from gateway.core.upstream import Act, Upstream

_ACTION: Final = ":action"
_NAME: Final = "name"
_FILES: Final = "file_upload"
_LOOKS: Final = frozenset({"verify"})


def asked_by_head(act: Act) -> Claim:
    """What the head of a request tells."""
    if act.by_form:
        return Claim(index=act.index, pending=True)
    unclear = _("its address does not say") if act.unclear else ""
    return Claim(index=act.index, project=act.project or act.managed, unclear=unclear)


def asked_by_form(asked: Claim, fields: Mapping[str, str]) -> Claim:
    """The same once the fields of its form are known."""
    if fields.get(_ACTION, "") in _LOOKS:
        return replace(asked, pending=False)
    name = fields.get(_NAME, "")
    if not is_name(name):
        missing = _("the field 'name' is missing, or names no project")
        return replace(asked, pending=False, unclear=missing)
    return replace(asked, pending=False, project=normalised(name))


def reading(act: Callable[[Facts], Act]) -> Callable[[Facts, Mapping[str, str]], Claim]:
    """What a request with a form is about, for `gateway.core.rules.explain`."""

    def read(facts: Facts, form: Mapping[str, str]) -> Claim:
        asked = asked_by_head(act(facts))
        return asked_by_form(asked, form) if asked.pending else asked

    return read


class FormProject:
    """The project of one upload, while its form streams by."""

    def __init__(self, upstream: Upstream, asked: Claim) -> None:
        self._upstream: Final = upstream
        self._before: Final = asked
        self._project: str | None = None  # once it is known, of files

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> Claim:
        """Every field that decides has come, with these files; nothing of them has gone on.

        Raises:
            Refusal: `project_unclear`.
        """
        asked = asked_by_form(self._before, fields)
        if fields.get(_ACTION) == _FILES:
            self._project = asked.project
        for part in files:
            self.begins(part)
        return asked

    def begins(self, part: FilePart) -> None:
        """The head of a file has come.

        Raises:
            Refusal: `project_unclear`.
        """
        project = self._project
        if project is None:
            return
        filed = self._upstream.file_project(part.filename)
        if not file_belongs(part.filename, project) or filed not in (None, project):
            why = _("the name of a file and the field 'name' do not agree")
            raise Refusal(Slug.PROJECT_UNCLEAR, why=why)

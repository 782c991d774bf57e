"""Whether the form of an upload is within the scope of the token that came with it.

The field `name` and the name of every file have to agree, and the index server must not file the
upload under another project than these say. Looked at while the form streams by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from gateway.core.errors import Refusal, Slug
from gateway.core.http.form_heads import unreadable
from gateway.core.http.forms import FilePart
from gateway.core.phrases import _
from gateway.core.tokens.projects import file_belongs, is_name, normalised
from gateway.core.upstream import Action, Upstream

ACTION: Final = ":action"
NAME: Final = "name"
FILES: Final = "file_upload"
_UPLOADS: Final = frozenset({FILES, "doc_upload", "submit"})
_LOOKS: Final = frozenset({"verify"})


class Allows(Protocol):
    """Whether the token allows an act on a project. Raises Refusal."""

    def __call__(self, action: Action, project: str | None) -> None: ...


class UploadScope:
    """A `FormDemand` (see `gateway.gate.form_inspector`).

    Args:
        named: whether the token looks at the project at all; without that any form is fine whose
            action is.
    """

    def __init__(self, upstream: Upstream, allows: Allows, *, named: bool) -> None:
        self._upstream: Final = upstream
        self._allows: Final = allows
        self._named: Final = named
        self._project: str | None = None  # once it is known
        self._filed = False
        self.names: Final = frozenset({ACTION, NAME} if named else {ACTION})

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        """Every field that decides has come, with these files."""
        action = fields.get(ACTION, "")
        if action in _LOOKS:
            self._allows(Action.LOOK, None)
            return
        name = fields.get(NAME, "")
        if self._named and not is_name(name):
            raise unreadable(_("the field 'name' is missing, or names no project"))
        project = normalised(name) if self._named else None
        self._allows(Action.UPLOAD if action in _UPLOADS else Action.MANAGE, project)
        self._project, self._filed = project, action == FILES
        for part in files:
            self.begins(part)

    def begins(self, part: FilePart) -> None:
        """The head of a file has come."""
        project = self._project
        if project is None or not self._filed:
            return
        filed = self._upstream.file_project(part.filename)
        if not file_belongs(part.filename, project) or filed not in (None, project):
            raise Refusal(
                Slug.TOKEN_SCOPE, what=_("a file of another project than {name}", name=project)
            )

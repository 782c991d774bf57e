"""Projects that nobody but a trusted publisher uploads (`only` of a publisher).

Every way is looked at by which an index server takes files of a project: the form of an upload,
whatever credential comes with it, and devpi's push, which names the project in JSON. Deletions
are no uploads; the rules decide on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.form_heads import unreadable
from gateway.core.http.forms import FilePart
from gateway.core.publishing.publishers import Publisher
from gateway.core.tokens.projects import is_name, normalised
from gateway.core.upstream import Act, Action, Upstream
from gateway.gate.form_inspector import FormDemand
from gateway.gate.push_inspector import Push
from gateway.gate.token_upload import ACTION, NAME

_NO_UPLOADS: Final = frozenset({"verify", "remove_pkg"})


class OnlyPublished:
    """active: whether there are such projects at all."""

    def __init__(self, upstream: Upstream, publishers: Sequence[Publisher]) -> None:
        self._upstream: Final = upstream
        self._those: Final = tuple(one for one in publishers if one.only)
        self.active: Final = bool(self._those)

    def demand(self, facts: Facts) -> FormDemand | None:
        """What the form of a request has to be that no publisher's token came with.

        Raises:
            Refusal: `publisher_only` where the head tells.
        """
        act = self._upstream.act(facts)
        if act.by_form:
            return _NotThose(self, act)
        if act.action is Action.UPLOAD and act.project is not None:
            self.check(act.project, act.index)
        return None

    def check_push(self, push: Push) -> None:
        """A `PushCheck`."""
        self.check(normalised(push.name), push.target if push.target.count("/") == 1 else None)

    def check(self, project: str, index: str | None) -> None:
        """Raises Refusal `publisher_only`."""
        if any(one.covers(project, index) for one in self._those):
            raise Refusal(Slug.PUBLISHER_ONLY, project=project)

    def check_file(self, filename: str, index: str | None) -> None:
        filed = self._upstream.file_project(filename)
        if filed is not None:
            self.check(filed, index)


class _NotThose:
    """A `FormDemand`."""

    names: frozenset[str] = frozenset({ACTION, NAME})

    def __init__(self, only: OnlyPublished, act: Act) -> None:
        self._only: Final = only
        self._act: Final = act
        self._uploads = False

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        if fields.get(ACTION, "") in _NO_UPLOADS:
            return
        name = fields.get(NAME, "")
        if not is_name(name):
            raise unreadable("the field 'name' is missing, or names no project")
        self._only.check(normalised(name), self._act.index)
        self._uploads = True
        for part in files:
            self.begins(part)

    def begins(self, part: FilePart) -> None:
        if self._uploads:
            self._only.check_file(part.filename, self._act.index)


class Both:
    """A `FormDemand` made of two."""

    def __init__(self, one: FormDemand, other: FormDemand) -> None:
        self._each: Final = (one, other)
        self.names: Final = one.names | other.names

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        for one in self._each:
            one.settle(fields, files)

    def begins(self, part: FilePart) -> None:
        for one in self._each:
            one.begins(part)

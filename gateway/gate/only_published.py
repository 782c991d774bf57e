"""Projects that nobody but a trusted publisher uploads (`only` of a publisher).

Every way is looked at by which an index server takes files of a project: the form of an upload,
whatever credential comes with it, and devpi's push, which names the project in JSON. Deletions
are no uploads; the rules decide on them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.form_heads import unreadable
from gateway.core.http.forms import FilePart
from gateway.core.publishing.publishers import Publisher
from gateway.core.tokens.projects import is_name, normalised
from gateway.core.upstream import Act, Action, Upstream
from gateway.gate.form_inspector import FormDemand
from gateway.gate.token_upload import ACTION, NAME
from gateway.gate.xml_body import plain_xml
from gateway.proxy.ports import Answer, Plan

_NO_UPLOADS: Final = frozenset({"verify", "remove_pkg"})
_MOST: Final = 64 * 1024
"""Bytes of a push; devpi-client's have about 100."""
_JSON: Final = re.compile(
    r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE
)


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

    def pushes(self, facts: Facts) -> bool:
        """Whether its body may name the project: devpi reads that of any POST to an index."""
        act = self._upstream.act(facts)
        writes = facts.method.upper() in ("POST", "PUSH") and not act.by_form
        return writes and bool(act.index) and len(facts.path.strip("/").split("/")) == 2

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


class PushInspector:
    """An `Inspector` (see gateway.proxy.ports) over a push, which is small and held whole.

    devpi reads any body as JSON, and one that says nothing of its type as a form first; so here it
    is JSON by its name, or XML (a search), of which nothing is JSON.
    """

    hold_limit: int = 2 * 1024 * 1024

    def __init__(
        self,
        facts: Facts,
        only: OnlyPublished,
        decide: Callable[[], Plan | Awaitable[Plan]],
        refuse: Callable[[Refusal], Answer | Awaitable[Answer]],
    ) -> None:
        self._only: Final = only
        self._decide: Final = decide
        self._refuse: Final = refuse
        coded = (facts.joined("content-encoding") or "identity").strip().lower() != "identity"
        self._xml: Final = not coded and plain_xml(facts)
        kind = facts.first("content-type") or ""
        self._json: Final = not coded and _JSON.fullmatch(kind) is not None
        self._held = bytearray()
        self._going = False
        self.safe = 0

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        if self._going:
            self.safe += len(data)
            return None
        self._held += data
        if self._xml and self._held.startswith(b"<"):
            return self._on()
        if not self._json:
            return self._refuse(_unread("its body is not plain application/json in UTF-8"))
        if len(self._held) > _MOST:
            return self._refuse(_unread("it is too long for a push"))
        return None

    def finish(self) -> Plan | Awaitable[Plan] | None:
        if self._going:
            return None
        try:
            self._check()
        except Refusal as refusal:
            return self._refuse(refusal)
        return self._on()

    def _on(self) -> Plan | Awaitable[Plan]:
        self._going = True
        self.safe = len(self._held)
        return self._decide()

    def _check(self) -> None:
        try:
            text = bytes(self._held).decode()
            found = json.loads(text, object_pairs_hook=_once_each) if text.strip() else {}
        except (ValueError, RecursionError):
            raise _unread("its body is not JSON that all read alike") from None
        if not isinstance(found, dict):
            raise _unread("its body is no JSON object")
        name, target = found.get("name"), found.get("targetindex")
        if name is None or target is None:  # out to another server, or nothing that devpi does
            return
        if not isinstance(name, str) or not isinstance(target, str):
            raise _unread("it does not name a project and an index")
        index = target.strip("/")
        self._only.check(normalised(name), index if index.count("/") == 1 else None)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _unread(why: str) -> Refusal:
    return Refusal(Slug.BAD_REQUEST, why=why, fix="Push as devpi-client does.")

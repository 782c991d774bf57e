"""A push to another index, which names its project in JSON: read while it is small.

Where something depends on what it says, a body is refused that cannot be read in one way; where it
is only recorded, such a body goes on unread.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.json_text import read_json
from gateway.core.upstream import Upstream
from gateway.gate.xml_body import plain_xml
from gateway.proxy.ports import Answer, Plan

_MOST: Final = 64 * 1024
"""Bytes of a push; devpi-client's have about 100."""
_JSON: Final = re.compile(
    r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE
)


class Push(NamedTuple):
    """What a push says. target: the index, "" where it goes to another server, at `elsewhere`."""

    name: str
    version: str
    target: str
    elsewhere: str


PushCheck = Callable[[Push], None]
"""Raises Refusal for one that must not be. Asked about pushes to another index."""


def pushes(upstream: Upstream, facts: Facts) -> bool:
    """Whether its body may be a push: devpi reads that of any POST to an index."""
    act = upstream.act(facts)
    writes = facts.method.upper() in ("POST", "PUSH") and not act.by_form
    return writes and bool(act.index) and len(facts.path.strip("/").split("/")) == 2


class PushInspector:
    """An `Inspector` (see gateway.proxy.ports) over a push, which is small and held whole.

    devpi reads any body as JSON, and one that says nothing of its type as a form first; so where
    there are checks it is JSON by its name, or XML (a search), of which nothing is JSON.

    Args:
        told: is told what it says, as far as that can be read.
    """

    hold_limit: int = 2 * 1024 * 1024

    def __init__(
        self,
        facts: Facts,
        checks: Sequence[PushCheck],
        decide: Callable[[], Plan | Awaitable[Plan]],
        refuse: Callable[[Refusal], Answer | Awaitable[Answer]],
        told: Callable[[Push], None] = lambda _: None,
    ) -> None:
        self._checks: Final = checks
        self._decide: Final = decide
        self._refuse: Final = refuse
        self._told: Final = told
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
        if self._checks and not self._json:
            return self._refuse(_unread("its body is not plain application/json in UTF-8"))
        if len(self._held) > _MOST:
            return (
                self._refuse(_unread("it is too long for a push")) if self._checks else self._on()
            )
        return None

    def finish(self) -> Plan | Awaitable[Plan] | None:
        if self._going:
            return None
        try:
            push = self._read()
            for check in self._checks:
                if push is not None and push.target:
                    check(push)
        except Refusal as refusal:
            if self._checks:
                return self._refuse(refusal)
            push = None
        if push is not None:
            self._told(push)
        return self._on()

    def _on(self) -> Plan | Awaitable[Plan]:
        self._going = True
        self.safe = len(self._held)
        return self._decide()

    def _read(self) -> Push | None:
        """What it says; None for what pushes nothing. Raises Refusal."""
        try:
            body = bytes(self._held)
            found = read_json(body) if body.strip() else {}
        except (ValueError, RecursionError):
            raise _unread("its body is not JSON that all read alike") from None
        if not isinstance(found, dict):
            raise _unread("its body is no JSON object")
        name, target, version = found.get("name"), found.get("targetindex"), found.get("version")
        said = version if isinstance(version, str) else ""
        if name is None or target is None:  # out to another server, or nothing that devpi does
            out = found.get("posturl")
            sent = isinstance(out, str) and isinstance(name, str)
            return Push(str(name), said, "", str(out)) if sent else None
        if not isinstance(name, str) or not isinstance(target, str):
            raise _unread("it does not name a project and an index")
        return Push(name, said, target.strip("/"), "")


def _unread(why: str) -> Refusal:
    return Refusal(Slug.BAD_REQUEST, why=why, fix="Push as devpi-client does.")

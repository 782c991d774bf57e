"""Bodies that are called XML, held to it: devpi without devpi-web takes what it is sent as text/xml
for a push, whatever it is, and reads it as JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.phrases import _
from gateway.core.rules.rules import Matched
from gateway.proxy.ports import Answer, Plan

# Alone or in UTF-8: in another charset the same bytes could be JSON.
_XML: Final = re.compile(
    r'(?:text|application)/xml(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE
)
_TYPES: Final = frozenset({"text/xml", "application/xml"})


def called_xml(facts: Facts, matched: Matched) -> bool:
    """Whether a rule decided because the request says that its body is XML."""
    types = matched.rule.content_types if matched.rule is not None else None
    return types is not None and facts.content_type in types & _TYPES and not facts.safe


def plain_xml(facts: Facts) -> bool:
    """Whether its Content-Type says XML, in a charset that leaves JSON no way to look like it."""
    return _XML.fullmatch(facts.first("content-type") or "") is not None


class XmlInspector:
    """An `Inspector` (see gateway.proxy.ports) that lets a body go on which begins as XML does.

    No JSON begins with "<", and whatever is behind it is for the reader of XML.
    """

    hold_limit: int = 2 * 1024 * 1024  # what comes in one piece is held once

    def __init__(
        self,
        facts: Facts,
        decide: Callable[[], Plan | Awaitable[Plan]],
        refuse: Callable[[Facts, Refusal], Answer],
    ) -> None:
        self._facts: Final = facts
        self._decide: Final = decide
        self._refuse: Final = refuse
        self._going = False
        self.safe = 0

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        self.safe += len(data)
        if self._going:
            return None
        if not data.startswith(b"<") or not plain_xml(self._facts):
            return self._refuse(
                self._facts, Refusal(Slug.BAD_REQUEST, why=_("its body is not plain XML"))
            )
        self._going = True
        return self._decide()

    def finish(self) -> Plan | Awaitable[Plan] | None:
        return None if self._going else self.feed(b"-")

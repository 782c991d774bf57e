"""Which way requests go, and with which fields: a `Forward` rendered once, the first lines that
lead there.

Below the heads, since a line that was judged before brings its way with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from gateway.core.counters import Tally
from gateway.core.http.cookies import without_own_cookies
from gateway.core.http.facts import Field
from gateway.core.http.headers import dropped
from gateway.proxy.http1.syntax import TCHAR, VALUE, fields
from gateway.proxy.ports import Forward

_NAME: Final = re.compile(TCHAR + rb"++")
_VALUE: Final = re.compile(VALUE)
_KINDS: Final = 32
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_REPEATABLE: Final = frozenset({b"GET", b"HEAD"})
_ASKS_FOR_LESS: Final = frozenset(
    {"accept-encoding", "if-match", "if-modified-since", "if-none-match", "if-range",
     "if-unmodified-since", "range"}
)  # fmt: skip
"""Fields of a request that may be answered with a part of a page, or a packed one."""
PRIVATE: Final = (("Cache-Control", "private"),)
"""RFC 9111 section 5.2.2.7."""


class Rendered:
    """Fields to set: `block` as lines ready to send, `names` of what they take the place of.

    end: the same as the end of a head whose last line still lacks its line feed.
    marks: where a block of fields holds one of those names.
    """

    __slots__ = ("_met", "block", "end", "marks", "names")

    def __init__(self, fields: Iterable[Field], absent: Iterable[str] = ()) -> None:
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
        names = {name.lower() for name, _ in lines} | {name.encode("ascii") for name in absent}
        for name, value in lines:
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"the field {name!r} cannot be sent")
        if names & _FRAMING:
            raise ValueError("framing belongs to the forwarder")
        self.block = b"".join(b"%s: %s\r\n" % line for line in lines)
        self.end = b"\n%s\r\n" % self.block
        self.names = names
        self._met: dict[object, bool] = {}
        self.marks = tuple(b"\n%s:" % name for name in names)

    def meets(self, block: bytes) -> bool:
        """Whether a block has fields that these take the place of."""
        lower = block.lower()
        return any(mark in lower for mark in self.marks)

    def into(self, data: bytes, size: int, shape: object) -> bytes:
        """An answer with these added to its head of that size; nothing where they would have to
        take the place of others.

        Args:
            shape: what stands for the names of the fields in the head: asked once for each.
        """
        head = data[: size - 2]
        meets = self._met.get(shape)
        if meets is None:
            if len(self._met) >= _KINDS:
                self._met.clear()
            meets = self._met[shape] = self.meets(head)
        # All of the body that has come is copied, so once only.
        return b"" if meets else b"".join((head, self.block, memoryview(data)[size - 2 :]))

    def less(self, names: set[bytes]) -> Rendered:
        """The same without the fields of these lower-case names."""
        pairs = fields(b"".join(b"\n%s\r" % line for line in self.block.split(b"\r\n")[:-1]))
        kept = Rendered(pair for pair in pairs if pair[0].encode() not in names)
        return kept.beyond_hygiene()

    def beyond_hygiene(self) -> Rendered:
        """The same for requests: names that never pass need not be looked for again."""
        self.names = {name for name in self.names if not dropped(name.decode("ascii"))}
        return self


class Route:
    """A `Forward`, rendered once. lasting: for many requests, whoever sends them."""

    __slots__ = (
        "_kinds", "answer", "doubt", "forward", "lasting", "outranks", "page_start", "private",
        "request", "tally",
    )  # fmt: skip

    tally: Tally | None  # how often it went; set by who counts

    def __init__(self, forward: Forward, *, lasting: bool = False) -> None:
        self._kinds: dict[tuple[bytes, bytes], RequestKind] = {}
        self.forward = forward
        self.lasting = lasting
        self.tally = None
        self.page_start = forward.page_start
        self.doubt = forward.doubt
        absent = {*forward.replace, *(_ASKS_FOR_LESS if forward.page_start else ())}
        replaced = [
            (name, without_own_cookies(value) if name == "cookie" else value)
            for name, value in forward.replace.items()
            if value is not None
        ]
        self.request = Rendered([*replaced, *forward.add], absent).beyond_hygiene()
        # Of what only the gateway says, the route's is said instead of the client's.
        self.outranks = {n.lower().encode() for n, _ in forward.add if dropped(n.lower())}
        self.private = forward.private
        self.answer = _answer(forward.answer_add, forward.private)

    def kind(self, other: RequestKind) -> RequestKind:
        """The kind of lines that are like another's and go this way: one object for them all."""
        key = (other.method, other.version)
        found = self._kinds.get(key)
        if found is None:
            found = RequestKind(*key, self)
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()  # filled by someone who asks with ever new methods
            self._kinds[key] = found
        return found


@lru_cache(_KINDS)
def _answer(add: tuple[Field, ...], private: bool) -> Rendered:
    """What is set in answers: few things, and the same for most requests."""
    return Rendered([*add, *(PRIVATE if private else ())])


class RequestKind:
    """What first lines have in common, whatever their target.

    last: version 1.0, so no other request follows. repeatable: without a body it may be sent
    again (RFC 9110 section 9.2.2). route: where all of them go, where that is known
    (`Forwarder.quick`). plain: a usual answer to one is framed for the client as it comes.
    """

    __slots__ = ("last", "method", "plain", "repeatable", "route", "version")

    def __init__(self, method: bytes, version: bytes, route: Route | None = None) -> None:
        self.method = method
        self.version = version
        self.last = version == b"0"
        self.repeatable = method in _REPEATABLE
        self.route = route
        self.plain = method == b"GET" and not self.last

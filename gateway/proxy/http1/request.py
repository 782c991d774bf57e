"""The heads of requests, judged by one strict grammar (RFC 9112).

Knows bytes and framing; knows no connections and no rules. What is not plainly well-formed is
refused, because two readers could take it for two things: bare CR or LF, folded lines, a space
before the colon, Content-Length beside Transfer-Encoding, either of them twice, any coding but
`chunked`. The first line is judged here, the fields in `request_fields.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.path import Target
from gateway.core.phrases import _
from gateway.proxy.http1.faults import line_fault, refuse
from gateway.proxy.http1.request_fields import FieldReader, Said
from gateway.proxy.http1.route import RequestKind
from gateway.proxy.http1.syntax import BARE, TCHAR
from gateway.proxy.limits import Limits

_LINE: Final = re.compile(rb"(" + TCHAR + rb"{1,32}+) [\x21-\x7e]++ HTTP/1\.([01])")


class RequestHead:
    """A judged request head.

    line: the first line as it came. sent: the one that goes upstream. said: what its fields say.
    size: bytes of the whole head.
    persistent: the client allows another request on this connection (never in HTTP/1.0).
    parsed, facts: the target taken apart, and what the gate is told, once they have been made.
    id: the line that says what it is called (`request_id`), once that is known, and lines that go
        upstream with it.
    """

    __slots__ = ("facts", "id", "kind", "line", "parsed", "persistent", "said", "sent", "size")

    facts: Facts | None
    id: bytes | None
    parsed: Target | None

    line: bytes
    sent: bytes
    kind: RequestKind
    said: Said
    size: int
    persistent: bool

    @staticmethod
    def of(line: bytes, kind: RequestKind, said: Said, size: int) -> RequestHead:
        """Make one; a function costs less than __init__ here."""
        head = RequestHead()
        head.line = head.sent = line
        head.kind = kind
        head.said = said
        head.size = size
        head.persistent = not (said.closes or kind.last)
        head.facts = head.parsed = head.id = None
        return head

    @property
    def method(self) -> bytes:
        return self.kind.method

    @property
    def target(self) -> bytes:
        return self.line[len(self.kind.method) + 1 : -len(b" HTTP/1.1")]

    @property
    def version(self) -> bytes:
        return self.kind.version

    @property
    def block(self) -> bytes:
        return self.said.block

    @property
    def expects(self) -> bool:
        """The client waits for 100 (RFC 9110 section 10.1.1: not in HTTP/1.0)."""
        return self.said.expects and self.version == b"1"

    def drop_expect(self) -> None:
        """The body is here already, so nothing is expected of the upstream any more."""
        self.said.drop_expect()


class BasedHead(RequestHead):
    """A head below the path of the public address, which its `target` is without."""

    __slots__ = ("_cut",)

    def __init__(self, head: RequestHead, cut: int, *, keeps: bool) -> None:
        """Args: cut: bytes of that path. keeps: the upstream gets it, too."""
        self.line = head.line
        self.kind = head.kind
        self.said = head.said
        self.size = head.size
        self.persistent = head.persistent
        self.facts = self.parsed = self.id = None
        self._cut = cut
        version = self.line[-len(b" HTTP/1.1") :]
        if not keeps:
            self.sent = b"%s %s%s" % (self.method, self.target, version)
        elif self.target == b"/" or self.target.startswith(b"/?"):
            # devpi-web has its first page there; from the one with a slash it leads back to it.
            path = self.line[len(self.method) + 1 :][:cut]
            self.sent = b"%s %s%s%s" % (self.method, path, self.target[1:], version)
        else:
            self.sent = self.line

    @property
    def target(self) -> bytes:
        return self.line[len(self.kind.method) + 1 + self._cut : -len(b" HTTP/1.1")]


class Base(NamedTuple):
    """The path of the public address. keeps: the upstream gets it, and takes it off itself.
    rooted: how what follows the method begins where it is at the root of the host all the same."""

    path: bytes
    keeps: bool
    rooted: tuple[bytes, ...] = ()

    def off(self, head: RequestHead) -> RequestHead | None:
        """The head without it; None for one that asks for something else on this host."""
        at = len(head.kind.method) + 1
        if head.line.startswith(self.rooted, at):
            return head
        end = at + len(self.path)
        if head.line[at:end] != self.path or head.line[end : end + 1] != b"/":
            return None
        return BasedHead(head, len(self.path), keeps=self.keeps)


_made: Final = RequestHead.of


class RequestReader:
    """Reads the heads of requests, and remembers what comes again.

    known: the kinds of lines that were judged before; for who knows their way to fill.

    Args:
        watched: as for `FieldReader`.
    """

    __slots__ = ("_fields", "_limits", "_most", "_plain", "known")

    def __init__(self, limits: Limits, watched: Iterable[str] = ()) -> None:
        self.known: Final[dict[bytes, RequestKind]] = {}
        self._limits: Final = limits
        self._most: Final = limits.head
        self._fields: Final = FieldReader(limits.fields, watched)
        self._plain: Final = self._fields.plain

    def read(self, data: bytes) -> RequestHead | None:
        """Read one request head from the start of `data`.

        Returns:
            None while its end has not arrived.

        Raises:
            Refusal: `bad_request`, `head_too_large`, `expectation_failed`.
        """
        line, _mark, rest = data.partition(b"\r")
        kind = self.known.get(line)
        if kind is not None:
            said = self._plain.get(rest)
            if said is not None and len(data) <= self._most:  # judged before, and nothing behind
                return _made(line, kind, said, len(data))
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        if end + 4 > self._most:
            raise _too_large(self._most)
        if kind is None:
            kind = _kind(line, self._limits.line)
        said = self._plain.get(rest) or self._fields.read(data[len(line) + 1 : end + 1])
        if kind.version == b"1":
            if not said.has_host:
                raise refuse(_("Host is missing"))
        elif said.length is None:
            raise refuse(_("an HTTP/1.0 request cannot be chunked"))
        return _made(line, kind, said, end + 4)

    def unfinished(self, data: bytes | bytearray, seen: int) -> None:
        """A head whose end has not come: refuse what can never become one.

        Args:
            seen: how many of the bytes were looked at before.

        Raises:
            Refusal: `bad_request`, `head_too_large`.
        """
        if data[:1] in (b"\r", b"\n"):
            raise refuse(_("it begins with an empty line"))
        bare = BARE.search(data, max(0, seen - 1))
        if bare:
            feed = bare[0] == b"\n"
            raise refuse(
                _("a line ends in a bare line feed")
                if feed
                else _("a line ends in a bare carriage return")
            )
        if len(data) >= self._most:
            raise _too_large(self._most)
        longest = self._limits.line
        if len(data) > longest and data.find(b"\r", 0, longest + 1) < 0:
            raise _too_large(longest)


def _kind(line: bytes, limit: int) -> RequestKind:
    if len(line) > limit:
        raise _too_large(limit)
    match = _LINE.fullmatch(line)
    if match is None:
        raise refuse(*line_fault(line))
    if match[1].upper() == b"CONNECT":  # whatever it names: its answer is framed in its own way
        raise refuse(
            _("it asks for a tunnel (CONNECT), and this is not a proxy for it"),
            _("Ask for the address itself, without a proxy setting that leads here."),
        )
    return RequestKind(match[1], match[2])


def _too_large(limit: int) -> Refusal:
    return Refusal(Slug.HEAD_TOO_LARGE, limit=str(limit))

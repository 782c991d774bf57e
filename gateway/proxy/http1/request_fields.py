"""What the fields of a request say of its framing and its connection (RFC 9112, RFC 9110).

One compiled expression judges all of a block; then the few fields that matter are looked at, and
the rest is carried as it is. Which never go upstream is `gateway.core.http.headers`' to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from gateway.core.errors import Refusal, Slug
from gateway.core.http.cookies import OWN_NAMES
from gateway.core.http.headers import CREDENTIALS, SINGLE, dropped
from gateway.core.http.request_id import given
from gateway.core.http.responses import TAKEN_IN
from gateway.core.phrases import _
from gateway.proxy.http1.faults import doubled, field_fault, refuse
from gateway.proxy.http1.memo import Found, Layout, Layouts, Shapes, in_order
from gateway.proxy.http1.syntax import DIGITS, FIELDS, TOKENS, Cut, kept, without

_BLOCK: Final = re.compile(FIELDS)
# uri-host of RFC 3986 section 3.2.2 without percent-escapes, with an optional port.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9_.~!$&'()*+,;=-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{1,5})?")
_MOST_HOSTS: Final = 64
_MARK: Final = b"ig-"  # in each of the gateway's own names: most cookies are told by it at once
# At a cookie of the gateway's own, within the value of a Cookie field.
_OWN_COOKIE: Final = re.compile(
    rb"(?<![^;: \t])(?:"
    + b"|".join(re.escape(name.encode()) for name in sorted(OWN_NAMES))
    + rb")[ \t]*(?:[=;]|\Z)"
)
_TAKEN_IN: Final = frozenset(name.encode() for name in TAKEN_IN)
_SINGLE: Final = frozenset(name.encode() for name in SINGLE)
_OPTIONS: Final = frozenset({b"close", b"keep-alive"})

# Clients send one block of fields again and again. Blocks of nothing but these are remembered
# with what they say; any other field may hold a credential, or changes each time.
_PLAIN_NAMES: Final = frozenset(
    name.encode()
    for name in [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "pragma",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "upgrade-insecure-requests",
        "dnt",
        "priority",
    ]
)
_PLAIN_BLOCKS: Final = 256
_PLAIN_SIZE: Final = 2048

# What of a request may say who asks.
NOBODY: Final = 0
COOKIE: Final = 1  # a Cookie field with none of the gateway's own
CREDENTIAL: Final = 2
WATCHED: Final = 3  # whoever asks, the gate looks at it


class Said:
    """What the fields of a request say, whatever its first line is.

    block: the fields, each "\\n…\\r". kept: those that may go upstream.
    length: of the body; None when it is chunked. framed: a body was declared, be it empty.
    closes: no other request will follow.
    personal: what may say who asks, see the constants.
    proxied: somebody says whose request it is, in a field that is read or not.
    forwarded_for: X-Forwarded-For values, in order. id: what the sender calls the request
        (`request_id`), "" where it is not one name. shared: many requests say just this.
    route, tail: where one of these went, and what went there of their fields (`rewrite.py`).
    """

    __slots__ = (
        "block", "closes", "expects", "forwarded_for", "framed", "has_host", "id", "kept", "length",
        "named", "own_cookie", "personal", "proxied", "route", "shared", "tail",
    )  # fmt: skip

    def __init__(self, block: bytes, kept: bytes) -> None:
        self.block = block
        self.kept = kept
        self.length: int | None = 0
        self.framed = False
        self.closes = False
        self.expects = False
        self.has_host = False
        self.own_cookie = False
        self.personal = NOBODY
        self.proxied = False
        self.forwarded_for: list[bytes] | None = None
        self.id: bytes | None = None
        self.named: set[bytes] | None = None
        self.shared = False
        self.route: object = None
        self.tail = b""

    def drop_expect(self) -> None:
        # Never one that is remembered: Expect is not among the plain names.
        if self.expects:
            self.expects = False
            self.kept = without(self.kept, {b"expect"})


class FieldReader:
    """Judges the fields of requests, and remembers what comes again.

    plain: what was said by whole blocks that may be remembered, keyed by all that follows the
        first CR of a head. Each names a host, and none declares a body.
    shapes: patterns for lists of names that came often.

    Args:
        limit: how many fields at most.
        watched: hosts, as browsers write them in lower case; the gate looks at every request to
            one of them.
    """

    __slots__ = ("_hosts", "_layouts", "_limit", "_watched", "plain", "shapes")

    def __init__(self, limit: int, watched: Iterable[str] = ()) -> None:
        self.plain: Final[dict[bytes, Said]] = {}
        self.shapes: Final[Shapes[_Judge]] = Shapes(after=rb"\Z")
        self._limit: Final = limit
        self._watched: Final = frozenset(host.encode("ascii") for host in watched)
        self._hosts: Final[set[bytes]] = set()  # judged before: nearly always one and the same
        judges = {**_JUDGES, b"host": self._host}
        self._layouts: Final = Layouts(dropped, judges, _check, _PLAIN_NAMES)

    def read(self, block: bytes) -> Said:
        """Judge the fields of a request.

        Args:
            block: each "\\n", name, ":", value, "\\r".

        Raises:
            Refusal: `bad_request`, `expectation_failed`.
        """
        shapes = self.shapes
        for shape in shapes.recent:
            match = shape.match(block)
            if match is not None:
                shapes.fitted(shape)
                groups = match.groups()
                said = Said(block, shape.passing(groups))
                for group, judge in shape.judged:
                    judge(said, groups[group].strip(b" \t"))
                break
        else:
            said = self._read_block(block)
        if said.named:
            said.kept = without(said.kept, said.named)
        if said.expects and said.length == 0:
            # RFC 9110 section 10.1.1 forbids to expect it without content, and waitress, asked
            # for it all the same, says 100 Continue and then nothing more.
            said.drop_expect()
        return said

    def _read_block(self, block: bytes) -> Said:
        if not _BLOCK.fullmatch(block):
            raise refuse(field_fault(block))
        layout = self._layouts.of(block)
        if len(layout.names) > self._limit:
            raise refuse(_("it has too many header fields"))
        said = Said(block, block)
        cuts: list[Cut] = []
        found: list[Found[_Judge]] = []
        for mark, cut, judge, many in layout.matters:
            at = block.find(mark)
            while at >= 0:
                end = block.find(b"\r", at) + 1
                if cut:
                    cuts.append((at, end))
                if judge is not None:
                    found.append((at, judge, block[at + len(mark) : end - 1].strip(b" \t")))
                at = block.find(mark, end) if many else -1
        for _at, judge, value in in_order(layout, found):
            judge(said, value)
        said.kept = kept(block, cuts)
        self._remember(block, layout, said)
        return said

    def _remember(self, block: bytes, layout: Layout[_Judge], said: Said) -> None:
        if not layout.plain:
            self.shapes.notice(layout)
        elif len(block) <= _PLAIN_SIZE and said.has_host:
            if len(self.plain) >= _PLAIN_BLOCKS:
                self.plain.clear()
            self.plain[block + b"\n\r\n"] = said
            said.shared = True

    def _host(self, said: Said, value: bytes) -> None:
        if value not in self._hosts:
            if not _HOST.fullmatch(value):
                raise refuse(_("Host is not a host"))
            if value.lower() in self._watched:
                said.personal = WATCHED
            elif len(self._hosts) < _MOST_HOSTS:
                self._hosts.add(value)
        said.has_host = True


def _check(names: list[bytes]) -> None:
    """Refuse what the names alone make ambiguous."""
    if len(set(names)) < len(names):
        for name in _SINGLE:
            if names.count(name) > 1:
                raise refuse(
                    _("it has more than one {name} field", name=name.decode().title()),
                    doubled(name),
                )
    if b"content-length" in names and b"transfer-encoding" in names:
        raise refuse(_("it has both Content-Length and Transfer-Encoding"))


def _connection(said: Said, value: bytes) -> None:
    """RFC 9110 section 7.6.1: what Connection names goes no further."""
    if value == b"keep-alive":
        return
    named = set(TOKENS.findall(value.lower()))
    if b"close" in named:
        said.closes = True
    named -= _OPTIONS
    if named & _SINGLE:
        raise refuse(_("Connection names a field that must not be dropped"))
    said.named = named | (said.named or set())


def _length(said: Said, value: bytes) -> None:
    if not value.isdigit() or len(value) > DIGITS:
        raise refuse(_("Content-Length is not a number"))
    said.length = int(value)
    said.framed = True


def _coding(said: Said, value: bytes) -> None:
    if value.lower() != b"chunked":
        raise refuse(_("its Transfer-Encoding is not the single word 'chunked'"))
    said.length = None
    said.framed = True


def _cookie(said: Said, value: bytes) -> None:
    if _MARK in value and _OWN_COOKIE.search(value):
        said.own_cookie = True
        said.personal = CREDENTIAL
    elif said.personal == NOBODY:
        said.personal = COOKIE


def _credential(said: Said, value: bytes) -> None:
    said.personal = CREDENTIAL


def _destination(said: Said, value: bytes) -> None:
    """Fetch Metadata: a page wants to take the answer in."""
    if value in _TAKEN_IN:
        said.personal = WATCHED


def _expect(said: Said, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise Refusal(Slug.EXPECTATION_FAILED)
    said.expects = True


def _upgrade(said: Said, value: bytes) -> None:
    """An offer of another protocol is passed over (RFC 9110 section 7.8) and goes no further: what
    follows is HTTP/1.1. Only a WebSocket is no offer: without it nothing of use can follow."""
    if b"websocket" in TOKENS.findall(value.lower()):
        raise refuse(
            _("it opens a WebSocket, and there is none here"),
            _("Use plain HTTP; neither the index nor the gateway has another protocol."),
        )


def _service_worker(said: Said, value: bytes) -> None:
    # Service Workers, "fetch a classic worker script": browsers ask for one with this field. One
    # that a page of the index registers would stand between people and the gateway's pages.
    raise Refusal(Slug.SERVICE_WORKER)


def _forwarded_for(said: Said, value: bytes) -> None:
    said.forwarded_for = [*(said.forwarded_for or ()), value]
    said.proxied = True


def _forwarded(said: Said, value: bytes) -> None:
    said.proxied = True


def _request_id(said: Said, value: bytes) -> None:
    said.id = given(value) if said.id is None else b""


_Judge: TypeAlias = Callable[[Said, bytes], None]
_JUDGES: Final[dict[bytes, _Judge]] = {
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"cookie": _cookie,
    b"sec-fetch-dest": _destination,
    b"expect": _expect,
    b"connection": _connection,
    b"upgrade": _upgrade,
    b"service-worker": _service_worker,
    b"x-forwarded-for": _forwarded_for,
    b"forwarded": _forwarded,
    b"x-request-id": _request_id,
    **{name.encode(): _credential for name in CREDENTIALS},
}

"""Upstream answers through the real forwarder: one answer for each request, never a clean end for
a body that was cut off, our fields once, no session cookie."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from random import Random
from typing import Final

import h11

from gateway.proxy.ports import Answer, Forward
from tests.fuzz.heads import SPLICES
from tests.fuzz.share import Share
from tests.fuzz.stage import SESSION, Stage
from tests.proxy.http1.heads import SERVERS, pieces
from tests.proxy.http1.readers import Reading, Refused, our_answer

OURS: Final = ("X-Ours", "1")
HELD: Final = ("x-held", "1")
STATUSES = ["200 OK"] * 12 + ["204 No Content", "304 Not Modified", "206 Partial Content",
            "302 Found", "404 Not Found",
            "500 x", "401 Unauthorized", "200", "200 "] * 2 + ["205 Reset Content", "999 x",
            "101 Switching", "20 x"]  # fmt: skip
INTERIM = ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
           "HTTP/1.1 102 x\r\nSet-Cookie: auth_tkt=early\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n",
           "HTTP/1.1 103 x\r\nX-Ours: 0\r\n\r\n",
           "HTTP/1.1 100\r\nContent-Length: 5\r\n\r\n"]  # fmt: skip
COOKIES = [
    "Set-Cookie: auth_tkt=root%3Atoken", "set-cookie:auth_tkt=root%3Atoken; Path=/",
    "Set-Cookie: auth_tkt = root%3Atoken", "SET-COOKIE: \tauth_tkt=root%3Atoken",
    "Set-Cookie: =auth_tkt=root%3Atoken", 'Set-Cookie: auth_tkt="root:token"; HttpOnly',
    "Set-Cookie: auth_tkt=root%3Atoken; Max-Age=0",
    "Set-Cookie: auth_tkt=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Set-Cookie: a=b; Secure\r\nSet-Cookie: auth_tkt=root%3Atoken", "Set-Cookie: auth_tkt=",
    "Set-Cookie: ig-session=planted", "Set-Cookie: __Host-ig-session=planted; Path=/; Secure",
    "Set-Cookie: a=b",
    "Set-Cookie: ig-form =planted", "Set-Cookie : auth_tkt=x", "Set-Cookie: a=b; auth_tkt=c",
    "Set-Cookie: ;auth_tkt=c",
]  # fmt: skip
GOOD = ["X-A: b", "Content-Type: text/html", "Server: x", "Connection: keep-alive", "Location: /x"]
FIELDS = GOOD * 6 + [
    "X-Ours: 0", "x-ours:0", "X-Ours: 0\r\nx-OURS: 2", "Connection: keep-alive",
    "Connection: close", "Connection: X-Hop",
    "Connection: X-Ours", "X-Hop: 1", "Keep-Alive: timeout=5", "Trailer: X-A", "Upgrade: h2c",
    "Proxy-Authenticate: x",
    "X-A: b", "X_A: b", "X-A : b", "X-A: \xe9", "X-A: a\x00b", " folded", "X-A: a\r\n b",
    "Content-Type: text/html",
    "Server: x", "ETag: \"a\"", "Location: /x", "Content-Encoding: gzip",
    "Transfer-Encoding\x0b: chunked", "X-A: " + "b" * 4000,
    "Content_Length: 0", "TE: trailers", "Via: 1.1 x", "Date: x",
]  # fmt: skip
CODINGS = [
    "gzip, chunked",
    "identity",
    "chunked, chunked",
    "\x0bchunked",
    "chunked, gzip",
    "Chunked",
    "x",
]
LENGTHS = [
    "{0}, {0}",
    "+{0}",
    "0{0}",
    "{0}\x0b",
    "-1",
    "x",
    "",
    "{0}\r\nContent-Length: {0}",
    "{0}\r\nContent-Length: 1",
    "1{0}",
]
ENDINGS = ["close"] * 5 + ["reset"] * 2 + ["keep"]
ASKED = {
    "GET": b"GET / HTTP/1.1\r\nHost: index\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: index\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nHost: index\r\nContent-Length: 2\r\n\r\nab",
    "closing": b"GET / HTTP/1.1\r\nHost: index\r\nConnection: close\r\n\r\n",
}


def answer(random: Random) -> str:
    """An answer of an upstream: mostly well-formed, often cut off or with more behind it."""
    fields = [random.choice(FIELDS) for _ in range(random.choice([0, 0, 0, 1, 1, 2]))]
    if random.random() < 0.3:
        fields.append(random.choice(COOKIES))
    body = random.choice(
        ["", "hello", "x" * 500, "0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    )
    how = random.choice(["length"] * 6 + ["chunks"] * 5 + ["close"] * 2 + ["odd"])
    if how == "length":
        fields.append(f"Content-Length: {len(body)}")
    elif how == "chunks":
        fields.append("Transfer-Encoding: chunked")
        body = _chunked(random, body)
    elif how == "odd":
        coding = "Transfer-Encoding: " + random.choice(CODINGS)
        length = "Content-Length: " + random.choice(LENGTHS).format(len(body))
        fields += random.choice([[coding], [length], [length, "Transfer-Encoding: chunked"]])
        body = random.choice([body, _chunked(random, body)])
    random.shuffle(fields)
    version = random.choice(["HTTP/1.1"] * 30 + ["HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "ICY"])
    made = "\r\n".join([f"{version} {random.choice(STATUSES)}", *fields, "", ""]) + body
    if random.random() < 0.12:
        made = random.choice(INTERIM) + made
    if random.random() < 0.3:
        made = made[: random.randrange(len(made) + 1)]
    elif random.random() < 0.15:
        made += random.choice(["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"])
    return made


def _chunked(random: Random, body: str) -> str:
    made, at = "", 0
    while at < len(body):
        size = min(random.choice([1, 5, 200]), len(body) - at)
        form = random.choice(["{0:x}"] * 40 + ["{0:X};a=b", "0{0:x}", "{0:x} ", "-{0:x}", "g"])
        made += (
            form.format(size)
            + "\r\n"
            + body[at : at + size]
            + random.choice(["\r\n"] * 60 + ["\n", ""])
        )
        at += size
    return made + random.choice(
        ["0\r\n\r\n"] * 9 + ["0\r\nX-Ours: 0\r\n\r\n", "0\r\n", "0\n\n", ""]
    )


class Answers:
    name = "answers"

    def __init__(self) -> None:
        self.share = Share(0.5)
        self._stage = Stage(Forward(answer_add=(OURS,)), back="tcp")
        self._stage.gate.held = Answer(200, (HELD,), b"held back")
        self._script: list[bytes] = []
        self._ending = "close"
        self._stage.answer = self._answer

    async def _answer(self, transport: asyncio.Transport) -> None:
        for piece in self._script:
            if transport.is_closing():
                return
            transport.write(piece)
            await asyncio.sleep(0)
        if self._ending == "close":
            transport.close()
        elif self._ending == "reset":
            await asyncio.sleep(0.01)  # what was sent has been read: a reset takes it back
            if transport.is_closing():
                return
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def example(self, random: Random) -> bytes:
        made = answer(random)
        if random.random() < 0.1:
            made = random.choice(list(SERVERS.values())).decode("latin-1")
        for _ in range(random.choice([0] * 9 + [1, 2])):
            at = random.randrange(len(made) + 1)
            made = made[:at] + random.choice(SPLICES) + made[at + random.choice([0, 1]) :]
        cuts = [random.randrange(len(made) + 1) for _ in range(random.choice([0, 1, 4, 20]))]
        asked = random.choice(list(ASKED))
        return json.dumps(
            [made, cuts, random.choice(ENDINGS), asked, random.random() < 0.3]
        ).encode()

    def check(self, data: bytes) -> str:
        """Raises AssertionError where the client could take an answer for another or for whole."""
        text, cuts, self._ending, asked, half = json.loads(data)
        sent = text.encode("latin-1")
        self._script = pieces(sent, cuts)
        said = self._stage.talk([ASKED[asked]], half=half)
        method = "HEAD" if asked == "HEAD" else "GET"
        final, whole, rest = received(said.got, method)
        meant = meaning(sent, method)
        if final is None:
            self.share.count(False)
            complete = meant is not None and meant.ended and self._ending != "reset"
            assert not (said.got and complete), "an answer is lost"
            return "none"
        assert not rest, ("more than one answer", rest)
        gateways = _refused(final)
        held = HELD in final[1]
        self.share.count(not gateways)
        if not gateways and not held:
            assert meant is not None, "an answer that we do not understand went on"
            passed_on(final, meant)
            cut = not meant.ended or (_until_the_end(sent, method) and self._ending == "reset")
            assert not (whole and cut), "a cut-off body ended well"
            assert not whole or final[2] == meant.body, (final[2], meant.body)
        return f"{final[0]} {'gateway' if gateways else 'held' if held else whole} {method}"

    def close(self) -> None:
        self._stage.close()


Final3 = tuple[int, tuple[tuple[str, str], ...], bytes]


def received(got: bytes, method: str) -> tuple[Final3 | None, bool, bytes]:
    """The final answer as h11's client reads it, whether its body ended well, and what is left."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, fields, body = 0, (), b""  # type: int, tuple[tuple[str, str], ...], bytes
    connection.receive_data(got)
    connection.receive_data(b"")
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.InformationalResponse):
                assert not _leaks(_named(event.headers)), "a session in an interim answer"
            elif isinstance(event, h11.Response):
                status, fields = event.status_code, _named(event.headers)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return (status, fields, body), True, connection.trailing_data[0]
            else:
                return ((status, fields, body) if status else None), False, b""
    except h11.RemoteProtocolError:
        return ((status, fields, body) if status else None), False, b""


def _named(headers: object) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[bytes, bytes]] = list(headers)  # type: ignore[call-overload]
    return tuple((bytes(n).decode("latin-1").lower(), bytes(v).decode("latin-1")) for n, v in pairs)


def meaning(sent: bytes, method: str) -> Reading | None:
    try:
        return our_answer([sent], method)
    except Refused:
        pass
    for size in range(len(sent), 0, -1):  # its head may be fine and its body not
        try:
            read = our_answer([sent[:size]], method)
        except Refused:
            continue
        return None if read is None else Reading(read.start, read.fields, read.body, False)
    return None


def _until_the_end(sent: bytes, method: str) -> bool:
    """Whether only the end of the connection ends the body."""
    head = (
        re.sub(rb"^(HTTP/1\.1 1\d\d.*?\r\n\r\n)+", b"", sent, flags=re.DOTALL)
        .partition(b"\r\n\r\n")[0]
        .lower()
    )
    framed = re.search(rb"\r\n(content-length|transfer-encoding):", head)
    return method != "HEAD" and not framed and not re.match(rb"http/1\.\d (204|304)", head)


def _refused(final: Final3) -> bool:
    return any(name == "x-slug" for name, _ in final[1])


def _leaks(fields: tuple[tuple[str, str], ...]) -> list[str]:
    """Cookies that a browser or a script would take for a session, or for one of ours."""
    found = []
    for name, value in fields:
        pair = value.split(";")[0].strip(" \t").lstrip("=").strip(" \t")
        key, _, worth = pair.partition("=")
        if name == "set-cookie" and (
            (key.strip() == SESSION and worth.strip(' \t"') not in ("", "deleted"))
            or re.fullmatch(r"(__Host-)?ig-(session|pending|device|form)", key.strip())
        ):
            found.append(value)
    return found


def passed_on(final: Final3, meant: Reading) -> None:
    """What an answer of the upstream's must and must not say once it is the gateway's."""
    status, fields, _ = final
    assert str(status).encode() == meant.start[0]
    assert [value for name, value in fields if name == "x-ours"] == ["1"], fields
    assert not _leaks(fields), fields
    names = [name for name, _ in fields]
    hop = {"keep-alive", "trailer", "upgrade", "proxy-authenticate", "te", "proxy-connection"}
    assert not hop & set(names), names
    named = {
        token.strip().lower()
        for name, value in meant.fields if name == b"connection"
        for token in value.decode("latin-1").split(",")
    } - {"close", "keep-alive", "x-ours", ""}  # fmt: skip
    assert not named & set(names), (named, names)
    assert names.count("content-length") + names.count("transfer-encoding") <= 1, names

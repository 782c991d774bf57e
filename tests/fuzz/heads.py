"""Request heads through the real forwarder: what reaches the upstream is one request for each
that was judged, and every server's parser reads it as that one."""

from __future__ import annotations

import json
from bisect import bisect_left
from random import Random

from gateway.core.http.cookies import without_own_cookies
from gateway.core.http.facts import Facts
from gateway.proxy.http1.request import RequestHead
from tests.fuzz.parsers import NO_CHUNKS, PARSERS, Read, watched
from tests.fuzz.share import Share
from tests.fuzz.stage import Stage
from tests.proxy.http1.heads import CLIENTS, pieces
from tests.proxy.http1.readers import Reading, Refused, ours

METHODS = ["GET"] * 5 + ["POST"] * 4 + ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PUSH", "get",
           "M-SEARCH", "X!#$%&'*+-.^_`|~9", "TRACE"]  # fmt: skip
TARGETS = ["/", "/simple/", "/+login", "/a%2Bb?x=/y", "/root/dev?a=b&c=%20", "/a?b?c", "/[x]|{y}^",
           "/a:b@c", "/?x=http://y/", "/a%20b"]  # fmt: skip
FIELDS = [
    "Host: other", "host:index", "Authorization: Basic cm9vdDpwdw==", "authorization:x",
    "X-Devpi-Auth: cm9vdDpwdw==", "X_Devpi_Auth: cm9vdDpwdw==", "Authorization : Basic eA==",
    "Cookie: a=b", "Cookie: ig-session=x.y; a=b", "Cookie: a; ig-session = x ;b=c",
    "COOKIE: auth_tkt=x%3Ay",
    "Connection: keep-alive", "Connection: close", "Connection: X-A", "Connection: Cookie, X-A",
    "Connection: close, Authorization", "Connection:", "Connection: Content-Length",
    "Connection: Transfer-Encoding", "Connection: Host", "Keep-Alive: timeout=5", "TE: trailers",
    "Trailer: X-A", "Upgrade: h2c", "Upgrade: websocket", "HTTP2-Settings: AAMAAABk",
    "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "X-A: b", "X-A:",
    "X-A:\tb\t",
    "X-A: \xe9\xff", "X-A: a\x0cb", "X-A: a\x0bb", "X-A: a\x00b", "X-A: a\x85b", "X-A: a\xa0",
    "X-A: \x1cb", "X A: b", "X-A\t: b", ": b", "X-A", " X-A: b", "X-\xe9: b", "X-A: " + "b" * 5000,
    "Accept: */*", "Accept: text/html\r\nAccept: */*", "Content-Type: text/plain",
    "Content-Type: a\r\nContent-Type: b",
    "Range: bytes=0-4", "Expect: 100-continue", "Expect: 200", "X-Forwarded-For: 10.0.0.1",
    "X-Outside-URL: http://x/y", "Content-Length : 5", "Content_Length: 5",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding\x0b: chunked", "Content-Encoding: gzip", "Content-Length;: 5",
    "Sec-Fetch-Mode: navigate",
    "User-Agent: pip/25.0", "User-Agent: a\r\n\tb", "Origin: null", "If-None-Match: *",
    "Via: 1.1 x",
]  # fmt: skip
GOOD = ["Accept: */*", "User-Agent: pip/25.0", "Accept-Encoding: gzip", "Cookie: a=b; c=\"d e\"",
        "Authorization: Basic cm9vdDpwdw==", "X-Devpi-Auth: cm9vdDpwdw==", "X-A: b",
        "Connection: keep-alive",
        "Content-Type: text/plain", "Cache-Control: max-age=0",
        "Cookie: ig-session=x; a=b"]  # fmt: skip
SPLICES = ["\r", "\n", "\r\n", " ", ":", "\0", "\t", ";", ",", "\x80", "\r\n ", "\x0b", "\r\n\r\n",
           "_",
           "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "5\r\n", "0\r\n\r\n",
           "HTTP/1.1"]  # fmt: skip
CODINGS = ["chunked", "Chunked", " chunked\t", "chunked, chunked", "gzip, chunked", "identity",
           "\x0bchunked",
           "chunked\x0c", "x-chunked", "chunked;q=1", "", '"chunked"']  # fmt: skip
LENGTHS = ["{0}", " {0}\t", "0{0}", "+{0}", "{0}, {0}", "{0}\x0b", "-{0}", "0x{0}", "{0}_0",
           "{0}.0", "", "{0} {0}",
           "\xb2", "1{0}"]  # fmt: skip
CHUNK_ENDS = ["0\r\n\r\n"] * 8 + ["0\r\nX-A: b\r\n\r\n", "000\r\n\r\n", "0;a\r\n\r\n", "0\r\n",
              "0\n\n", "\r\n0\r\n\r\n",
              "0\r\nContent-Length: 5\r\n\r\n", "-0\r\n\r\n", "0x0\r\n\r\n",
              "0 \r\n\r\n"]  # fmt: skip
SIZES = ["{0:x}"] * 12 + ["{0:X}", "0{0:x}", "{0:x};a=b", "{0:x} ", " {0:x}", "+{0:x}", "0x{0:x}",
         "{0:x};a=\"\n\"", "{0:x}\t",
         "{0:x}_0", "{0:x};", "{0:x}\x0b"]  # fmt: skip


def request(random: Random, behind: str) -> str:
    """One request, mostly well-formed. behind: another one, for what hides one in a body."""
    fields = [random.choice(GOOD) for _ in range(random.choice([0, 1, 2, 4]))]
    fields = list({each.split(":")[0].lower(): each for each in fields}.values())
    fields += [random.choice(FIELDS) for _ in range(random.choice([0, 0, 0, 0, 1, 1, 2]))]
    body = random.choice(["", "hello", "x" * 300, behind, "0\r\n\r\n", "5\r\nhello\r\n"])
    how = random.choice(["none"] * 4 + ["length"] * 5 + ["chunks"] * 5 + ["odd"])
    if how == "length" and body:
        fields.append(f"Content-Length: {len(body)}")
    elif how == "chunks":
        fields.append("Transfer-Encoding: chunked")
        body = _chunked(random, body)
    elif how == "odd":
        coding = "Transfer-Encoding: " + random.choice(CODINGS)
        length = "Content-Length: " + random.choice(LENGTHS).format(len(body))
        fields += random.choice([[coding], [length], [length], [length, coding], [coding, length]])
        body = random.choice([body, _chunked(random, body)])
    else:
        body = ""
    random.shuffle(fields)
    version = random.choice(
        ["HTTP/1.1"] * 24 + ["HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/2.0"]
    )
    line = f"{random.choice(METHODS)} {random.choice(TARGETS)} {version}"
    return "\r\n".join([line, "Host: index", *fields, "", ""]) + body


def _chunked(random: Random, body: str) -> str:
    made, at = "", 0
    while at < len(body):
        size = min(random.choice([1, 3, 50]), len(body) - at)
        made += random.choice(SIZES).format(size) + "\r\n" + body[at : at + size] + "\r\n"
        at += size
    return made + random.choice(CHUNK_ENDS)


class Heads:
    name = "heads"

    def __init__(self) -> None:
        self.share = Share(0.5)
        self._stage = Stage()

    def example(self, random: Random) -> bytes:
        made = "".join(
            request(random, request(random, "")) for _ in range(random.choice([1, 1, 1, 2, 3]))
        )
        if random.random() < 0.15:
            made = random.choice(list(CLIENTS.values())).decode("latin-1") + made
        for _ in range(random.choice([0] * 8 + [1, 2])):
            at = random.randrange(len(made))
            made = made[:at] + random.choice(SPLICES) + made[at + random.choice([0, 0, 1, 2]) :]
        if random.random() < 0.05:
            made = made[: random.randrange(len(made)) + 1]
        cuts = [random.randrange(len(made)) for _ in range(random.choice([0, 0, 1, 3, 20]))]
        return json.dumps([made, cuts, random.random() < 0.7]).encode()

    def check(self, data: bytes) -> str:
        """Raises AssertionError where a server would read something else than was judged."""
        text, cuts, half = json.loads(data)
        sent = text.encode("latin-1")
        said = self._stage.talk(pieces(sent, cuts), half=half)
        self.share.count(bool(said.judged))
        meant = meanings(sent)
        assert len(said.requests) <= len(said.judged) <= max(1, len(meant)), "more than came"
        for raw, facts, came in zip(said.requests, said.judged, meant, strict=False):
            reached(bytes(raw), facts, came)
        return f"{len(said.judged)} judged, {len(said.requests)} sent on, {len(said.got) > 0}"

    def close(self) -> None:
        self._stage.close()


def meanings(sent: bytes) -> list[Reading]:
    """The requests that the client sent, by our own reading, up to what is refused."""
    found = []
    while sent:
        read = _read(sent)
        if read is None:
            break
        found.append(read[0])
        if not read[0].ended or not read[1].persistent:
            break
        sent = read[0].rest
    return found


def _read(sent: bytes) -> tuple[Reading, RequestHead] | None:
    """One request. Of a body that is refused somewhere, what precedes that counts: its head has
    been judged, and so much may have gone on."""
    try:
        return ours([sent])
    except Refused:
        accepted = bisect_left(range(len(sent)), True, key=lambda size: _refused(sent[: size + 1]))
        return ours([sent[:accepted]])


def _refused(sent: bytes) -> bool:
    try:
        ours([sent])
    except Refused:
        return True
    return False


def reached(raw: bytes, facts: Facts, came: Reading) -> None:
    """One request at the upstream, against what was judged and what the client had sent."""
    assert (facts.method, facts.target) == tuple(each.decode("latin-1") for each in came.start)
    judged = dict(watched(field for field in facts.fields if "_" not in field[0]))
    if "cookie" in judged:
        judged["cookie"] = without_own_cookies(judged["cookie"])
    chunked = b"\r\ntransfer-encoding:" in raw.partition(b"\r\n\r\n")[0].lower()
    understood = 0
    for name, parse in PARSERS.items():
        try:
            found = parse(raw)
        except Refused:
            continue
        understood += 1
        assert len(found) <= 1, (name, "reads more than one", found)
        for each in found:
            agrees(name, each, facts, judged, came, exact=not (chunked and name in NO_CHUNKS))
    assert understood or not came.ended, "nobody can read it"


def agrees(
    name: str, read: Read, facts: Facts, judged: dict[str, str], came: Reading, *, exact: bool
) -> None:
    method = facts.method.upper() if name == "waitress" else facts.method
    if not (name == "llhttp" and read.method != method):  # it has no name for some
        assert read.method == method, (name, read.method)
    assert read.target == facts.target, (name, read.target)
    fields = dict(read.fields)
    for field in ("authorization", "x-devpi-auth", "cookie", "content-type", "accept"):
        assert fields.get(field, "") == judged.get(field, ""), (name, field, fields, judged)
    if "host" in judged:
        assert fields.get("host") == judged["host"], (name, fields)
    if exact and read.whole:
        assert came.ended and read.body == came.body, (name, read.body, came.body)
    elif exact:
        assert came.body.startswith(read.body), (name, read.body, came.body)

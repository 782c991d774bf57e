"""Heads to try parsers with: what real clients and servers send, and what attackers do."""

from __future__ import annotations

from hypothesis import strategies as st

CLIENTS = {
    "pip": b"GET /root/pypi/+simple/requests/ HTTP/1.1\r\nHost: packages.example.org\r\n"
    b'User-Agent: pip/24.0 {"ci":null,"cpu":"x86_64","distro":{"name":"Debian GNU/Linux"},'
    b'"implementation":{"name":"CPython","version":"3.11.7"},"python":"3.11.7"}\r\n'
    b"Accept-Encoding: gzip, deflate\r\nAccept: application/vnd.pypi.simple.v1+json, "
    b"application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01\r\n"
    b"Connection: keep-alive\r\nCache-Control: max-age=0\r\n\r\n",
    "uv": b"GET /root/pypi/+simple/attrs/ HTTP/1.1\r\n"
    b"user-agent: uv/0.9.1 {\"installer\":{\"name\":\"uv\"}}\r\n"
    b"accept: application/vnd.pypi.simple.v1+json, text/html;q=0.01\r\n"
    b"accept-encoding: gzip, br, zstd\r\nhost: packages.example.org\r\n\r\n",
    "twine": b"POST /root/dev/ HTTP/1.1\r\nHost: packages.example.org\r\n"
    b"User-Agent: twine/7.0.0 requests/2.34\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\nConnection: keep-alive\r\nContent-Length: 12\r\n"
    b"Content-Type: multipart/form-data; boundary=7f1\r\n"
    b"Authorization: Basic cm9vdDpwYXNz\r\n\r\nhello world!",
    "browser": b"GET /root/pypi HTTP/1.1\r\nHost: packages.example.org\r\n"
    b"Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n"
    b"sec-ch-ua-mobile: ?0\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; "
    b"Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"
    b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: auth_tkt=\"root:token\"; __Host-ig-session=abc.def\r\n\r\n",
    "devpi": b"PATCH /root HTTP/1.1\r\nHost: packages.example.org\r\n"
    b"User-Agent: devpi-client/7.3.0\r\nAccept: application/json\r\n"
    b"X-Devpi-Auth: cm9vdDpwYXNz\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}",
    "curl, chunked": b"PUT /root/dev/x HTTP/1.1\r\nHost: packages.example.org:8080\r\n"
    b"User-Agent: curl/8\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\n"
    b"Expect: 100-continue\r\n\r\n5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
    "old": b"GET /simple/ HTTP/1.0\r\nAccept: */*\r\n\r\n",
}  # fmt: skip

SERVERS = {
    "nginx": b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n"
    b'ETag: "6b-5"\r\nAccept-Ranges: bytes\r\n\r\nhello',
    "waitress": b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    b"Content-Type: text/html; charset=UTF-8\r\n"
    b"Date: Sun, 22 Nov 2026 16:00:00 GMT\r\nServer: waitress\r\nTransfer-Encoding: chunked\r\n"
    b"X-Devpi-Api-Version: 2\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
    "login": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /root\r\n"
    b"Set-Cookie: auth_tkt=\"root:['root',[],true].x.y\"; Path=/\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nServer: WSGIServer/0.2\r\n"
    b"Content-Type: text/html\r\n\r\nhello",
    "304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 300\r\n\r\n',
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nConnection: keep-alive\r\n\r\n"
    b"HTTP/1.1 204 Done\r\n\r\n",
    "extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n"
    b"0;c\r\nX-Trailer: 1\r\n\r\n",
}  # fmt: skip

_NAMES = st.sampled_from(
    [b"Host", b"host", b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection",
     b"TE", b"Trailer", b"Expect", b"Cookie", b"Upgrade", b"A", b"X_A", b"A-B", b"Content-Type",
     b"Keep-Alive", b"A ", b" A", b"A\t", b"", b"A(", b"\xe9", b"Content-Length\x00",
     b"Proxy-Connection", b"Range"]
)  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(
        [b"a", b"index", b"index:80", b"[::1]:80", b"", b"0", b"5", b" 5", b"5 ", b"5, 5", b"+5",
         b"05", b"0x5", b"-1", b"5\t", b"\t5", b"99999999999999999999", b"chunked", b"Chunked",
         b" chunked ", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity",
         b"xchunked", b"chunked\x0b", b"keep-alive", b"close", b"close, X-A", b"upgrade", b"h2c",
         b"100-continue", b"trailers", b"a\x00b", b"a\rb", b"a\nb", b"a\r\n b", b"\xe9\xff",
         b"a b\tc", b"a\x7f", b"\x0c5", b"5\x0c", b"\x855", b"\xa05"]
    ),
    st.binary(max_size=12),
)  # fmt: skip
_ENDS = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\0\r\n"])
_LINES = st.tuples(
    _NAMES, st.sampled_from([b": "] * 9 + [b":", b" :", b":\t", b""]), _VALUES, _ENDS
)
_HOST = st.just((b"Host", b": ", b"index", b"\r\n"))
CHUNKS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40).map(lambda data: b"%x\r\n%s\r\n" % (len(data), data)),
        st.binary(min_size=1, max_size=20).map(lambda data: b"%04X\r\n%s\r\n" % (len(data), data)),
        st.sampled_from(
            [b"0\r\n\r\n", b"0\r\nA: 1\r\n\r\n", b"0\n\n", b"5\r\nhello", b"5;a\r\nhello\r\n",
             b"5 \r\nhello\r\n", b" 5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhello\n", b"\r\n",
             b"-5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"g\r\n", b"00\r\n\r\n",
             b"0\r\n A: 1\r\n\r\n",
             b"5;\r\nhello\r\n", b"5;a=\"\r\n\"\r\nhello\r\n",
             b"fffffffffffffffff\r\n", b"5\r\rhello"]
        ),
    ),
    max_size=5,
).map(b"".join)  # fmt: skip
_BODIES = st.one_of(st.just(b""), st.just(b"hello"), CHUNKS, st.binary(max_size=30))

_REQUEST_LINES = st.builds(
    lambda method, gap, target, version, end: method + gap + target + gap + version + end,
    st.sampled_from([b"GET"] * 4 + [b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS",
                     b"PUSH", b"get", b"G T", b"", b"M-SEARCH", b"CONNECT", b"X@"]),
    st.sampled_from([b" "] * 12 + [b"  ", b"\t", b""]),
    st.one_of(
        st.sampled_from([b"/", b"/simple/", b"/a%2Bb?x=/y", b"/+login", b"/a?b#c", b"*", b"a:80",
                         b"http://x/y", b"//x", b"/\xe9", b"/a b", b"/a\\b", b"/a|b", b"/[",
                         b"/%"]),
        st.binary(max_size=8).map(lambda data: b"/" + data),
    ),
    st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1",
                     b"HTTP/1.1 ", b"HTTP/01.1", b"HTTP/1.10", b""]),
    _ENDS,
)  # fmt: skip
_STATUS_LINES = st.builds(
    lambda version, status, reason, end: version + b" " + status + reason + end,
    st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2", b"http/1.1", b"ICY"]),
    st.sampled_from([b"200"] * 6 + [b"100", b"103", b"204", b"206", b"301", b"304", b"404", b"500",
                     b"101", b"099", b"20", b"2000", b"999", b"2x0", b""]),
    st.sampled_from([b" OK"] * 5 + [b"", b" ", b" \xe9", b" a\x00", b"  x", b"\tx"]),
    _ENDS,
)  # fmt: skip


def _joined(start: bytes, lines: list[tuple[bytes, ...]], end: bytes, body: bytes) -> bytes:
    return start + b"".join(b"".join(line) for line in lines) + end + body


def mutated(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Real messages with a few bytes replaced, taken out or put in."""
    edits = st.lists(
        st.tuples(
            st.integers(0, 10_000),
            st.integers(0, 2),
            st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b":", b"\0", b"\t", b";", b"0", b"a",
                             b"_",
                             b",", b"\x80", b"\r\n ", b"Content-Length: 3\r\n", b"5\r\n",
                             b"Transfer-Encoding: chunked\r\n"]),
        ),
        max_size=3,
    )  # fmt: skip

    def edit(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for place, taken, put in changes:
            place %= len(data) + 1
            data = data[:place] + put + data[place + taken :]
        return data

    return st.builds(edit, st.sampled_from(samples), edits)


def _framed(lines: list[tuple[bytes, ...]], body: tuple[bytes, bytes]) -> list[tuple[bytes, ...]]:
    """Each field once, with what says how long the body is among them."""
    names = {line[0].lower(): line for line in lines}
    field, _ = body
    return [*names.values(), *([(field,)] if field else [])]


_GOOD_LINES = st.tuples(
    st.sampled_from([b"A", b"A-B", b"Accept", b"User-Agent", b"Range", b"ETag", b"X-A", b"Cookie"]),
    st.sampled_from([b": "] * 6 + [b":", b":\t"]),
    st.sampled_from([b"a", b"", b"a b\tc", b"5 ", b'"x"', b"a;b=c, d", b"\xe9\xff", b"text/html"]),
    st.just(b"\r\n"),
)
_GOOD_CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=4).map(
    lambda found: b"".join(b"%x\r\n%s\r\n" % (len(data), data) for data in found) + b"0\r\n\r\n"
)
_GOOD_BODIES = st.one_of(
    st.just((b"", b"")),
    st.binary(max_size=40).map(lambda data: (b"Content-Length: %d\r\n" % len(data), data)),
    _GOOD_CHUNKS.map(lambda data: (b"Transfer-Encoding: chunked\r\n", data)),
    _GOOD_CHUNKS.map(lambda data: (b"Transfer-Encoding: chunked\r\n", data[:-3])),
)


def _good(starts: st.SearchStrategy[bytes], first: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Well-formed messages, whole or cut off in the body."""
    return st.builds(
        lambda start, lines, body: _joined(start, _framed([first, *lines], body), b"\r\n", body[1]),
        starts,
        st.lists(_GOOD_LINES, max_size=4),
        _GOOD_BODIES,
    )


_GOOD_REQUESTS = _good(
    st.builds(
        b"%s %s HTTP/1.1\r\n".__mod__,
        st.tuples(
            st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"PUSH"]),
            st.sampled_from([b"/", b"/simple/", b"/a%2Bb?x=/y", b"/+login", b"/a|b", b"/["]),
        ),
    ),
    (b"Host", b": ", b"index", b"\r\n"),
)
_GOOD_ANSWERS = _good(
    st.builds(
        b"HTTP/1.1 %s\r\n".__mod__,
        st.sampled_from([b"200 OK", b"200 ", b"204 No Content", b"206 x", b"302 Found", b"404 No"]),
    ),
    (b"Server", b": ", b"index", b"\r\n"),
)


def _mostly(
    good: st.SearchStrategy[bytes], *odd: st.SearchStrategy[bytes]
) -> st.SearchStrategy[bytes]:
    """Two of three by the first (`one_of` takes what is given twice for once)."""
    return st.sampled_from([good] * 2 * len(odd) + [*odd]).flatmap(lambda chosen: chosen)


REQUESTS = _mostly(
    _GOOD_REQUESTS,
    st.builds(
        _joined,
        _REQUEST_LINES,
        st.tuples(_HOST, st.lists(_LINES, max_size=4)).map(lambda both: [both[0], *both[1]]),
        _ENDS,
        _BODIES,
    ),
    mutated(list(CLIENTS.values())),
)
ANSWERS = _mostly(
    _GOOD_ANSWERS,
    st.builds(_joined, _STATUS_LINES, st.lists(_LINES, max_size=4), _ENDS, _BODIES),
    mutated(list(SERVERS.values())),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    cut = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in cut if piece]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]

"""Whole requests as they come through a connection: methods, paths, fields, bodies, framing.

Credentials and addresses that only exist once an index runs stand as marks (`fill`), so that what
is kept in the corpus can be sent again to any.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from urllib.parse import quote

from tests.oracle.spellings import Path, plainly, spelled

VICTIM, ROOT = "victim", "root"
FILE = "FILE"  # a segment: the rest of the address of a file of the victim's
_MARK = re.compile(rb"<(basic|devpi|bearer|ticket|file|prt)(?::(\w+):(\w+))?>")

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PUSH", "OPTIONS", "post", "delete",
           "Patch", "TRACE", "PROPFIND", "MKCOL"]  # fmt: skip
ENDS = ["wait"] * 6 + ["half", "half", "close", "reset"]


@dataclass
class Sent:
    """What goes through one connection. text: latin-1; cuts: where pieces end; end: whether the
    client waits for the answer, sends no more first, closes at once or resets."""

    text: str
    cuts: list[int] = field(default_factory=list)
    end: str = "wait"
    odd: bool = False  # nobody has to answer

    def pieces(self, known: Mapping[str, bytes]) -> list[bytes]:
        data = fill(self.text.encode("latin-1"), known)
        places = sorted({cut % (len(data) + 1) for cut in self.cuts})
        cut = zip([0, *places], [*places, len(data)], strict=True)
        return [data[start:end] for start, end in cut if start < end]


def dump(sent: list[Sent]) -> bytes:
    return json.dumps([asdict(each) for each in sent], indent=0).encode()


def load(data: bytes) -> list[Sent]:
    return [Sent(**each) for each in json.loads(data)]


def fill(data: bytes, known: Mapping[str, bytes]) -> bytes:
    """Put what is known of the running index where marks stand.

    Args:
        known: `user.kind` to a secret; `file`; `prt`, a port of five digits where somebody
            listens (what stands in a body keeps its length).
    """

    def one(match: re.Match[bytes]) -> bytes:
        how = match[1].decode()
        if match[2] is None:
            return known.get(how, b"none")
        user, secret = match[2], known.get(f"{match[2].decode()}.{match[3].decode()}", b"none")
        return {
            "basic": b"Basic " + b64encode(user + b":" + secret),
            "devpi": b64encode(user + b":" + secret),
            "bearer": b"Bearer " + secret,
            "ticket": quote(user + b":" + secret, safe="").encode(),
        }[how]

    return _MARK.sub(one, data)


@dataclass(frozen=True)
class Act:
    """A request that does something at an index. kind: the Content-Type, "" for none."""

    method: str
    path: Path
    kind: str = ""
    body: bytes = b""
    accept: str = "application/json"


# -- fields ---------------------------------------------------------------------------------

CARRIERS = ["Authorization: <basic:{0}>", "X-Devpi-Auth: <devpi:{0}>",
            "Cookie: auth_tkt=<ticket:{0}>",
            "Authorization: <bearer:{0}>"]  # fmt: skip
SECRETS = [f"{VICTIM}:password"] * 8 + [f"{VICTIM}:token"] * 3 + [f"{ROOT}:password",
           f"{ROOT}:token", "nobody:password", f"{VICTIM}:wrong"]  # fmt: skip
ODD_CARRIERS = [
    "authorization : <basic:{0}>", "X_Devpi_Auth: <devpi:{0}>", "X-DEVPI-AUTH: <devpi:{0}>",
    "Authorization:<basic:{0}>", "Authorization: basic\t<devpi:{0}>",
    'Cookie: a=b; auth_tkt="<ticket:{0}>"', "Cookie: auth_tkt = <ticket:{0}>; x",
    'Cookie: a="; auth_tkt=<ticket:{0}>', "Cookie: [auth_tkt=<ticket:{0}>",
    "Proxy-Authorization: <basic:{0}>", "Authorization: <devpi:{0}>",
    "HTTP_AUTHORIZATION: <basic:{0}>",
    "Authorization: <basic:{0}>\r\nAuthorization: <basic:root:password>",
    "Authorization: <basic:{0}>\r\nX-Devpi-Auth: <devpi:root:password>",
    "Authorization: <basic:{0}>\r\n\tX: y", "X-Devpi-Auth: <devpi:{0}>\r\nX-OTP: ",
]  # fmt: skip
FIELDS = [
    "X-Outside-URL: http://x/foo", "X-Outside-URL: http://x/victim", "X_Outside_URL: http://x/foo",
    "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: PATCH", "X-Method-Override: DELETE",
    "X-Original-URL: /+login", "X-Rewrite-URL: /victim", "X-Original-Uri: /victim",
    "X-Original-Method: DELETE", "X-Forwarded-Prefix: /foo", "X-Script-Name: /x",
    "X-Forwarded-User: root", "Remote-User: root", "X-Remote-User: root", "REMOTE_USER: root",
    "X-Auth-Request-User: root", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: a",
    "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "Connection: X-Outside-URL",
    "Connection: close, Authorization", "Connection: X-Devpi-Auth, Cookie",
    "Connection: Content-Type", "Connection: keep-alive, Upgrade\r\nUpgrade: h2c",
    "Origin: http://localhost", "Origin: null", "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: document", "Expect: 100-continue",
    "Accept-Encoding: gzip", "User-Agent: pip/25.0", "User-Agent: devpi-client/7.3.0",
    "Accept: text/html", "Accept: */*", "Cookie: ig-session=x.y", "Cookie: ig-pending=x; ig-form=y",
    "X-Requested-With: XMLHttpRequest", "X-Devpi-Replica-UUID: 1", "TE: trailers",
    "Range: bytes=0-",
    "Content-Encoding: gzip", "Content-Location: /+login", "Content-MD5: x", "X-OTP:",
    "X-Api-Key: x", "Priority: u=1", "X-A: " + "a" * 3000, "If-None-Match: *",
]  # fmt: skip
BREAKS = ["\n", "\r", "\r\r\n", "\r\n ", "\x0b\r\n", "\0\r\n"]


def carriers(random: Random) -> list[str]:
    """The password, or a token made straight at the index, in one field or several."""
    found = []
    for _ in range(random.choice([0] + [1] * 10 + [2, 2, 3])):
        shape = random.choice(ODD_CARRIERS if random.random() < 0.07 else CARRIERS)
        found.append(shape.replace("{0}", random.choice(SECRETS)))
    return found


def mixed(random: Random, fields: list[str]) -> list[str]:
    """With more fields, in another order."""
    odd = random.choice([0, 0, 0, 0, 1, 1, 2, 4])
    made = [*fields, *(random.choice(FIELDS) for _ in range(odd))]
    if random.random() < 0.3:
        random.shuffle(made)
    return made


# -- framing --------------------------------------------------------------------------------


def chunked(random: Random, body: bytes) -> bytes:
    made, at = b"", 0
    while at < len(body):
        size = random.choice([1, 7, 100, len(body)])
        piece = body[at : at + size]
        more = random.choice([b""] * 9 + [b";a=b", b";", b" ", b';a="\n"'])
        made += b"%x%s\r\n%s\r\n" % (len(piece), more, piece)
        at += size
    return made + random.choice(
        [b"0\r\n\r\n"] * 8 + [b"0\r\nX-A: b\r\n\r\n", b"0\r\n", b"00\r\n\r\n"]
    )


def framed(random: Random, body: bytes, inner: bytes) -> tuple[list[str], bytes, bool]:
    """Fields that say how long a body is, the body, and whether it is said in an odd way.

    Args:
        inner: another whole request, for what hides one in a body.
    """
    size = len(body)
    how = random.choice(["length"] * 40 + ["chunked"] * 10 + ["none", "short", "long", "both", "te",
                        "twice", "sign", "inner", "inner", "zero", "empty chunk"])  # fmt: skip
    if how == "length":
        return ([f"Content-Length: {size}"] if body or random.random() < 0.5 else []), body, False
    if how == "chunked":
        return ["Transfer-Encoding: chunked"], chunked(random, body), True
    if how == "short":
        return [f"Content-Length: {max(0, size - random.randint(1, 20))}"], body, True
    if how == "long":
        return [f"Content-Length: {size + random.randint(1, 200)}"], body, True
    if how == "both":
        both = [f"Content-Length: {random.choice([0, 4, size])}", "Transfer-Encoding: chunked"]
        return random.sample(both, 2), chunked(random, body), True
    if how == "te":
        coding = random.choice(["Chunked", "chunked ", "xchunked", "chunked, identity",
        "gzip, chunked",
                                "\x0bchunked", "identity", "chunked;q=1", '"chunked"',
                                ""])  # fmt: skip
        name = random.choice(["Transfer-Encoding", "Transfer_Encoding", "transfer-encoding ", "TE"])
        length = [f"Content-Length: {size}"] if random.random() < 0.5 else []
        return [f"{name}: {coding}", *length], random.choice([body, chunked(random, body)]), True
    if how == "twice":
        second = random.choice([size, 0, size + 1])
        return [f"Content-Length: {size}", f"Content-Length: {second}"], body, True
    if how == "sign":
        sign = random.choice(
            ["+{0}", "0{0}", "{0}, {0}", "{0} ", "0x{0}", "{0}\x0b", "-0", "{0}_0"]
        )
        return ["Content-Length: " + sign.format(size)], body, True
    if how == "inner":
        return [f"Content-Length: {size}"], body + inner, False
    if how == "zero":
        return ["Content-Length: 0"], inner or body, True
    if how == "empty chunk":
        return ["Transfer-Encoding: chunked"], b"0\r\n\r\n" + inner, True
    return [], body, True


def request(random: Random, act: Act, *, inner: bytes = b"") -> tuple[bytes, bool]:
    """One request: mostly as a client would send it, in some respect odd.

    Returns:
        Its bytes, and whether nobody may answer it.
    """
    path = "/" + "/".join("<file>" if each == FILE else each for each in act.path)
    if random.random() < 0.4 and FILE not in act.path:
        path = random.choice([spelled, plainly])(random, act.path)
    method = random.choice(METHODS) if random.random() < 0.1 else act.method
    length, body, odd = framed(random, act.body, inner)
    fields = [*carriers(random), f"Accept: {act.accept}", *length]
    if act.kind:
        fields.append(f"Content-Type: {act.kind}")
    fields = ["Host: localhost", *mixed(random, fields)]
    if random.random() < 0.85:
        fields.append("Connection: close")
    version = "HTTP/1.0" if random.random() < 0.04 else "HTTP/1.1"
    ends = ["\r\n"] * (len(fields) + 1)
    if random.random() < 0.04:
        ends[random.randrange(len(ends))] = random.choice(BREAKS)
        odd = True
    lines = [f"{method} {path} {version}", *fields]
    head = "".join(line + end for line, end in zip(lines, ends, strict=True)) + "\r\n"
    return head.encode("latin-1", "replace") + body, odd or "Connection: close" not in fields


def through_one_connection(random: Random, acts: list[Act]) -> Sent:
    """What one client sends: a request, sometimes with another one behind it or inside of it."""
    inner = b""
    if random.random() < 0.3:
        inner = request(random, random.choice(acts))[0]
    data, odd = request(random, random.choice(acts), inner=inner)
    if inner and random.random() < 0.3:
        data, odd = data.replace(b"Connection: close\r\n", b"") + inner, True
    cuts = [random.randrange(len(data) + 200) for _ in range(random.choice([0, 0, 0, 1, 2, 4]))]
    if random.random() < 0.06:
        data, odd = data[: random.randrange(len(data))], True
    return Sent(data.decode("latin-1"), cuts, random.choice(ENDS), odd)

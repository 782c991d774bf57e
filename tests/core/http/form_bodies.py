"""Bodies of forms: a grammar around what real writers send and what attackers might."""

from __future__ import annotations

from random import Random

BOUNDARY = b"f2b0c7d5"
MARKER = b"--" + BOUNDARY
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"

BLANK_LINES = [
    b"\r\n", b"\r\n", b"\r\n", b"\r\n", b" \r\n", b"\t\r\n", b"\x0b\r\n", b"\x0c\r\n", b"\n",
    b"\r\r\n", b" \n", b"\r", b"\x1c\r\n", b"\x85\r\n", b"", b" \t \r\n", b"x\r\n",
]  # fmt: skip
LINE_ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x0b", b" \r\n", b""]
NAMES = [b":action"] * 5 + [
    b"name", b"version", b"content", b"comment", b":Action", b" :action", b":action ",
    b"%3Aaction", b":acti", b":action[]", b"_charset_", b"x", b"a;name=:action", b"",
    "näme".encode(),
]  # fmt: skip
VALUES = [b"file_upload"] * 4 + [b"remove_pkg"] * 4 + [
    b"submit", b"verify", b"", b"1.0", b"file_upload\r\n", b"x" * 70, b"remove_pkg ", b"\xff",
    MARKER, b"\n" + MARKER, b"\r" + MARKER, b"\r\n" + MARKER[:-1], b"a\r\n" * 5, b"\x00",
    b"\r\n--", "é".encode(),
]  # fmt: skip
DISPOSITIONS = [b'Content-Disposition: form-data; name="%s"'] * 8 + [
    b"Content-Disposition: form-data; name=%s",
    b'Content-Disposition: form-data;name="%s"',
    b'content-disposition: form-data; name="%s"',
    b"Content-Disposition: form-data; name*=utf-8''%s",
    b'Content-Disposition: form-data; name="x"; name="%s"',
    b'Content-Disposition: form-data; name="%s"; name="x"',
    b'Content-Disposition : form-data; name="%s"',
    b'Content-Disposition: form-data;\r\n name="%s"',
    b'Content-Disposition: attachment; name="%s"',
    b'Content-Disposition: form-data; filename="f"; name="%s"',
]
FILES = [b'; filename="pkg-1.0.tar.gz"'] * 4 + [
    b'; filename="+AHY-ictim-1.0.zip"', "; filename=\"päckage-1.0.zip\"".encode(),
    b'; filename=""', b";filename=x", b'; filename="a;b"', b'; filename="%22"',
    b'; filename="x"; filename="y"', b"; filename*=utf-8''x",
]  # fmt: skip
FIELDS = [
    b"Content-Type: text/plain", b"Content-Type: text/plain; charset=utf-8",
    b'Content-Type: text/plain; charset="UTF-8"', b"Content-Type: text/plain; charset=iso-8859-1",
    b"Content-Type: text/plain; charset=utf-16", b"Content-Type: text/plain; charset=utf-7",
    b"Content-Type: application/zip; charset=utf-7",
    b"Content-Type: x/y; charset=latin1", b"Content-Type: application/octet-stream",
    b"Content-Type: multipart/mixed; boundary=" + BOUNDARY, b"Content-Type: message/rfc822",
    b"Content-Type: application/x-www-form-urlencoded", b"Content-Length: 4",
    b"Content-Length: 10", b"Content-Length: 11", b"Content-Length: 0",
    b"Content-Transfer-Encoding: binary", b"Content-Transfer-Encoding: base64", b"X: y", b" x",
    b"MIME-Version: 1.0", b"\x0b", b" ", b"no colon",
]  # fmt: skip
ENDS = [MARKER + b"--\r\n"] * 6 + [
    MARKER + b"--", MARKER + b"--\r\n\r\n", MARKER + b"\r\n", MARKER, b"",
    MARKER + b"--\r\n" + MARKER + b"\r\n", MARKER + b"-- \r\n", MARKER + b"--x",
]  # fmt: skip
STARTS = [b""] * 8 + [b"\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"preamble\r\n", b"\r", b" "]
DELIMITERS = [MARKER + b"\r\n"] * 12 + [
    MARKER + b" \r\n", MARKER + b"\n", MARKER + b"\r", b" " + MARKER + b"\r\n",
    MARKER + b"\r\n\r\n", MARKER + b"x\r\n", MARKER.upper() + b"\r\n", MARKER[:-1] + b"\r\n",
]  # fmt: skip
SNIPPETS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x0b", b"\r\n \r\n", b"\n\n", MARKER, MARKER + b"\r\n",
    b'Content-Disposition: form-data; name=":action"', b"remove_pkg", b":action", b'"', b";",
    b"--", b"\r\n\r\n", b"=", b"\x00", b"Content-Length: 3\r\n",
]  # fmt: skip
HEAD = b'Content-Disposition: form-data; name="%s"'
UPLOAD = [(b":action", b"file_upload"), (b"name", b"victim"), (b"version", b"1.0")]
FILE = b'; filename="pkg-1.0.tar.gz"\r\nContent-Type: application/octet-stream'
ODD = ["delimiter", "head", "name", "value", "fields", "line", "blank", "end", "file"]


def plain(name: bytes, value: bytes, file: bytes = b"") -> bytes:
    """A part as a client writes it."""
    return MARKER + b"\r\n" + HEAD % name + file + b"\r\n\r\n" + value + b"\r\n"


def odd(random: Random) -> bytes:
    """A part that is odd in one way or two."""
    choice = random.choice
    ways = {choice(ODD) for _ in range(choice([1, 1, 2]))}
    name = choice(NAMES) if "name" in ways else choice([b":action"] * 3 + [b"name", b"x"])
    disposition = (choice(DISPOSITIONS) if "head" in ways else HEAD) % name
    if "file" in ways:
        disposition += choice(FILES)
    lines = [
        disposition,
        *(choice(FIELDS) for _ in range(choice([1, 1, 2] if "fields" in ways else [0]))),
    ]
    random.shuffle(lines)
    head = b"".join(line + (choice(LINE_ENDS) if "line" in ways else b"\r\n") for line in lines)
    return b"".join(
        (
            choice(DELIMITERS) if "delimiter" in ways else MARKER + b"\r\n",
            head,
            choice(BLANK_LINES) if "blank" in ways else b"\r\n",
            choice(VALUES) if "value" in ways else b"remove_pkg",
            choice([b"\n", b"\r", b"", b"\r\n\r\n", b" \r\n"]) if "end" in ways else b"\r\n",
        )
    )


def body(random: Random) -> bytes:
    """A whole body: often an upload with something odd in it, now and then changed anywhere."""
    parts = [plain(*field) for field in UPLOAD]
    random.shuffle(parts)
    if random.random() < 0.8:
        parts.append(plain(b"content", random.choice(VALUES) * 3, FILE))
    if random.random() < 0.2:
        del parts[random.randrange(len(parts))]
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        at = len(parts) if random.random() < 0.6 else random.randrange(len(parts) + 1)
        parts.insert(at, odd(random))
    if random.random() < 0.3:
        parts.append(plain(random.choice(NAMES), random.choice(VALUES)))
    made = b"".join(parts) + ENDS[0]
    if random.random() < 0.3:
        made = random.choice(STARTS) + made
    if random.random() < 0.2:
        made = made[: -len(ENDS[0])] + random.choice(ENDS)
    for _ in range(random.choice([0, 0, 0, 0, 1, 2])):
        at = random.randrange(len(made) + 1)
        cut = random.choice([0, 0, 1, 2, 8])
        made = made[:at] + random.choice(SNIPPETS) + made[at + cut :]
    return made


def pieces(random: Random, length: int) -> list[int]:
    """Where the body is cut into the pieces it arrives in."""
    how = random.choice(["whole", "bytes", "some", "two"])
    if how == "whole" or length < 2:
        return []
    if how == "bytes":
        return list(range(1, length))
    count = 1 if how == "two" else random.randrange(1, 9)
    return sorted(random.randrange(1, length) for _ in range(count))

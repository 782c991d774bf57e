"""Cookie fields and credentials: ours never go upstream and all others do, byte for byte; no
session is taken from another name; carriers are read as the servers read them."""

from __future__ import annotations

import json
from base64 import b64encode
from random import Random
from typing import Any, Final

from gateway.core.errors import Refusal
from gateway.core.http.cookies import DEVICE, FORM, OWN_NAMES, PENDING, SESSION, Jar, pairs
from gateway.core.http.facts import Facts
from gateway.upstreams.devpi import Devpi
from gateway.upstreams.pypiserver import Pypiserver
from tests.fuzz.share import Share
from tests.fuzz.stage import Stage
from tests.upstreams.test_carriers_oracle import agree, devpi_sees, only

OURS = sorted(OWN_NAMES)
NAMES = [*OURS, *OURS, "auth_tkt", "auth_tkt", "a", "ig-session2", "xig-session", "IG-SESSION",
         "ig_session",
         "__Host-", "__host-ig-session", "__Secure-ig-session", "ig-session\xa0", "$Version", "ig",
         "é", "path", "[ig-session",
         "ig-sessio\x6e", "Host-ig-form", "", "ig-pending ", "\x0big-device",
         "expires"]  # fmt: skip
VALUES = ["x.y", "b", "", '"d e"', "a=b", "root%3Atok", "root:tok", '"root:tok"', "\\141", "a,b",
          "ig-session=z", "é", "%ff%3Ax",
          '"', "a b", "x" * 300, "ig-session", " x ", "\t", "a\x0bb",
          "Thu, 01 Jan 2030 00:00:00 GMT"]  # fmt: skip
BETWEEN = ["; "] * 8 + [";", ";;", "; ;", " ; ", ";\t", ",", ", ", " ", ";  "]
EQUALS = ["="] * 12 + [" = ", "= ", " =", "", "=="]
SCHEMES = ["Basic "] * 4 + ["basic ", "BASIC  ", "Basic\t", "Basic", "Bearer ", "Digest ", ""]
JUNK = ["", "", "", " ", "=", "==", "-", "_", "\t", '"', "!", ",", "\xa0", "%3D", "\x85"]
PLACES: Final = (
    ("authorization", "HTTP_AUTHORIZATION", "authorization"),
    ("x-devpi-auth", "HTTP_X_DEVPI_AUTH", "x-devpi-auth"),
    ("cookie", "HTTP_COOKIE", "cookie:auth_tkt"),
)
_PREFIX: Final = "GET / HTTP/1.1\r\nHost: index\r\n"


def cookie(random: Random) -> str:
    made = ""
    for _ in range(random.choice([1, 1, 2, 3, 5])):
        made += random.choice(BETWEEN) if made or random.random() < 0.05 else ""
        made += random.choice(NAMES) + random.choice(EQUALS) + random.choice(VALUES)
    return made + random.choice([""] * 6 + [";", "; "])


def pair(random: Random) -> str:
    user, secret = (
        random.choice(["root", "", "rööt", "a:b"]),
        random.choice(["tok", "", "p:w", "päss", "x\n"]),
    )
    text = (user + random.choice([":", ":", ":", "", "::"]) + secret).encode(
        random.choice(["utf-8", "latin-1"])
    )
    encoded = b64encode(text).decode()
    at = random.randrange(len(encoded) + 1)
    return encoded[:at] + random.choice(JUNK) + encoded[at:]


class Cookies:
    name = "cookies"

    def __init__(self) -> None:
        self.share = Share(0.7)
        self._stage = Stage()

    def example(self, random: Random) -> bytes:
        fields = [("Cookie", cookie(random))]
        if random.random() < 0.4:
            fields.append(("Authorization", random.choice(SCHEMES) + pair(random)))
        if random.random() < 0.4:
            fields.append(("X-Devpi-Auth", pair(random)))
        if random.random() < 0.2:
            fields.append(("X-Cookie", cookie(random)))
        random.shuffle(fields)
        return json.dumps(fields).encode()

    def check(self, data: bytes) -> str:
        """Raises AssertionError where a cookie of ours goes on, another is lost or changed, or a
        credential is read in another way than a server reads it."""
        given = [(name, value) for name, value in json.loads(data)]
        lines = "".join(f"{name}: {value}\r\n" for name, value in given)
        said = self._stage.talk([(_PREFIX + lines + "\r\n").encode("utf-8")], half=True)
        self.share.count(bool(said.requests))
        if not said.requests:
            assert not said.judged
            return "refused"
        (facts,), (raw,) = said.judged, said.requests
        sent_on = goes_on(facts.first("cookie") or "", bytes(raw))
        jars(facts)
        read = carriers(facts, ";".join(sent_on))
        return f"{len(facts.fields)} {read} {len(sent_on)}"

    def close(self) -> None:
        self._stage.close()


def goes_on(came: str, raw: bytes) -> list[str]:
    """The cookies in what reached the upstream."""
    lines = raw.decode("latin-1").split("\r\n")
    went = [
        line.partition(":")[2].strip(" \t") for line in lines if line.lower().startswith("cookie:")
    ]
    assert len(went) <= 1, went
    # RFC 6265 section 5.4 the other way round: what is between the semicolons.
    parts = went[0].split(";") if went else []
    assert not [part for part in parts if name_of(part) in OWN_NAMES], (came, parts)
    others = [part for part in came.split(";") if name_of(part) not in OWN_NAMES]
    if len(others) < came.count(";") + 1:
        assert (went[0] if went else "") == ";".join(others).strip(" \t;"), (came, went)
    else:
        assert (went[0] if went else "") == came, "it was changed without need"
    return parts


def name_of(part: str) -> str:
    return part.partition("=")[0].strip(" \t")


def jars(facts: Facts) -> None:
    """A cookie of ours is taken from its exact name only, and of several only one made here."""
    for secure in (False, True):
        for cookie in (SESSION, PENDING, DEVICE, FORM):
            jar = Jar(secure, lambda _, value: value == "x.y")
            value = jar.read(facts, cookie)
            named = [worth for name, worth in pairs(facts) if name == jar.name(cookie)]
            assert not value or value in named, (value, named)
            if len(set(named)) > 1 and cookie != FORM:
                assert value in ("", "x.y"), named


def carriers(facts: Facts, sent_on: str) -> str:
    """How the credentials of a request are read here, and by the servers' own code in what went
    on. sent_on: the Cookie field there."""
    found = []
    for upstream in (Devpi(), Pypiserver()):
        for name, key, place in PLACES:
            value = facts.first(name)
            if value is None:
                continue
            try:
                carrier = only(upstream, place, (name, value))
            except Refusal:
                continue
            seen = _seen(upstream, key, sent_on if name == "cookie" else value)
            # A cookie that stands within the quotes of another is one to us, and none to devpi.
            if seen is not None or name != "cookie":
                agree(carrier, seen)
            found.append(carrier is not None and carrier.credential is not None)
    return "".join("+" if each else "-" for each in found)


def _seen(upstream: Any, key: str, value: str) -> tuple[str, str] | None:
    if isinstance(upstream, Devpi):
        return devpi_sees(key, value)
    from pypiserver.bottle_wrapper.bottle import parse_auth

    return parse_auth(value) if key == "HTTP_AUTHORIZATION" and value else None

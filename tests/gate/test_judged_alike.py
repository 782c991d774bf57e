"""Requests on one connection, which are judged by what was known of the last, against each of them
on a connection of its own: whatever credentials, fields, paths and methods come after one another.
"""

from __future__ import annotations

import random
from collections import Counter
from http.client import HTTPConnection
from typing import TypeAlias

from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.test_private_reading import private
from tests.support import servers
from tests.support.http import basic

Asked: TypeAlias = tuple[str, str, list[tuple[str, str]]]
Told: TypeAlias = tuple[int, str | None, int]

ALICE = basic("alice", PYPISERVER_USERS["alice"])
CREDENTIALS = (
    "",
    ALICE,
    basic("bob", PYPISERVER_USERS["bob"]),
    basic("alice", "wrong"),
    basic("ALICE", PYPISERVER_USERS["alice"]),
    ALICE.replace("Basic", "basic"),
    "Basic ",
    "Bearer x",
)
COOKIES = ("", "a=b", "a=b; c=d", "__Host-ig_session=x")
FIELDS: tuple[list[tuple[str, str]], ...] = (
    [],
    [("Accept", "text/html")],
    [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none")],
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")],
    [("X_Forwarded_User", "root")],
)
PATHS: tuple[str, ...] = (
    "/",
    "/simple/",
    "/simple/hello/",
    "/simple/world/",
    "/simple/hello",
    "/simple/%68ello/",
)
PATHS += ("//simple/", "/simple/../simple/", "/simple/hello/?x=1", "/simple/hello/;a", "/packages/")
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS")


def some(dice: random.Random) -> Asked:
    named = (("Authorization", dice.choice(CREDENTIALS)), ("Cookie", dice.choice(COOKIES)))
    fields = [one for one in named if one[1]] + dice.choice(FIELDS)
    dice.shuffle(fields)
    return dice.choice(METHODS), dice.choice(PATHS), fields


def told(connection: HTTPConnection, asked: Asked) -> Told:
    method, path, fields = asked
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in [*fields, ("Content-Length", "0")]:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    size = len(answer.read())
    return answer.status, answer.getheader("Content-Type"), size if answer.status == 200 else 0


def test_each_as_if_it_came_alone(serve: Serve, pypiserver: servers.Index) -> None:
    gate = serve("pypiserver", pypiserver.url, **private("pypiserver"))
    gate.enrol("alice")
    dice, seen = random.Random(8), Counter[int]()
    for _ in range(25):
        few = [some(dice) for _ in range(4)]
        shared = HTTPConnection("127.0.0.1", gate.port, timeout=30)
        for asked in dice.choices(few, k=16):
            alone = HTTPConnection("127.0.0.1", gate.port, timeout=30)
            together, apart = told(shared, asked), told(alone, asked)
            alone.close()
            assert together == apart, asked
            seen[apart[0]] += 1
        shared.close()
    assert min(seen[200], seen[400], seen[401]) > 40, seen

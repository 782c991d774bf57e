"""The rules of PyPI, written a second time over `pymacaroons` alone, and random tokens for them.

Nothing of `gateway.core.tokens` is used here. What PyPI's rules are was read from Warehouse.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pymacaroons
import pypitoken

HOST = "packages.example.org"
NOW = 1_800_000_000
PROJECTS = ("foo", "bar", "foo-bar", "acme-core", "acme", "a")
INDEXES = ("alice/dev", "alice/prod", "bob/dev")
ADDRESSES = ("192.0.2.10", "198.51.100.7", "2001:db8::1", None)


@dataclass(frozen=True)
class Wanted:
    """A use, as the reference sees it. project: None outside of any."""

    action: str
    index: str
    project: str | None
    address: str | None
    now: float


class Unmet(Exception):
    pass


def accepted(text: str, key: bytes, wanted: Wanted) -> bool:
    """Whether a token allows a use."""

    def holds(predicate: str) -> bool:
        try:
            if _holds(json.loads(predicate), wanted):
                return True
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise Unmet from error
        raise Unmet  # a caveat that does not hold must not be passed over

    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(holds)
    try:
        found = pymacaroons.Macaroon.deserialize(text.removeprefix("pypi-"))
        return bool(verifier.verify(found, key))
    except Exception:  # it raises anything at all
        return False


def _holds(data: Any, wanted: Wanted) -> bool:
    if isinstance(data, dict):
        if data.get("version") == 1:
            permissions = data["permissions"]
            if permissions == "user":
                return True
            data = [1, permissions["projects"]]
        else:
            data = [0, data["exp"], data["nbf"]]
    if not isinstance(data, list):
        raise ValueError
    tag, value = data[0], data[1]
    if tag == 0:
        if not (type(value) is int and type(data[2]) is int):
            raise ValueError
        return data[2] <= int(wanted.now) < value
    if not isinstance(value, list) or any(type(one) is not str for one in value):
        raise ValueError
    if tag == 1:
        return wanted.project in value
    if tag == 1000:
        return wanted.action in value
    if tag == 1001:
        return wanted.index in value
    if tag == 1002:
        if wanted.project is None:
            return False
        return any(fnmatch.fnmatchcase(wanted.project, one) for one in value)
    if tag == 1003:
        networks = [ipaddress.ip_network(one) for one in value]
        if wanted.address is None:
            return False
        return any(ipaddress.ip_address(wanted.address) in one for one in networks)
    raise ValueError


# -- random ones ------------------------------------------------------------------------------


def use(pick: random.Random) -> Wanted:
    return Wanted(
        pick.choice(("upload", "read")),
        pick.choice(INDEXES),
        pick.choice((*PROJECTS, None)),
        pick.choice(ADDRESSES),
        NOW + pick.choice((0, 0, 0, 0, 0, 0.5, -3600, 3600)),
    )


def narrowed(text: str, pick: random.Random) -> str:
    """A token as somebody who has it might hand it on: with more conditions, by `pypitoken`, by
    hand, or spoilt."""
    for _ in range(pick.choice((0, 0, 1, 1, 2, 3))):
        text = pick.choice((_by_pypitoken, _by_hand, _by_hand, _odd))(text, pick)
    return _spoilt(text, pick) if pick.random() < 0.2 else text


def _by_pypitoken(text: str, pick: random.Random) -> str:
    token = pypitoken.Token.load(text)
    before, after = NOW - pick.choice((1, 60, -60)), NOW + pick.choice((60, 1, -60))
    names = pick.sample(PROJECTS, pick.randint(1, 4))
    way = pick.randrange(4)
    if way == 0:
        token.restrict(project_names=names)
    elif way == 1:
        token.restrict(not_before=before, not_after=after, project_names=names)
    elif way == 2:
        token.restrict(legacy_project_names=names, legacy_not_before=before, legacy_not_after=after)
    else:
        token.restrict(legacy_noop=True)
    return str(token.dump())


def _by_hand(text: str, pick: random.Random) -> str:
    return append(text, json.dumps(pick.choice(_conditions(pick)), separators=(",", ":")))


def _conditions(pick: random.Random) -> Sequence[object]:
    return (
        [0, NOW + pick.choice((0, 1, 60)), NOW - pick.choice((0, 1, 60))],
        [1, pick.sample(PROJECTS, pick.randint(0, 5))],
        [1000, pick.sample(("upload", "read", "manage"), pick.randint(1, 3))],
        [1001, pick.sample(INDEXES, pick.randint(1, 3))],
        [1002, pick.sample(("foo*", "*", "acme-*", "?", "*-bar", "foo"), pick.randint(1, 3))],
        [1003, pick.sample(("192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"), pick.randint(1, 2))],
    )


ODD = (
    "[]", "[[]]", "{}", "null", "1", '"user"', "[0]", "[1]", "[0,1.5,0]", f"[0,{NOW + 9}]",
    f"[0,{NOW + 9},0,1]", f"[0,true,{NOW}]", f'[0,"{NOW + 9}",0]', '[1,["foo"],"more"]',
    '[1,"foo"]', '[1,[1]]', '[1,["Foo"]]', '[1,null]', '[true,["foo"]]', '[1.0,["foo"]]',
    '["1",["foo"]]', '[2,["x"]]', '[3,"x"]', '[4,"x",null]', '[99,[]]', "[-1]", "not json",
    "expires=4102444800", '{"version":1,"permissions":"user","more":1}', '{"version":1}',
    '{"version":2,"permissions":"user"}', '{"version":1,"permissions":{"projects":["foo"]}}',
    '{"version":1,"permissions":{"projects":"foo"}}', '{"version":1,"permissions":["foo"]}',
    f'{{"nbf":0,"exp":{NOW + 9},"x":1}}', f'{{"nbf":0,"exp":{NOW}.5}}', '{"project_ids":["x"]}',
    '[1000,["all"]]', '[1000,"upload"]', '[1003,["192.0.2.1/24"]]', '[1003,[5]]', '[1003,["x"]]',
    "NaN", "[NaN]", "[0,Infinity,0]", "[" * 2000, '[0,' + "9" * 5000 + ",0]",
)  # fmt: skip
"""Conditions in which readers could differ."""


def _odd(text: str, pick: random.Random) -> str:
    return append(text, pick.choice(ODD))


def append(text: str, condition: str) -> str:
    found = pymacaroons.Macaroon.deserialize(text.removeprefix("pypi-"))
    found.add_first_party_caveat(condition)
    return f"pypi-{found.serialize()}"


def _spoilt(text: str, pick: random.Random) -> str:
    """The token with a condition gone, another signature, or a byte changed."""
    found = pymacaroons.Macaroon.deserialize(text.removeprefix("pypi-"))
    way = pick.randrange(5)
    if way == 0 and found.caveats:
        found.caveats.pop(pick.randrange(len(found.caveats)))
    elif way == 1:
        found.signature = bytes(pick.randrange(256) for _ in range(32)).hex()
    elif way == 2:
        found.identifier = found.identifier_bytes[:-1] + b"a"
    elif way == 3 and found.caveats:
        # Not signed: a reader that passes over what does not hold would take it.
        found.caveats.append(pymacaroons.Caveat(caveat_id='[1,["x"]]', version=2))
    else:
        at = pick.randrange(5, len(text))
        return text[:at] + pick.choice("AZaz09-_") + text[at + 1 :]
    return f"pypi-{found.serialize()}"

"""Tokens of devpi-tokens: made here behind a second factor they count where a rule says `token`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pymacaroons

from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second, carried
from tests.gate.test_tokens import WAYS
from tests.support import servers
from tests.support.http import Answer, Client

CLEAN_UP = {
    "name": "clean-up jobs",
    "match": {"methods": ["DELETE"], "path": "/{user}/{index}/{project}"},
    "policy": "token",
}
TOKENS = {
    "name": "tokens",
    "match": {"path": ["/{user}/+token-create", "/{user}"]},
    "policy": "second_factor",
}
LOGIN = {"name": "login", "match": {"methods": ["POST"], "path": "/+login"}, "policy": "login"}
REST = {"name": "rest", "match": {"path": "/**"}, "policy": "pass"}
NOTHING_THERE = 404
"""What devpi says to whoever may delete: there is no such project."""


def create(client: Client, user: str, fields: dict[str, str], **restrictions: object) -> Answer:
    fields = {"Accept": "application/json", **fields}
    return client.post(f"/{user}/+token-create", send=restrictions, fields=fields)


def narrowed(token: str, condition: str) -> str:
    """As anybody may who has it."""
    found = pymacaroons.Macaroon.deserialize(token.removeprefix("devpi-"))
    found.add_first_party_caveat(condition)
    return f"devpi-{found.serialize()}"


def forged(token: str) -> str:
    """The same name, by somebody who does not know the key."""
    real = pymacaroons.Macaroon.deserialize(token.removeprefix("devpi-"))
    fake = pymacaroons.Macaroon(
        identifier=real.identifier, key="guessed", version=pymacaroons.MACAROON_V2
    )
    return f"devpi-{fake.serialize()}"


def respelled(token: str) -> str:
    """The same macaroon written with what only lenient readers pass over."""
    raw = base64.urlsafe_b64decode(token.removeprefix("devpi-") + "===")
    return "devpi-" + base64.urlsafe_b64encode(raw + b"\n").decode().rstrip("=")


def test_a_token_made_behind_a_second_factor_is_for_clean_up_jobs(
    serve: Callable[..., Served], devpi_server: servers.Index
) -> None:
    rules = [LOGIN, TOKENS, CLEAN_UP, REST]
    served = serve("devpi", devpi_server.url, tests=None, rules=rules)
    user, other = "cleaner", "neighbour"
    password = devpi_server.person(user)
    devpi_server.person(other)
    served.enrol(user)

    def clean(secret: str, way: str = "USER:TOKEN") -> Answer:
        fields = {"Accept": "application/json", **WAYS[way](user, secret)}
        return served.client().call("DELETE", f"/{user}/dev/nothing", fields=fields)

    with_code = carried("x-devpi-auth", user, f"{password},{served.code(user)}")
    told = create(served.client(), user, with_code)
    assert told.status == 200, told.text
    token = told.json["result"]["token"]
    ways = ("USER:TOKEN", ":TOKEN", "TOKEN:", "__token__:TOKEN", "Bearer", "X-Devpi-Auth")
    for way in ways:
        assert clean(token, way).status == NOTHING_THERE, way
    # One made by a login that showed a code counts too, and so does a narrowed one.
    login = carried("x-devpi-auth", user, served.login(user, password))
    second = create(served.client(), user, login, allowed=["del_project", "pkg_read"])
    assert second.status == 200, second.text
    assert clean(second.json["result"]["token"]).status == NOTHING_THERE
    assert clean(narrowed(token, f"indexes={user}/dev")).status == NOTHING_THERE

    # Whether a condition holds is the index's to say.
    assert clean(narrowed(token, f"indexes={user}/other")).status == 403
    assert clean(narrowed(token, "allowed=pkg_read")).status == 403
    for name, broken in {
        "over": narrowed(token, "expires=1"),
        "with a condition nobody knows": narrowed(token, "something=else"),
        "forged": forged(token),
    }.items():
        told = clean(broken)
        assert (told.status, told.slug) == (401, "credential_required"), name
    # Made past the gateway, with the password alone.
    fields = {"Accept": "application/json", **carried("x-devpi-auth", user, password)}
    past = create(Client(devpi_server.port), user, fields).json["result"]["token"]
    for name, secret in {
        "made elsewhere": past,
        "spelled otherwise": respelled(token),
        "a password": password,
    }.items():
        told = clean(secret)
        assert (told.status, told.slug) == (401, "second_factor_required"), name
    # It is for no other name, and not for what takes a second factor itself.
    told = served.client().call(
        "DELETE", f"/{user}/dev/nothing", fields=carried("x-devpi-auth", other, token)
    )
    assert told.status in (401, 403)
    told = create(served.client(), user, carried("x-devpi-auth", user, token))
    assert (told.status, told.slug) == (401, "second_factor_required")

    # What the index has forgotten counts no more, and nothing does after a changed password.
    listed = Client(devpi_server.port).get(f"/{user}/+tokens", fields=fields).json["result"]
    gone = second.json["result"]["token"]
    for id in listed["tokens"]:
        if id in json.dumps(str(pymacaroons.Macaroon.deserialize(gone[6:]).identifier)):
            Client(devpi_server.port).call("DELETE", f"/{user}/+tokens/{id}", fields=fields)
    assert clean(gone).status in (401, 403)
    another_second()
    login = carried("x-devpi-auth", user, served.login(user, password))
    told = served.client().call(
        "PATCH", f"/{user}", send={"password": "an0ther s3cret"}, fields=login
    )
    assert told.status == 200, told.text
    told = clean(token)
    assert (told.status, told.slug) == (401, "second_factor_required")

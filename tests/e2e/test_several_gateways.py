"""Several processes on one store behave as one gateway."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.codes import Authenticator
from tests.support.gateways import Gateway, configure, running
from tests.support.http import Client
from tests.support.pages import log_in
from tests.support.servers import Index


@pytest.fixture(scope="module", params=["sqlite, two workers", "redis, two gateways"])
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    devpi_plain: Index,
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two doors to one state: two workers behind one port, or two gateways on one Redis."""
    place = tmp_path_factory.mktemp("pair")
    if request.param.startswith("sqlite"):
        with running(place, "devpi", devpi_plain.url, workers=2) as gateway:
            yield gateway, gateway
        return
    store = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/7"
    with running(place / "one", "devpi", devpi_plain.url, store=store) as one:
        two = configure(place / "two", "devpi", devpi_plain.url, store=store, public_url=one.url)
        shutil.copy(one.place / "gateway.keys", two.place / "gateway.keys")
        try:
            yield one, two.start()
        finally:
            two.stop()


@pytest.fixture
def enrolled(
    pair: tuple[Gateway, Gateway], devpi_plain: Index, request: pytest.FixtureRequest
) -> tuple[str, str, Authenticator]:
    name = f"user{abs(hash(request.node.nodeid)) % 10**8}"
    return name, devpi_plain.person(name), pair[0].enrol(name)


def test_a_code_sent_many_times_at_once_is_taken_once(
    pair: tuple[Gateway, Gateway], enrolled: tuple[str, str, Authenticator]
) -> None:
    name, password, phone = enrolled
    body = {"user": name, "password": f"{password},{phone.code()}"}

    def login(number: int) -> int:
        return Client(pair[number % 2].port).post("/+login", send=body).status

    with ThreadPoolExecutor(16) as threads:
        statuses = Counter(threads.map(login, range(16)))
    assert statuses[200] == 1, statuses
    assert set(statuses) <= {200, 401, 429}


def test_a_credential_earned_at_one_is_verified_at_the_other(
    pair: tuple[Gateway, Gateway], enrolled: tuple[str, str, Authenticator]
) -> None:
    name, password, phone = enrolled
    body = {"user": name, "password": f"{password},{phone.code()}"}
    answer = pair[0].client().post("/+login", send=body)
    token = answer.json["result"]["password"]
    for _ in range(6):  # both workers get a turn
        changed = (
            pair[1]
            .client()
            .call("PATCH", f"/{name}/dev", auth=(name, token), send=["volatile=False"])
        )
        assert changed.status == 200, changed


def test_a_session_made_at_one_is_valid_at_the_other_and_ends_at_both(
    pair: tuple[Gateway, Gateway], enrolled: tuple[str, str, Authenticator]
) -> None:
    name, password, phone = enrolled
    browser = log_in(pair[0], name, password, phone)
    elsewhere = Client(pair[1].port, cookies=dict(browser.cookies))
    for _ in range(6):
        assert name in elsewhere.browse("GET", "/+auth/").text
    pair[0].command("user", "reset", name, "--reason", "a test")
    for client in (browser, elsewhere):
        assert client.browse("GET", "/+auth/").status == 303


def test_a_credential_that_ended_at_one_is_refused_at_the_other(
    pair: tuple[Gateway, Gateway], enrolled: tuple[str, str, Authenticator]
) -> None:
    """On a route where passwords pass."""
    name, password, phone = enrolled
    body = {"user": name, "password": f"{password},{phone.code()}"}
    token = pair[0].client().post("/+login", send=body).json["result"]["password"]
    pair[0].command("user", "reset", name, "--reason", "a test")
    for _ in range(6):
        told = pair[1].client().get(f"/{name}/dev/+simple/", auth=(name, token))
        assert (told.status, told.slug) == (401, "credential_ended")


def test_wrong_codes_count_together(
    pair: tuple[Gateway, Gateway], enrolled: tuple[str, str, Authenticator]
) -> None:
    name, password, phone = enrolled
    body = {"user": name, "password": f"{password},{phone.wrong()}"}
    statuses = [pair[n % 2].client().post("/+login", send=body).status for n in range(12)]
    assert statuses[0] == 401
    assert 429 in statuses, statuses
    assert statuses[-1] == 429

"""Passwords tried on routes that are forwarded as they are, before the real index servers."""

from __future__ import annotations

import signal
import socket
import struct
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pypitoken
import pytest

from gateway.cli.demo import indexes
from gateway.cli.demo.indexes import Package, write
from gateway.cli.demo.processes import Children
from gateway.core.http.facts import Facts
from gateway.core.throttle.known_good import HALF_LIFE
from gateway.core.throttle.limits import PASSWORDS_BY_NETWORK
from gateway.gate.gate import RuleGate
from tests.gate.conftest import Serve
from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served
from tests.support import servers
from tests.support.http import Answer, Client, basic
from tests.support.ports import free_port

LIMIT = PASSWORDS_BY_NETWORK[0].limit
WINDOW = PASSWORDS_BY_NETWORK[0].window
USERS = {"alice": "alice's password", "bob": "bob's password"}


def start(children: Children, place: Path, protected: str) -> servers.Index:
    """pypiserver with a file of passwords that are judged quickly."""
    write(place / "packages", Package("hello", "1.0"))
    digests = {user: b64encode(sha1(word.encode()).digest()) for user, word in USERS.items()}
    lines = [f"{user}:{{SHA}}{digest.decode()}\n" for user, digest in digests.items()]
    (place / "htpasswd").write_text("".join(lines))
    port = free_port()
    child = indexes.start_pypiserver(
        children,
        port,
        place / "packages",
        place / "htpasswd",
        place / "log",
        protected=protected,
    )
    return servers.Index("pypiserver", port, place, child)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, children: Children) -> servers.Index:
    """It asks for a password everywhere."""
    return start(children, tmp_path_factory.mktemp("private"), "update,list,download")


@pytest.fixture(scope="module")
def half_open(tmp_path_factory: pytest.TempPathFactory, children: Children) -> servers.Index:
    """Everybody may read, with any password or none."""
    return start(children, tmp_path_factory.mktemp("open"), "update")


@pytest.fixture
def gate(serve: Serve, private: servers.Index) -> Served:
    return serve("pypiserver", private.url)


def read(served: Served, user: str, secret: str, target: str = "/simple/hello/") -> Answer:
    return served.client().get(target, auth=(user, secret))


def settle(served: Served) -> None:
    """Wait until what was answered is counted, and what was asked about is known."""
    gate = served.running.forwarder.shared.gate
    assert isinstance(gate, RuleGate)
    while gate.presented.busy:
        time.sleep(0.01)


def held_back(told: Answer) -> bool:
    """Whether it is a refusal that says how long it lasts."""
    if told.status != 429:
        return False
    assert told.slug == "throttled"
    assert WINDOW - 60 < int(told.first("retry-after")) <= WINDOW
    assert "wait 5 minutes" in told.text or "wait 4 minutes" in told.text, told.text
    return True


def guess(served: Served, user: str, times: int) -> None:
    for number in range(times):
        assert read(served, user, f"guess {number}").status == 403


def test_guesses_are_limited_and_the_wait_is_the_real_one(gate: Served) -> None:
    guess(gate, "alice", LIMIT)
    assert held_back(read(gate, "alice", "one more"))
    gate.offset += 200
    told = read(gate, "alice", "one more")
    assert told.status == 429 and 40 < int(told.first("retry-after")) <= 100
    gate.offset += int(told.first("retry-after"))
    assert read(gate, "alice", "one more").status == 403


def test_two_hundred_at_once_are_no_more(gate: Served) -> None:
    with ThreadPoolExecutor(32) as threads:
        told = Counter(threads.map(lambda n: read(gate, "alice", f"guess {n}").status, range(200)))
    assert told == {403: LIMIT, 429: 200 - LIMIT}


def test_one_stale_password_is_one_guess(gate: Served) -> None:
    with ThreadPoolExecutor(16) as threads:
        told = Counter(threads.map(lambda _: read(gate, "alice", "stale").status, range(100)))
    assert told == {403: 100}
    guess(gate, "alice", LIMIT - 1)
    assert held_back(read(gate, "alice", "one more"))
    assert read(gate, "alice", "stale").status == 403, "it is counted already"


def test_people_beside_a_machine_that_guesses(gate: Served) -> None:
    """Who is known goes on, and so does another name; without a credential nobody asks."""
    for _ in range(2):
        assert read(gate, "alice", USERS["alice"]).status == 200
        settle(gate)
    guess(gate, "alice", LIMIT)
    assert held_back(read(gate, "alice", "one more"))
    assert read(gate, "alice", USERS["alice"]).status == 200
    assert read(gate, "bob", "stale").status == 403
    assert read(gate, "bob", USERS["bob"]).status == 200
    assert gate.client().get("/simple/hello/").status == 401, "the index's own"


def test_a_right_password_is_no_guess_however_often(gate: Served) -> None:
    for number in range(LIMIT + 5):
        assert read(gate, "bob", USERS["bob"], f"/simple/?{number}").status == 200
    settle(gate)
    guess(gate, "alice", LIMIT)


def test_guesses_on_one_connection_behind_a_right_password(gate: Served) -> None:
    """What is known of a connection's last credential says nothing of another."""
    connection = HTTPConnection("127.0.0.1", gate.port)

    def ask(secret: str) -> int:
        field = {"Authorization": basic("alice", secret)}
        connection.request("GET", "/simple/hello/", headers=field)
        with connection.getresponse() as told:
            told.read()
            return told.status

    for _ in range(5):
        assert ask(USERS["alice"]) == 200
        settle(gate)
    told = [(ask(USERS["alice"]), ask(f"guess {number}")) for number in range(LIMIT + 5)]
    assert told == [(200, 403)] * LIMIT + [(200, 429)] * 5
    connection.close()


def test_a_password_that_is_changed_is_found_out_on_its_connection(gate: Served) -> None:
    connection = HTTPConnection("127.0.0.1", gate.port)
    field = {"Authorization": basic("alice", USERS["alice"])}
    known = gate.running.parts.flow.guessing.known

    def ask() -> None:
        connection.request("GET", "/simple/hello/", headers=field)
        with connection.getresponse() as told:
            told.read()
        settle(gate)

    for _ in range(5):
        ask()
    ((mark, (right, judged)),) = known._judged.items()
    gate.offset += HALF_LIFE
    ask()
    assert right and known._judged[mark][1] > judged, "it was asked about again"
    connection.close()


@pytest.mark.parametrize(
    "field", [("cookie", "ig-session=x"), ("sec-fetch-dest", "script")], ids=["session", "script"]
)
def test_what_more_than_a_credential_decides_on_is_always_seen(
    gate: Served, field: tuple[str, str]
) -> None:
    rules = gate.running.forwarder.shared.gate
    credential = ("authorization", basic("alice", "x"))
    site = ("sec-fetch-site", "same-origin")

    def alike(method: str, *fields: tuple[str, str]) -> bool:
        path = "/simple/hello"
        facts = Facts(method, path, path, "", (*fields, credential), ip_address("192.0.2.1"))
        return rules.alike(facts) is not None

    assert alike("GET") and alike("GET", site)
    assert not alike("GET", site, field) and not alike("POST")


def test_logins_and_forwarded_requests_count_together(gate: Served) -> None:
    guess(gate, "alice", LIMIT - 1)
    from tests.gate.served import hidden

    client = gate.client()
    form = {**hidden(client.browse("GET", "/+auth/login")), "user": "alice", "password": "no"}
    assert client.browse("POST", "/+auth/login", form=form, fields=gate.ours()).status == 401
    assert held_back(read(gate, "alice", "one more"))


def test_a_form_that_is_judged_as_it_streams(gate: Served) -> None:
    """pypiserver's harmless question is a pass route, too."""
    form = {":action": "verify"}

    def ask(secret: str) -> Answer:
        return gate.client().call("POST", "/", auth=("alice", secret), form=form)

    assert [ask(f"guess {number}").status for number in range(LIMIT)] == [403] * LIMIT
    assert held_back(ask("one more"))


def test_a_route_that_takes_any_password_hides_no_guess(
    serve: Serve, half_open: servers.Index
) -> None:
    """Reading is open there: a yes to it neither proves a password nor takes a guess back."""
    served = serve("pypiserver", half_open.url)
    form = {":action": "verify"}

    def ask(secret: str) -> int:
        for _ in range(2):
            read(served, "alice", secret)
        told = served.client().call("POST", "/", auth=("alice", secret), form=form).status
        settle(served)
        read(served, "alice", secret)
        return told

    told = [ask(f"guess {number}") for number in range(LIMIT + 5)]
    assert told == [403] * LIMIT + [429] * 5


def test_without_the_store_they_are_limited_all_the_same(
    gate: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.core.store import StoreUnavailable

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    guess(gate, "alice", 10)
    for name in ("get", "put"):
        monkeypatch.setattr(gate.running.store, name, away)
    told = [read(gate, "alice", f"another {number}").status for number in range(LIMIT)]
    assert told == [403] * (LIMIT - 10) + [429] * 10
    assert read(gate, "bob", USERS["bob"]).status == 200


# -- devpi ---------------------------------------------------------------------------------------


def test_every_carrier_that_devpi_takes(serve: Serve, devpi_server: servers.Index) -> None:
    served = serve("devpi", devpi_server.url)
    user = "carried"
    password = devpi_server.person(user)

    def fields(place: str, secret: str) -> dict[str, str]:
        pair = b64encode(f"{user}:{secret}".encode()).decode()
        return {
            "basic": {"Authorization": f"Basic {pair}"},
            "devpi": {"X-Devpi-Auth": pair},
            "cookie": {"Cookie": "auth_tkt=" + quote(f"{user}:{secret}")},
            "bearer": {"Authorization": f"Bearer {secret}"},
        }[place]

    def upload(place: str, secret: str) -> Answer:
        form = {":action": "submit", "name": "x", "version": "1"}
        headers = fields(place, secret)
        return served.client().call("POST", f"/{user}/dev", fields=headers, form=form)

    places = ("basic", "devpi", "cookie", "bearer")
    for number in range(4):
        told = upload(places[number], f"guess {number}")
        assert told.status in (401, 403), (places[number], told)
    held = served.running.parts.flow.guessing
    seen = held._seen["127.0.0.1"]
    assert len(seen) == 4
    for place in ("basic", "devpi"):
        assert upload(place, password).status not in (401, 403, 429)


def test_answers_that_tell_a_wrong_password_by_a_200(
    serve: Serve, devpi_server: servers.Index
) -> None:
    """devpi takes a wrong password for none and says so, in any status: `/+api`, for one."""
    served = serve("devpi", devpi_server.url)
    password = devpi_server.person("told")

    def ask(secret: str) -> int:
        told = served.client().get("/+api", auth=("told", secret)).status
        settle(served)
        return told

    assert [ask(f"guess {number}") for number in range(LIMIT)] == [200] * LIMIT
    assert ask("one more") == 429
    gate = serve("devpi", devpi_server.url)
    for _ in range(3):
        assert gate.client().get("/+api", auth=("told", password)).status == 200
    settle(gate)
    assert gate.running.parts.flow.guessing._seen["127.0.0.1"] == ()


def test_login_tokens_that_have_ended_are_no_guesses(
    serve: Serve, devpi_server: servers.Index
) -> None:
    """A whole office has one each in the morning."""
    served = serve("devpi", devpi_server.url)
    sent = {"user": "root", "password": servers.ROOT_PASSWORD}
    accept = {"Accept": "application/json"}
    told = Client(devpi_server.port).post("/+login", send=sent, fields=accept)
    token = told.json["result"]["password"]
    for number in range(LIMIT + 5):
        stale = token[:-5] + f"{number:05}"
        assert served.client().get("/+api", auth=("root", stale)).status == 200
    settle(served)
    assert "127.0.0.1" not in served.running.parts.flow.guessing._seen


def test_spellings_that_only_devpi_reads_count(serve: Serve, devpi_server: servers.Index) -> None:
    served = serve("devpi", devpi_server.url)
    for number in range(LIMIT + 5):
        pair = b64encode(f"root:guess {number}".encode()).decode()
        served.client().get("/+api", fields={"X-Devpi-Auth": f"{pair[:4]}-{pair[4:]}"})
        settle(served)
    assert len(served.running.parts.flow.guessing._seen["127.0.0.1"]) == LIMIT
    served.client().get("/+api", fields={"Authorization": "Bearer abc"})


def test_who_leaves_before_the_answer_has_guessed(gate: Served, private: servers.Index) -> None:
    """Whether the password was right, a file that is there or not would tell."""
    private.child.process.send_signal(
        signal.SIGSTOP
    )  # so that nobody is answered before they leave
    try:
        for number in range(LIMIT):
            token = b64encode(f"alice:guess {number}".encode())
            form = b":action=verify"
            head = b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n" % token
            head += b"Content-Type: application/x-www-form-urlencoded\r\n"
            with socket.create_connection(("127.0.0.1", gate.port)) as sock:
                sock.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(form), form))
                time.sleep(0.05)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        private.child.process.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    settle(gate)
    assert held_back(read(gate, "alice", "one more"))


# -- what the index sees -----------------------------------------------------------------------


def judge(seen: Seen) -> bytes:
    right = b"Basic " + b64encode(b"ab:right") in seen.head
    status = b"200 OK" if right else b"401 No"
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(judge) as recorder:
        yield recorder


def test_what_is_held_back_never_reaches_the_index(serve: Serve, upstream: Recorder) -> None:
    served = serve("pypiserver", upstream.url)
    for number in range(LIMIT + 20):
        read(served, "alice", f"guess {number}")
    assert len(upstream.seen) == LIMIT


def test_the_index_is_asked_once_about_what_comes_often(serve: Serve, upstream: Recorder) -> None:
    served = serve("pypiserver", upstream.url)
    for _ in range(2):
        assert read(served, "ab", "right").status == 200
        settle(served)
    assert [one.line.split()[0] for one in upstream.seen] == [b"GET", b"GET", b"POST", b"POST"]
    del upstream.seen[:]
    for _ in range(20):
        assert read(served, "ab", "right").status == 200
    assert len(upstream.seen) == 20


def test_a_token_of_the_index_counts_though_it_goes_on_under_another_name(serve: Serve) -> None:
    no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with Recorder(lambda _: no) as index:
        served = serve("devpi", index.url)
        slugs = []
        for number in range(LIMIT + 2):
            made = pypitoken.Token.create("x", "alice-0a1b2c3d", f"{number}", prefix="devpi").dump()
            slugs.append(read(served, "__token__", made, "/alice/dev/+simple/hello/").slug)
        assert basic("alice", made) not in index.seen[-1].all("authorization")
    assert slugs[0] != "throttled"
    assert slugs[-1] == "throttled"

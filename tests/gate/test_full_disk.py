"""A disk that fills up under a running gateway and its database, and has room again."""

from __future__ import annotations

import json
import resource
import time

from gateway.cli.demo.indexes import Package
from tests.conftest import PYPISERVER_USERS, StartGateway
from tests.e2e.test_listeners import upload_body
from tests.support.gateways import Gateway
from tests.support.http import Answer
from tests.support.pages import form, log_in, send
from tests.support.servers import Index
from tests.support.waiting import PATIENCE

PASSWORD = PYPISERVER_USERS["alice"]
REMOVAL = {":action": "remove_pkg", "name": "nothing", "version": "1"}
FIRST_PAGE = 4096  # nothing that SQLite writes fits into so little; the log does


def leave_room(gateway: Gateway, size: int) -> None:
    """How large a file may grow by the gateway's own writing, from now on."""
    resource.prlimit(gateway.process_id, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def remove(gateway: Gateway, code: str) -> Answer:
    return gateway.client().post("/", auth=("alice", f"{PASSWORD},{code}"), form=REMOVAL)


def upload(gateway: Gateway, name: str) -> int:
    body, boundary = upload_body(Package(name, "1.0"))
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    told = gateway.client().post("/", auth=("alice", PASSWORD), body=body, fields=kind)
    return told.status


def test_a_full_disk_closes_what_is_guarded_and_loses_nothing(
    start_gateway: StartGateway, pypiserver: Index
) -> None:
    gateway = start_gateway(pypiserver)
    phone = gateway.enrol("alice")
    browser = log_in(gateway, "alice", PASSWORD, phone)
    code = phone.code()

    leave_room(gateway, FIRST_PAGE)
    told = remove(gateway, code)
    assert (told.status, told.slug) == (503, "store_unavailable")
    stranger = gateway.client()
    page = stranger.browse("GET", "/+auth/login")
    given = form(page, "/+auth/login") | {"user": "alice", "password": PASSWORD}
    fields = {"Origin": gateway.url, "Host": gateway.url.partition("//")[2]}
    told = stranger.browse("POST", "/+auth/login", form=given, fields=fields)
    assert told.status == 503 and "ig-pending" not in stranger.cookies
    logged_out = send(gateway, browser, browser.browse("GET", "/+auth/"), "/+auth/logout")
    assert logged_out.status == 503, "an end that cannot be written is not acknowledged"
    assert "hello" in gateway.client().get("/simple/").text
    assert gateway.client().get("/simple/hello/").status == 200
    assert upload(gateway, "while_full") == 200
    assert gateway.client().get("/simple/while-full/").status == 200

    leave_room(gateway, resource.RLIM_INFINITY)
    end = time.monotonic() + PATIENCE
    while (told := remove(gateway, code)).status == 503:
        assert time.monotonic() < end, gateway.logged()
        time.sleep(0.1)
    assert told.status == 404, "pypiserver's own answer: the code was not used up"
    assert browser.browse("GET", "/+auth/").status == 200, "the session is there"
    assert remove(gateway, code).slug == "otp_invalid", "and now it is used up"
    assert gateway.command("audit", "verify").returncode == 0
    events = [
        json.loads(line)["event"] for line in gateway.command("audit", "export").stdout.splitlines()
    ]
    assert events.count("guarded_act") == 1, events
    assert "Traceback" not in gateway.logged() and PASSWORD not in gateway.logged()

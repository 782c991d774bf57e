"""What those who watch a gateway see: every number moves when its thing happens, and the
administrators are told of an emergency stop and of files that cannot be used, by mail and webhook.

One gateway with two workers, TLS of its own, a Redis, a mail server and a webhook.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from gateway.app.metrics import COUNTERS, HISTOGRAMS, OF_ALL, OF_FILES, OF_WORKERS
from gateway.core.urls import LOGIN, VERIFY
from tests.conftest import PYPISERVER_USERS
from tests.contracts.conftest import Server
from tests.support import uploads
from tests.support.certificates import certificate_for_localhost
from tests.support.gateways import Gateway, configure, in_process
from tests.support.http import Answer, Client
from tests.support.mail import MailServer, content, make_certificate
from tests.support.pages import form
from tests.support.ports import free_port
from tests.support.servers import Index
from tests.support.waiting import eventually

PEOPLE = PYPISERVER_USERS
REMOVAL = {":action": "remove_pkg", "name": "nothing-of-that-name", "version": "1.0"}
Numbers = dict[str, dict[tuple[str, ...], float]]


@dataclass
class Watched:
    """All that runs, and what was told to whom."""

    gateway: Gateway
    metrics: int
    certificate: Path
    key: Path
    store: Server
    mail: MailServer
    posted: list[dict[str, str]] = field(default_factory=list)

    def client(self, trust: Path | None = None) -> Client:
        return Client(self.gateway.port, trust=trust or self.certificate)

    def numbers(self) -> Numbers:
        with closing(http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=60)) as line:
            line.request("GET", "/metrics")
            text = line.getresponse().read().decode()
        found: Numbers = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                name = sample.name.removeprefix("index_gateway_")
                found.setdefault(name, {})[labels] = sample.value
        return found

    def number(self, name: str, *labels: str) -> float:
        return self.numbers().get(name, {}).get(labels, 0.0)

    def removal(self, user: str, code: str) -> Answer:
        secret = f"{PEOPLE[user]},{code}" if code else PEOPLE[user]
        return self.client().post("/", auth=(user, secret), form=REMOVAL)

    def told(self, notice: str, words: str) -> bool:
        """Whether alice was told of it, both ways."""
        by_hook = [one for one in self.posted if one["notice"] == notice]
        by_mail = [one for one in self.mail.got if words in content(one)]
        assert all(one["user"] == "alice" for one in by_hook)
        return bool(by_hook) and bool(by_mail)


@contextmanager
def receiver(posted: list[dict[str, str]]) -> Iterator[str]:
    """A webhook's other end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Watched]:
    place = tmp_path_factory.mktemp("watched")
    mail = MailServer(place / "mail", make_certificate(place))
    (place / "tls").mkdir()
    certificate, key = certificate_for_localhost(place / "tls")
    store = Server(place / "redis", "--save", "", "--appendonly", "yes")
    store.start()
    (place / "hook").write_text("shared-secret")
    metrics, posted = free_port(), list[dict[str, str]]()
    smtp = {"host": "localhost", "port": mail.port, "from": "gateway@example.org"}
    with receiver(posted) as hook:
        gateway = configure(
            place / "gateway",
            "pypiserver",
            pypiserver.url,
            workers=2,
            store=f"redis://127.0.0.1:{store.port}/0",
            metrics=f"127.0.0.1:{metrics}",
            tls={"certificate": str(certificate), "key": str(key)},
            admins=["alice"],
            notices={
                "smtp": smtp,
                "webhook": {"url": hook, "key": f"file:{place / 'hook'}"},
                "addresses": {"alice": "alice@example.org"},
            },
        )
        over_tls_and_counting_uploads(gateway)
        gateway.ready_path = ""
        gateway.start({"SSL_CERT_FILE": str(mail.certificate.pem)})
        found = Watched(gateway, metrics, certificate, key, store, mail, posted)
        try:
            assert eventually(lambda: up(found)), gateway.logged()
            yield found
        finally:
            gateway.stop()
            mail.stop()
            store.kill()


def over_tls_and_counting_uploads(gateway: Gateway) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    data = yaml.load(gateway.config)
    data["public_url"] = f"https://localhost:{gateway.port}"
    (rule,) = (one for one in data["rules"] if one["name"] == "uploads")
    rule.update(policy="token", enforce=False)
    yaml.dump(data, gateway.config)


def up(watched: Watched) -> bool:
    try:
        return watched.client().get("/+auth/health").status == 200
    except OSError:
        return False


def log_in(watched: Watched, user: str, browser: Client, code: str = "") -> str:
    """Log in at the page, and have the browser remembered; where that led."""
    origin = {"Origin": f"https://localhost:{watched.gateway.port}"}

    def fill_in(address: str, **values: str) -> str:
        page = browser.browse("GET", address)
        told = browser.browse("POST", address, form=form(page, address) | values, fields=origin)
        assert told.status == 303, told.text
        return told.first("location")

    place = fill_in(LOGIN, user=user, password=PEOPLE[user])
    return fill_in(VERIFY, code=code, remember="yes") if code else place


HALF_AN_UPLOAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile'
)
DONE = {
    "requests by rule and verdict": ("requests_total", "downloads", "forwarded"),
    "a refusal by slug": ("refusals_total", "second_factor_required"),
    "a throttle": ("refusals_total", "throttled"),
    "an event": ("events_total", "upload"),
    "a code that passed": ("factors_total", "totp", "passed"),
    "a code that was wrong": ("factors_total", "totp", "refused"),
    "a code that was held back": ("factors_total", "totp", "throttled"),
    "a recovery code": ("factors_total", "recovery", "passed"),
    "a remembered browser": ("factors_total", "device", "passed"),
    "an upload by password": ("uploads_by_password_total",),
    "time of the gateway's own": ("gateway_seconds_count",),
    "time of the index": ("upstream_seconds_count",),
    "reads of the store": ("store_seconds_count", "read"),
    "writes of the store": ("store_seconds_count", "write"),
    "connections": ("connections",),
    "busy connections": ("connections_busy",),
    "connections to the index": ("upstream_connections",),
    "the pool": ("upstream_connections_idle",),
    "the trail": ("audit_trail_entries",),
    "the queue of notices": ("notices_waiting",),
}


def test_every_number_moves_when_its_thing_happens(watched: Watched) -> None:
    before = watched.numbers()
    alice, bob = watched.gateway.enrol("alice"), watched.gateway.enrol("bob")
    assert watched.removal("alice", "").status == 401
    assert watched.removal("alice", alice.wrong()).status == 401
    assert watched.removal("alice", alice.code()).status == 404
    assert watched.removal("alice", alice.recovery[0]).status == 404
    statuses = [watched.removal("bob", bob.wrong()).status for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    browser = watched.client()
    assert not log_in(watched, "alice", browser, alice.code()).endswith(VERIFY)
    device = {name: value for name, value in browser.cookies.items() if "device" in name}
    again = watched.client()
    again.cookies = device
    assert not log_in(watched, "alice", again).endswith(VERIFY)
    fields = {":action": "file_upload", "name": "watched", "version": "1.0"}
    told = watched.client().post(
        "/",
        auth=("alice", PEOPLE["alice"]),
        body=uploads.form(fields, ("watched-1.0.tar.gz", b"content")),
        fields={"Content-Type": uploads.CONTENT_TYPE},
    )
    assert told.status == 200, told.text
    context = ssl.create_default_context(cafile=str(watched.certificate))
    with (
        socket.create_connection(("localhost", watched.gateway.port)) as line,
        context.wrap_socket(line, server_hostname="localhost") as busy,
    ):
        busy.sendall(HALF_AN_UPLOAD)
        still: list[str] = []

        def moved() -> bool:
            assert watched.client().get("/simple/").status == 200
            now = watched.numbers()
            still[:] = [
                what
                for what, (name, *labels) in DONE.items()
                if now.get(name, {}).get(tuple(labels), 0)
                <= before.get(name, {}).get(tuple(labels), 0)
                and not (name.startswith("upstream_connections") and now[name][()])
            ]
            return not still

        assert eventually(moved), still
    found = watched.numbers()
    assert found["workers"] == {(): 2}
    assert {f"{one}_total" for one in COUNTERS} <= set(found)
    assert {f"{one}_seconds_count" for one in HISTOGRAMS} <= set(found)
    assert {*OF_WORKERS, *OF_ALL, *OF_FILES, "build_info"} <= set(found)
    watched.mail.start()


def test_a_store_that_is_away_is_counted_and_told(watched: Watched) -> None:
    before = watched.number("store_failures_total")
    assert watched.number("store_up") == 1
    watched.store.kill()
    assert watched.removal("alice", "123456").status == 503
    assert eventually(lambda: watched.number("store_failures_total") > before)
    assert eventually(lambda: watched.number("store_up") == 0)
    watched.store.start()
    assert eventually(lambda: watched.number("store_up") == 1)


def test_administrators_are_told_of_a_stop_by_mail_and_webhook(watched: Watched) -> None:
    watched.mail.start()
    config = str(watched.gateway.config)
    in_process("freeze", "-c", config, "project:left-pad", "--reason", "a key leaked")
    assert eventually(lambda: watched.told("frozen", "An administrator stopped part of the index"))
    (mail,) = [one for one in watched.mail.got if "stopped part" in content(one)]
    assert mail["X-Recipients"] == "alice@example.org"
    assert "project:left-pad until" in content(mail) and "a key leaked" in content(mail)
    in_process("unfreeze", "-c", config, "project:left-pad")
    assert eventually(lambda: watched.told("unfrozen", "let go on what was stopped at the index"))


def served(watched: Watched, certificate: Path) -> set[bool]:
    """Of some connections, which either worker may take: whether that certificate was shown."""

    def shown() -> bool:
        try:
            return watched.client(certificate).get("/+auth/health").status == 200
        except ssl.SSLCertVerificationError:
            return False

    return {shown() for _ in range(8)}


def ends(certificate: Path) -> float:
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    return read.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("way", ["the command", "SIGHUP"])
def test_a_certificate_is_read_again_and_a_broken_one_is_not_used(
    watched: Watched, tmp_path: Path, way: str
) -> None:
    gateway = watched.gateway

    def reload() -> str:
        """What it says: to who asked, or in the log."""
        if way == "SIGHUP":
            said = len(gateway.logged())
            os.kill(gateway.process_id, signal.SIGHUP)
            words = ("is in use", "is not used")
            assert eventually(lambda: any(one in gateway.logged()[said:] for one in words))
            return gateway.logged()[said:]
        done = gateway.command("reload", check=False)
        return done.stderr if done.returncode else "is in use"

    watched.mail.start()
    before = {one: watched.number("reloads_total", one, "configuration") for one in OUTCOMES}
    loaded = watched.number("config_loaded_timestamp_seconds")
    new, new_key = certificate_for_localhost(tmp_path, 3 if way == "SIGHUP" else 2)
    watched.certificate.write_bytes(new.read_bytes())
    watched.key.write_bytes(new_key.read_bytes())
    assert "is in use" in reload()
    assert eventually(lambda: served(watched, new) == {True})
    assert eventually(
        lambda: watched.number("reloads_total", "done", "configuration") == before["done"] + 1
    )
    assert eventually(lambda: watched.number("certificate_expires_timestamp_seconds") == ends(new))
    assert eventually(lambda: watched.number("config_loaded_timestamp_seconds") > loaded)
    watched.posted.clear()
    watched.mail.forget()
    watched.certificate.write_bytes(b"no certificate")
    said = reload()
    assert "certificate.pem" in said and "is in use" not in said
    assert served(watched, new) == {True}, "the one before goes on"
    assert eventually(
        lambda: watched.number("reloads_total", "refused", "configuration") > before["refused"]
    )
    assert eventually(lambda: watched.number("config_reload_failed") == 1)
    assert watched.number("certificate_expires_timestamp_seconds") == ends(new)
    assert eventually(lambda: watched.told("reload_refused", "the one before stays (ca"))
    watched.certificate.write_bytes(new.read_bytes())
    assert "is in use" in reload()
    assert eventually(lambda: watched.number("config_reload_failed") == 0)


OUTCOMES = ("done", "refused")

"""A gateway with two workers reads its file again: connections go on, the new rules hold, a file
that cannot be used changes nothing, and the numbers say so."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli.demo.indexes import Package, write
from tests.conftest import PYPISERVER_USERS
from tests.support.clients import pip, twine
from tests.support.gateways import Gateway, running
from tests.support.ports import free_port
from tests.support.servers import Index
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def metrics() -> int:
    return free_port()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, pypiserver: Index, metrics: int
) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("reload")
    at = f"127.0.0.1:{metrics}"
    with running(place, "pypiserver", pypiserver.url, workers=2, metrics=at) as found:
        yield found


def scraped(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus would read: values by name and label values."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.read().decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix("index_gateway_"), {})[labels] = sample.value
    connection.close()
    return found


@contextmanager
def changed(gateway: Gateway, old: str, new: str) -> Iterator[None]:
    """Another file, until the end; then the one before is in use again."""
    before = gateway.config.read_text()
    assert old in before
    gateway.config.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        gateway.config.write_text(before)
        gateway.command("reload")


class Lines:
    """Connections that ask again and again, each on its own and never on another."""

    def __init__(self, port: int, count: int) -> None:
        self.lines = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(count)
        ]
        for line in self.lines:
            line.connect()
            line.auto_open = 0

    def ask(self, target: str) -> set[int]:
        """The statuses of one request on each. Fails where a connection was ended."""
        found = set()
        for line in self.lines:
            line.request("GET", target)
            answer = line.getresponse()
            answer.read()
            found.add(answer.status)
        return found

    def close(self) -> None:
        for line in self.lines:
            line.close()


def test_the_numbers_of_all_workers_are_added_up(gateway: Gateway, metrics: int) -> None:
    before = scraped(metrics).get("requests_total", {}).get(("downloads", "forwarded"), 0)
    for _ in range(20):
        lines = Lines(gateway.port, 2)
        assert lines.ask("/simple/") == {200}
        lines.close()
    client = gateway.client()
    assert client.call("DELETE", "/hello").status == 401
    assert client.call("GET", "//").status == 400
    denied = ("second_factor_required",)
    assert eventually(
        lambda: (
            scraped(metrics)["requests_total"].get(("downloads", "forwarded")) == before + 40
            and denied in scraped(metrics)["refusals_total"]
        )
    )
    found = scraped(metrics)
    assert found["workers"] == {(): 2}
    assert found["requests_total"]["(default)", "refused"] == 1
    assert found["upstream_seconds_count"][()] >= 40
    assert found["gateway_seconds_count"][()] >= 42
    assert found["store_up"] == {(): 1}
    assert len(found["reloads_total"]) == 4  # those that never happened are there, too
    assert found["config_reload_failed"] == {(): 0}


def test_nobody_is_named_in_the_numbers(gateway: Gateway, metrics: int) -> None:
    user, secret = "somebody-unusual", "a-password-of-theirs"
    gateway.client().call("DELETE", f"/project-of-{user}", auth=(user, secret))
    connection = http.client.HTTPConnection("127.0.0.1", metrics, timeout=60)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    said = connection.getresponse().read().decode()
    assert said.endswith("# EOF\n")
    assert not re.search(f"{user}|{secret}|127.0.0.1|localhost", said)
    connection.request("GET", "/")
    assert connection.getresponse().status == 404


def test_connections_go_on_under_the_new_rules(gateway: Gateway, metrics: int) -> None:
    lines = Lines(gateway.port, 6)
    assert lines.ask("/simple/") == {200}
    text = gateway.config.read_text()
    rule = "rules:\n- {name: closed, match: {path: /simple/}, policy: deny}\n"
    new = text.partition("\ntests:")[0].replace("rules:\n", rule, 1)
    new += f"\nmetrics: 127.0.0.1:{metrics}\n"
    with changed(gateway, text, new):  # its tests stand against it
        gateway.command("reload")
        assert lines.ask("/simple/") == {403}
    assert lines.ask("/simple/") == {200}
    lines.close()
    assert eventually(lambda: ("closed", "refused") in scraped(metrics)["requests_total"])


def test_a_file_that_cannot_be_used_changes_nothing(gateway: Gateway, metrics: int) -> None:
    said = "policy: 'paas'"
    lines = Lines(gateway.port, 2)
    assert lines.ask("/simple/") == {200}
    refused = ("refused", "configuration")
    before = scraped(metrics).get("reloads_total", {}).get(refused, 0)
    with changed(gateway, "\n  policy: pass\n", "\n  policy: paas\n"):
        done = gateway.command("reload", check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert "goes on with what it had" in done.stderr
        assert said in gateway.logged()
        assert lines.ask("/simple/") == {200}
        assert eventually(lambda: scraped(metrics)["reloads_total"].get(refused) == before + 1)
        assert scraped(metrics)["config_reload_failed"] == {(): 1}
    lines.close()
    assert eventually(lambda: scraped(metrics)["config_reload_failed"] == {(): 0})


def test_a_worker_that_dies_comes_back_with_the_file_in_use(gateway: Gateway, metrics: int) -> None:
    def forwarded() -> float:
        return scraped(metrics)["requests_total"].get(("downloads", "forwarded"), 0)

    gateway.client().call("GET", "/simple/")
    assert eventually(lambda: forwarded() > 0)
    before = forwarded()
    children = Path(f"/proc/{gateway.process_id}/task/{gateway.process_id}/children")
    workers = children.read_text().split()
    os.kill(int(workers[0]), signal.SIGKILL)
    assert eventually(lambda: len({*children.read_text().split()} - {workers[0]}) == 2)
    assert eventually(lambda: scraped(metrics)["workers"] == {(): 2})
    assert forwarded() >= before  # what it had noted stays counted


def clients_during(
    gateway: Gateway, place: Path, reloads: int, uploads: int
) -> tuple[list[str], int]:
    """Real clients while the file is read again and again: what failed, and how much went well."""
    failed: list[str] = []
    done: list[str] = []
    over = threading.Event()

    def download() -> None:
        number = 0
        while not over.is_set() or number == 0:
            number += 1
            argv = [
                "download",
                "--no-deps",
                "--no-cache-dir",
                "-i",
                f"{gateway.url}/simple/",
                "hello",
            ]
            got = pip(place / "pip", *argv, "-d", str(place / f"got{number}"))
            (done if got.code == 0 else failed).append(got.said)

    def upload() -> None:
        number = 0
        user, password = next(iter(PYPISERVER_USERS.items()))
        while not over.is_set() or number == 0:
            number += 1
            [file, *_] = write(place / f"built{number}", Package("reloaded", f"{number}.0"))
            got = twine(place / "twine", gateway.url, user, password, file)
            (done if got.code == 0 else failed).append(got.said)

    threads = [threading.Thread(target=work) for work in (download, *[upload] * uploads)]
    for thread in threads:
        thread.start()
    for _ in range(reloads):
        gateway.command("reload")
    over.set()
    for thread in threads:
        thread.join()
    return failed, len(done)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pip_and_twine_notice_nothing(gateway: Gateway, tmp_path: Path) -> None:
    failed, done = clients_during(gateway, tmp_path, reloads=20, uploads=1)
    assert not failed
    assert done >= 2

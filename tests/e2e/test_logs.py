"""One gateway of two workers that writes JSON, pip and twine before it and pypiserver under
gunicorn behind it: every request stands once in the access log, by the name that the index got."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.indexes import Package, write
from gateway.cli.demo.processes import Children
from tests.support.clients import pip, twine
from tests.support.gateways import Gateway, running
from tests.support.http import basic
from tests.support.servers import Index
from tests.support.waiting import eventually
from tests.support.wsgi_servers import start_pypiserver_on

PASSWORD = "a-pass-word-of-theirs"
FORMAT = "%({x-request-id}i)s %(m)s %(U)s %(s)s"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, children: Children) -> Index:
    place = tmp_path_factory.mktemp("named")
    arguments = f"--access-logfile {place}/access.log --access-logformat '{FORMAT}'"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GUNICORN_CMD_ARGS", arguments)
        found = start_pypiserver_on("gunicorn", children, place)
    write(place / "packages", Package("hello", "1.0"))
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, index: Index) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("logs")
    file = place / "access.log"
    log = {"format": "json", "access": "json", "access_file": str(file)}
    with running(place, "pypiserver", index.url, workers=2, log=log) as found:
        yield found


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def forwarded(gateway: Gateway) -> Counter[tuple[str, str, str, str]]:
    """What went on to the index, as the gateway's log has it."""
    return Counter(
        (one["request"], one["method"], one["path"], str(one["status"]))
        for one in lines(gateway.place / "access.log")
        if "upstream_seconds" in one
    )


def received(index: Index) -> Counter[tuple[str, str, str, str]]:
    """The same as the index's own log has it."""
    rows = (index.place / "access.log").read_text().splitlines()
    found = (row.split(" ") for row in rows if "/health" not in row)
    return Counter((id, method, path, status) for id, method, path, status in found)


def test_pip_and_twine_by_the_names_that_the_index_got(
    gateway: Gateway, index: Index, tmp_path: Path
) -> None:
    simple = f"http://ada:{PASSWORD}@localhost:{gateway.port}/simple/"
    done = pip(tmp_path / "pip", "download", "--no-deps", "--index-url", simple, "hello")
    assert done.code == 0, done.said
    [wheel, *_] = write(tmp_path / "built", Package("named", "1.0"))
    done = twine(tmp_path / "twine", gateway.url + "/", "ada", PASSWORD, wheel)
    assert done.code == 0, done.said
    assert gateway.client().get(f"/simple/hello/?token={PASSWORD}").status == 200
    refused = gateway.client().call("DELETE", "/hello", fields={"Authorization": basic("a", "b")})
    assert refused.status >= 400
    file = gateway.place / "access.log"

    def written() -> bool:
        methods = Counter(one["method"] for one in lines(file) if "/+auth" not in one["path"])
        all_of_them = methods["GET"] >= 3 and methods["POST"] >= 1 and methods["DELETE"] == 1
        return all_of_them and not forwarded(gateway) - received(index)

    assert eventually(written)
    told = lines(file)
    ids = Counter(one["request"] for one in told)
    asked = received(index) - forwarded(gateway)  # by the gateway itself, about pip's password
    assert {(id in ids, *what[:2]) for id, *what in asked} <= {(True, "POST", "/")}
    assert max(ids.values()) == 1 and all(len(id) == 32 for id in ids)
    [deletion] = [one for one in told if one["method"] == "DELETE"]
    assert deletion["request"] == refused.json["request"] == refused.first("x-request-id")
    assert (deletion["slug"], deletion["status"]) == (refused.slug, refused.status)
    [upload] = [one for one in told if one["method"] == "POST" and one["status"] == 200]
    assert upload["bytes_in"] > wheel.stat().st_size and upload["rule"] == "uploads"
    assert upload["user_agent"].startswith("twine/")
    found = gateway.command("audit", "find", "--request", upload["request"], "--json").stdout
    assert [json.loads(line)["event"] for line in found.splitlines()] == ["upload"]
    for file in gateway.place.glob("*.log"):
        assert PASSWORD not in file.read_text(), "and never as Basic"
    assert basic("ada", PASSWORD).split()[1] not in gateway.logged()


def test_a_file_that_was_moved_is_opened_anew(gateway: Gateway) -> None:
    file = gateway.place / "access.log"
    file.rename(file.with_suffix(".1"))
    os.kill(gateway.process_id, signal.SIGHUP)
    for _ in range(8):
        assert gateway.client().get("/simple/").status == 200
    assert eventually(lambda: file.exists() and len(lines(file)) == 8)
    assert eventually(lambda: "was read again and is in use" in gateway.logged())


def test_messages_are_json_too(gateway: Gateway) -> None:
    gateway.command("reload")
    said = [line for line in gateway.logged().splitlines() if "was read again" in line]
    told = json.loads(said[-1])
    assert (told["log"], told["level"]) == ("gateway.serving", "warning")


def test_other_settings_hold_after_a_reload(gateway: Gateway) -> None:
    before = gateway.config.read_text()
    file = gateway.place / "access.log"
    try:
        gateway.config.write_text(before.replace("access: json", "access: combined"))
        gateway.command("reload")
        assert gateway.client().get("/simple/").status == 200
        assert eventually(lambda: '"GET /simple/ HTTP/1.1" 200' in file.read_text())
        broken = before.replace(str(file), str(gateway.place / "none" / "access.log"))
        assert broken != before
        gateway.config.write_text(broken)
        done = gateway.command("reload", check=False)
        assert done.returncode == 1 and "log.access_file" in done.stderr
    finally:
        gateway.config.write_text(before)
        gateway.command("reload")

"""Reports of leaked tokens at a running gateway: each answer, and a scanner as the docs have it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.core.audit.events import Event
from gateway.gate.leak_api import MAX_REPORT
from gateway.settings import loads
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served
from tests.gate.test_tokens import entries, make, upload
from tests.support import servers
from tests.support.http import Answer
from tests.support.reports import PATH, URL, Scanner, private_pem_of, record

DOCS = Path(__file__).parents[2] / "docs" / "tokens.md"
ALICE = PYPISERVER_USERS["alice"]


def reporting(*scanners: Scanner) -> dict[str, Any]:
    return {
        "tokens__reporters": [
            {"name": "our scanner", "keys": {one.id: one.pem for one in scanners}}
        ]
    }


def send(served: Served, body: bytes, fields: dict[str, str]) -> Answer:
    return served.client().call("POST", PATH, body=body, fields=fields)


def test_each_answer(serve: Serve, pypiserver: servers.Index) -> None:
    ours, theirs = Scanner("ours"), Scanner("theirs")
    served = serve("pypiserver", pypiserver.url, **reporting(ours))
    live = make(served, "alice", ALICE)
    body, fields = ours.report(record(live.text), record("pypi-nothing"), {"odd": 1})
    key, signature = "GitHub-Public-Key-Identifier", "GitHub-Public-Key-Signature"
    large = b"[" + b" " * MAX_REPORT + b"]"
    refused: dict[str, tuple[bytes, dict[str, str], int]] = {
        "no fields": (body, {}, 404),
        "no signature": (body, {key: fields[key]}, 404),
        "no key": (body, {signature: fields[signature]}, 404),
        "signed by another": (body, theirs.fields(body) | {key: "ours"}, 400),
        "an unknown key": (body, theirs.fields(body), 400),
        "a changed body": (body + b"\n", fields, 400),
        "no list": (b"{}", ours.fields(b"{}"), 400),
        "too large": (large, ours.fields(large), 413),
        "compressed": (body, fields | {"Content-Encoding": "gzip"}, 400),
    }
    said = {}
    for name, (sent, given, status) in refused.items():
        told = send(served, sent, given)
        assert told.status == status, (name, told.text)
        assert live.text not in told.text, name
        said[name] = told.unnumbered
    assert said["signed by another"] == said["an unknown key"] == said["a changed body"]
    assert upload(served, "/", live.text).status == 200
    assert served.client().get(PATH, fields=fields).status == 405
    assert served.client().get(PATH).status == 404
    answers = [send(served, *ours.report(record(live.text))) for _ in range(2)]
    answers += [send(served, *ours.report(record("pypi-nothing"))), send(served, *ours.report())]
    assert {(one.status, one.body) for one in answers} == {(204, b"")}
    assert upload(served, "/", live.text).slug == "token_revoked"
    [entry] = entries(served, Event.TOKEN_LEAKED)
    assert (entry["user"], entry["factor"]) == ("alice", f"token {live.token.name}")
    assert URL in entry["detail"] and "our scanner" in entry["detail"]
    assert len(entries(served, Event.LEAK_REPORT_REFUSED)) == 3
    (pypiserver.place / "packages" / "foo-1.0.tar.gz").unlink()


def test_where_nobody_may_report_nothing_is_there(simple: Served) -> None:
    body, fields = Scanner().report(record("pypi-nothing"))
    told, unsigned = send(simple, body, fields), send(simple, body, {})
    assert (told.status, told.slug) == (404, "not_here")
    assert unsigned.unnumbered == told.unnumbered
    assert simple.client().get(PATH).status == 404


def test_reports_that_come_at_once_tell_once(serve: Serve, pypiserver: servers.Index) -> None:
    ours = Scanner()
    served = serve("pypiserver", pypiserver.url, **reporting(ours))
    live = make(served, "alice", ALICE)
    body, fields = ours.report(record(live.text))
    told: list[int] = []
    crowd = [
        threading.Thread(target=lambda: told.append(send(served, body, fields).status))
        for _ in range(8)
    ]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert told == [204] * 8
    assert len(entries(served, Event.TOKEN_LEAKED)) == 1


def test_a_scanner_by_the_documentation(
    serve: Serve, pypiserver: servers.Index, tmp_path: Path
) -> None:
    """Its lines, with the token and the address of this gateway in them."""
    text = DOCS.read_text().partition("## When one leaks")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL))
    [known] = loads(blocks["yaml"].encode(), base=tmp_path).tokens.reporters
    [id] = known.keys
    if shutil.which("openssl"):
        made = subprocess.run(blocks["sh"], shell=True, cwd=tmp_path, capture_output=True)
        pem = made.stdout.decode()
    else:
        scanner = Scanner()
        pem = scanner.pem
        (tmp_path / "scanner.key").write_text(private_pem_of(scanner.key))
    reporter = {"name": known.name, "keys": {id: pem}}
    served = serve("pypiserver", pypiserver.url, tokens__reporters=[reporter])
    live = make(served, "alice", ALICE)
    lines = blocks["python"].replace("https://packages.example.org", served.url)
    assert "pypi-…" in lines
    (tmp_path / "report.py").write_text(lines.replace("pypi-…", live.text))
    done = subprocess.run(
        [sys.executable, "report.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "204\n", done.stderr
    assert upload(served, "/", live.text).slug == "token_revoked"
    [entry] = entries(served, Event.TOKEN_LEAKED)
    assert "https://git.example.org/shop/blob/1f3e/deploy.sh" in entry["detail"]


@pytest.mark.parametrize("kind", ["inline", "file"])
def test_a_key_stands_in_the_file_or_beside_it(
    kind: str, serve: Serve, pypiserver: servers.Index, tmp_path: Path
) -> None:
    ours = Scanner()
    (tmp_path / "scanner.pem").write_text(ours.pem)
    key = ours.pem if kind == "inline" else f"file:{tmp_path / 'scanner.pem'}"
    reporter = {"name": "our scanner", "keys": {ours.id: key}}
    served = serve("pypiserver", pypiserver.url, tokens__reporters=[reporter])
    assert send(served, *ours.report()).status == 204

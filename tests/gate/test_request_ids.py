"""The name of a request stands in its refusal, in its entries of the trail, and at the index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.audit.entry import Entry
from gateway.core.audit.finding import Wanted, newest
from tests.gate.recorder import OK, Recorder, Seen
from tests.gate.served import Served
from tests.support.http import basic
from tests.support.waiting import PATIENCE

NAMED = {"X-Request-ID": "named-by-the-proxy.1"}
FORM = (
    b'--b\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n--b\r\n'
    b'Content-Disposition: form-data; name="content"; filename="a-1.0.tar.gz"\r\n\r\nx\r\n--b--\r\n'
)
REMOVAL = {":action": "remove_pkg", "name": "a", "version": "1.0"}


@pytest.fixture(scope="module")
def index() -> Iterator[Recorder]:
    def answer(seen: Seen) -> bytes:
        return (
            b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
            if b"verify" in seen.body and (seen.all("authorization") != [basic("ada", "right")])
            else OK
        )

    with Recorder(answer) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def served(index: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place: Path = tmp_path_factory.mktemp("named")
    served = Served(place, "pypiserver", index.url, {"trusted_proxies": ["127.0.0.1/32"]}).start()
    served.enrol("ada")
    yield served
    served.stop()


def entries(served: Served, request: str) -> list[Entry]:
    trail = served.running.parts.audit
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        wanted = Wanted(request=request)
        found = served.run(newest(trail, wanted, now=served.clock())).entries
        if found:
            return found
        time.sleep(0.02)
    return []


def test_a_refusal_and_its_entry_and_the_question_have_it(served: Served, index: Recorder) -> None:
    before = len(index.seen)
    fields = {**NAMED, "Authorization": basic("ada", f"right,{served.wrong('ada')}")}
    answer = served.client().post("/", form=REMOVAL, fields=fields)
    assert answer.slug == "otp_invalid", answer
    assert answer.all("x-request-id") == [NAMED["X-Request-ID"]]
    assert answer.json["request"] == NAMED["X-Request-ID"]
    found = {(one.event, one.user) for one in entries(served, NAMED["X-Request-ID"])}
    assert ("factor_refused", "ada") in found
    asked = index.seen[before:]
    assert asked and all(one.all("x-request-id") == [NAMED["X-Request-ID"]] for one in asked)


def test_a_page_says_it(served: Served) -> None:
    page = served.client().browse("GET", "/+auth/nothing-here", fields={"X-Request-ID": "page-1"})
    assert page.all("x-request-id") == ["page-1"]
    refused = served.client().browse("POST", "/+auth/login", fields={"X-Request-ID": "page-2"})
    assert refused.status >= 400
    assert refused.all("x-request-id") == ["page-2"]
    assert "<code>page-2</code>" in refused.text


def test_what_is_no_id_is_on_no_page(served: Served) -> None:
    bad = {"X-Request-ID": '"><script>alert(1)</script>'}
    refused = served.client().browse("POST", "/+auth/login", fields=bad)
    assert "script>alert" not in refused.text
    [made] = refused.all("x-request-id")
    assert len(made) == 32 and f"<code>{made}</code>" in refused.text


def test_an_upload_has_it_at_the_index_and_in_the_trail(served: Served, index: Recorder) -> None:
    before = len(index.seen)
    fields = {
        "X-Request-ID": "upload-1",
        "Authorization": basic("ada", "right"),
        "Content-Type": "multipart/form-data; boundary=b",
    }
    assert served.client().post("/", body=FORM, fields=fields).status == 200
    [seen] = index.seen[before:]
    assert seen.all("x-request-id") == ["upload-1"]
    assert {one.event for one in entries(served, "upload-1")} == {"upload"}


def test_a_program_that_looks_at_the_trail_finds_nothing_else(served: Served) -> None:
    assert served.client().get("/simple/").status == 200
    trail = served.running.parts.audit
    found = served.run(newest(trail, Wanted(request="named"), now=served.clock())).entries
    assert found == [], "the whole name, not its beginning"

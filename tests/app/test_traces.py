"""Spans of a gateway's requests at a real OTLP collector: what they say, and what they do not."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.core.http.trace_context import Sampling
from tests.gate.recorder import OK, Recorder
from tests.gate.served import Served
from tests.support.http import basic
from tests.support.waiting import eventually

SECRET = "s3cr3t-pass-word"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CAME = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """Takes traces by HTTP, as protobuf."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.services: set[str] = set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(self.path, data)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, data: bytes) -> None:
        assert path == "/v1/traces"
        self.raw += data
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            for said in resource.resource.attributes:
                if said.key == "service.name":
                    self.services.add(said.value.string_value)
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def of(self, trace: str) -> dict[str, Span]:
        """The spans of one trace by their names, once its request's is there."""
        assert eventually(
            lambda: any(one.trace_id.hex() == trace and one.kind == 2 for one in self.spans)
        )
        return {one.name: one for one in self.spans if one.trace_id.hex() == trace}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def index() -> Iterator[Recorder]:
    with Recorder(lambda seen: OK) as found:
        yield found


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, index: Recorder
) -> Iterator[Served]:
    at = f"http://127.0.0.1:{collector.server.server_port}"
    changes = {"trusted_proxies": ["127.0.0.1/32"], "traces": {"endpoint": at, "sample": 0}}
    place: Path = tmp_path_factory.mktemp("traced")
    found = Served(place, "pypiserver", index.url, changes).start()
    yield found
    found.stop()


def attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_what_goes_on_continues_the_trace_of_the_proxy(
    served: Served, collector: Collector, index: Recorder
) -> None:
    before = len(index.seen)
    fields = {"traceparent": CAME, "tracestate": "vendor=1", "X-Request-ID": "one"}
    assert served.client().get(f"/simple/?token={SECRET}", fields=fields).status == 200
    spans = collector.of(TRACE)
    assert set(spans) == {"GET downloads", "gate", "upstream"}
    server = spans["GET downloads"]
    assert server.parent_span_id.hex() == PARENT
    assert attributes(server) == {
        "http.request.method": "GET",
        "url.path": "/simple/",
        "http.response.status_code": 200,
        "http.route": "downloads",
        "index_gateway.request": "one",
    }
    for name in ("gate", "upstream"):
        inner = spans[name]
        assert inner.parent_span_id == server.span_id
        assert server.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.end_time_unix_nano <= server.end_time_unix_nano
    [seen] = index.seen[before:]
    assert seen.all("traceparent") == [f"00-{TRACE}-{server.span_id.hex()}-01"]
    assert seen.all("tracestate") == ["vendor=1"]
    assert seen.all("x-request-id") == ["one"]
    assert collector.services == {"index-gateway"}


def test_a_refusal_tells_what_it_waited_for_and_no_secret(
    served: Served, collector: Collector, index: Recorder
) -> None:
    trace, before = "1" + TRACE[1:], len(index.seen)
    fields = {
        "traceparent": f"00-{trace}-{PARENT}-01",
        "Authorization": basic("ada-lovelace", f"{SECRET},123456"),
    }
    form = {":action": "remove_pkg", "name": "a", "version": "1"}
    answer = served.client().post("/", form=form, fields=fields)
    assert answer.status >= 400
    assert not answer.all("traceparent")
    spans = collector.of(trace)
    [server] = [one for one in spans.values() if one.kind == 2]
    assert {"store read", "upstream question"} <= set(spans)
    assert attributes(server)["index_gateway.slug"] == answer.slug
    assert {one.parent_span_id for one in spans.values() if one is not server} == {server.span_id}
    asked = index.seen[before:]
    assert asked and all(
        one.all("traceparent") == [f"00-{trace}-{server.span_id.hex()}-01"] for one in asked
    )
    for secret in (SECRET, "ada-lovelace", "127.0.0.1"):
        assert secret.encode() not in collector.raw


def test_what_is_not_sampled_goes_on_under_a_trace_of_its_own(
    served: Served, index: Recorder
) -> None:
    before = len(index.seen)
    assert served.client().get("/simple/").status == 200
    [seen] = index.seen[before:]
    [value] = seen.all("traceparent")
    assert value.startswith("00-") and value.endswith("-00")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (CAME, True),
        (CAME[:-2] + "00", True),
        ("01" + CAME[2:] + "-more", True),
        (CAME + "-more", False),
        ("ff" + CAME[2:], False),
        (CAME.upper(), False),
        (CAME.replace(TRACE, "0" * 32), False),
        (CAME.replace(PARENT, "0" * 16), False),
        ("", False),
        (f"{CAME}\r\ntraceparent: {CAME}", False),
        ("x" * 10_000, False),
    ],
    ids=lambda value: str(value)[:14],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_whose_trace_is_gone_on_with(value: str, kept: bool, trusted: bool) -> None:
    sampling = Sampling(lambda count: b"\x80" * count, 0.5)
    block = f"\nHost: x\r\nTraceParent: {value}\r".encode()
    trace = sampling.begin(block, trusted=trusted)
    assert (trace.trace == TRACE) is (kept and trusted)
    assert trace.parent == (PARENT if kept and trusted else "")
    assert trace.span == "80" * 8


@pytest.mark.parametrize(("share", "sampled"), [(0, False), (0.5, False), (0.51, True), (1, True)])
def test_so_large_a_share_is_sampled(share: float, sampled: bool) -> None:
    half = Sampling(lambda count: b"\x80" + b"\0" * 8 + b"\x80" + b"\0" * (count - 10), share)
    assert half.begin(b"", trusted=True).sampled is sampled


def test_a_gateway_without_traces_imports_nothing_of_it() -> None:
    code = "import gateway.app.wiring, gateway.cli.serve, gateway.proxy.logged, sys; "
    code += "print([m for m in sys.modules if m.startswith(('opentelemetry', 'google'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, index: Recorder) -> None:
    changes = {"traces": {"endpoint": "http://127.0.0.1:9", "sample": 1}}
    served = Served(tmp_path, "pypiserver", index.url, changes).start()
    try:
        assert {served.client().get("/simple/").status for _ in range(20)} == {200}
    finally:
        served.stop()

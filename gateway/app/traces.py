"""OpenTelemetry: a span for each sampled request, and one for whatever it waited for.

Made once a request is over, of what its connection noted. A thread of the exporter's sends them,
so a collector that is away holds no request up; what does not fit its queue is dropped. No user, no
address and no query stands in them. Only a gateway with `traces` imports this.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from threading import Thread
from time import perf_counter
from types import MappingProxyType
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from gateway import __version__
from gateway.app.access_log import first_line
from gateway.core.http.trace_context import Trace
from gateway.proxy.ports import Access

_QUEUE: Final = 4096  # spans that wait
_PATIENCE: Final = 3.0  # seconds for what waits, at the end


class Traces:
    """A `gateway.proxy.ports.AccessLog`.

    Args:
        endpoint: of an OTLP collector, by HTTP; "" for what OTEL_EXPORTER_OTLP_… say.
    """

    def __init__(self, endpoint: str) -> None:
        where = endpoint.rstrip("/") + "/v1/traces" if endpoint else None
        self._processor: Final = BatchSpanProcessor(
            OTLPSpanExporter(where), max_queue_size=_QUEUE, schedule_delay_millis=1000
        )
        own = {SERVICE_NAME: "index-gateway", SERVICE_VERSION: __version__}
        # OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME stand above ours.
        self._resource: Final = Resource(own).merge(_asked_for())
        self._scope: Final = InstrumentationScope("index-gateway", __version__)

    def __call__(self, one: Access) -> None:
        trace = one.trace
        if trace is None or not trace.sampled:
            return
        now = perf_counter()
        began, epoch = now - one.seconds, time.time_ns() / 1e9 - now

        def inner(name: str, kind: SpanKind, start: float, end: float, *, failed: bool) -> None:
            context, parent = _context(trace, secrets.token_hex(8)), _context(trace, trace.span)
            self._send(name, kind, (start + epoch, end + epoch), context, parent, failed=failed)

        asked = now if one.asked is None else began + one.asked
        inner("gate", SpanKind.INTERNAL, began, asked, failed=False)
        for call in trace.calls:
            end = call.began + call.seconds
            inner(call.name, SpanKind.CLIENT, call.began, end, failed=call.failed)
        if one.asked is not None:
            inner("upstream", SpanKind.CLIENT, asked, now, failed=one.upstream is None)
        parent = _context(trace, trace.parent, remote=True) if trace.parent else None
        method, path, _ = first_line(one)
        self._send(
            f"{method or '(unread)'} {one.rule}".strip(),
            SpanKind.SERVER,
            (began + epoch, now + epoch),
            _context(trace, trace.span),
            parent,
            failed=one.status >= 500 or bool(one.ended),
            attributes={
                "http.request.method": method,
                "url.path": path,
                "http.response.status_code": one.status,
                "http.route": one.rule,
                "index_gateway.slug": one.slug,
                "index_gateway.request": one.id,
            },
        )

    def _send(
        self,
        name: str,
        kind: SpanKind,
        times: tuple[float, float],
        context: SpanContext,
        parent: SpanContext | None,
        *,
        failed: bool,
        attributes: Mapping[str, str | int] = MappingProxyType({}),
    ) -> None:
        start, end = times
        self._processor.on_end(
            ReadableSpan(
                name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes={key: value for key, value in attributes.items() if value},
                kind=kind,
                instrumentation_scope=self._scope,
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                start_time=int(start * 1e9),
                end_time=int(end * 1e9),
            )
        )

    def close(self) -> None:
        """Send what waits; a collector that is away is not waited for."""
        ending = Thread(target=self._processor.shutdown, daemon=True)
        ending.start()
        ending.join(_PATIENCE)


def _asked_for() -> Resource:
    """What the environment says of this service, and nothing that it does not."""
    return OTELResourceDetector().detect()


def _context(trace: Trace, span: str, *, remote: bool = False) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(trace.trace, 16), int(span, 16), remote, flags)

"""The numbers of all workers added up, in the words of Prometheus.

Each worker notes its own on the board every second, and before it answers; whichever is asked adds
all of them up. What a worker counted before it ended stays counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway import __version__
from gateway.core.audit.trail import length
from gateway.core.counters import BOUNDS, LABELS, Counted, Counters, Taken, Timed, added
from gateway.core.store import StoreUnavailable

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from gateway.app.wiring import GatewayWorker
    from gateway.serving.board import Board

PREFIX: Final = "index_gateway_"
EVERY: Final = 1.0
"""Seconds between two notes of a worker."""
_GONE: Final = 10.0  # seconds without a note after which a worker is not there any more
_FRESH: Final = 10.0  # seconds for which what the store says is said again
_PATIENCE: Final = 2.0  # seconds for the store to say it

COUNTERS: Final[Mapping[Counted, str]] = {
    Counted.REQUESTS: "Requests, by the rule that decided and what became of them: forwarded, "
    "answered, refused, failed (5xx of the gateway's own).",
    Counted.REFUSALS: "Refusals by slug, see docs/why-refused.md.",
    Counted.EVENTS: "What the audit trail is told, beyond its rations too.",
    Counted.FACTORS: "Second factors by kind: passed, refused, throttled.",
    Counted.UPLOADS_BY_PASSWORD: "Uploads that came with a password, where a token would do.",
    Counted.STORE_FAILURES: "Calls to the store that failed.",
    Counted.RELOADS: "Reloads of the configuration and of certificates: done or refused.",
}
HISTOGRAMS: Final[Mapping[Timed, str]] = {
    Timed.GATEWAY: "Seconds of the gateway's own for a request, without store and upstream.",
    Timed.UPSTREAM: "Seconds until the upstream began to answer.",
    Timed.STORE: "Seconds of a call to the store.",
}
OF_WORKERS: Final[Mapping[str, str]] = {
    "workers": "Workers that are there.",
    "connections": "Connections of clients.",
    "connections_busy": "Connections of clients with a request under way.",
    "upstream_connections": "Connections to the upstream.",
    "upstream_connections_idle": "Connections to the upstream that wait for a request (the pool).",
}
"""Gauges that add up."""
OF_ALL: Final[Mapping[str, str]] = {
    "store_up": "1 where the store answers.",
    "audit_trail_entries": "Entries of the audit trail.",
    "notices_waiting": "Notices that wait for delivery, up to 1000 of each way.",
}
"""Gauges that the store knows; all but the first are missing while it is away."""
OF_FILES: Final[Mapping[str, str]] = {
    "config_loaded_timestamp_seconds": "When the configuration in use was read.",
    "config_reload_failed": "1 where the last reload was refused, and an older file is in use.",
    "certificate_expires_timestamp_seconds": "When the TLS certificate in use ends.",
}


@dataclass(slots=True)
class FilesInUse:
    """What of files is in use. Seconds since the epoch; certificate: 0.0 for none."""

    loaded: float = field(default_factory=time.time)
    refused: bool = False
    certificate: float = 0.0


class Metrics:
    """One worker's part.

    Args:
        gateway: the present one; another after a reload.
        place: this worker's on the board.
    """

    def __init__(
        self,
        counters: Counters,
        gateway: Callable[[], GatewayWorker],
        files: FilesInUse,
        board: Board,
        place: int,
    ) -> None:
        self._counters: Final = counters
        self._gateway: Final = gateway
        self._files: Final = files
        self._board: Final = board
        self._place: Final = place
        self._before: Final[Taken] = _read(board.read(place))[0]
        self._asked: tuple[float, dict[str, float]] = (0.0, {})

    async def keep(self) -> None:
        """Note the numbers for as long as this runs, and once at its end."""
        try:
            while True:
                self._note(here=True)
                await asyncio.sleep(EVERY)
        finally:
            self._note(here=False)

    def _note(self, *, here: bool) -> None:
        total = self._counters.taken()
        added(total, self._before)
        series = [
            (what, labels, numbers)
            for what, found in total.items()
            for labels, numbers in found.items()
        ]
        gauges = self._gauges() if here else {}
        noted = {"at": time.monotonic(), "series": series, "gauges": gauges}
        self._board.post(self._place, json.dumps(noted).encode())

    def _gauges(self) -> dict[str, float]:
        forwarder = self._gateway().forwarder
        pool = forwarder.shared.pool
        return {
            "workers": 1,
            "connections": len(forwarder.clients),
            "connections_busy": sum(client.stage is not None for client in forwarder.clients),
            "upstream_connections": len(pool.open),
            "upstream_connections_idle": len(pool.idle),
        }

    async def page(self, accept: str) -> tuple[str, bytes]:
        """Content type and body of the answer to a scrape."""
        from prometheus_client.exposition import choose_encoder

        self._note(here=True)
        total: Taken = {}
        gauges = dict.fromkeys(OF_WORKERS, 0.0)
        for place in range(self._board.places):
            series, its, at = _read(self._board.read(place))
            added(total, series)
            if time.monotonic() - at < _GONE:
                for name, value in its.items():
                    gauges[name] += value
        gauges |= await self._from_store()
        gauges["config_loaded_timestamp_seconds"] = self._files.loaded
        gauges["config_reload_failed"] = float(self._files.refused)
        if self._files.certificate:
            gauges["certificate_expires_timestamp_seconds"] = self._files.certificate
        encode, kind = choose_encoder(accept)
        return kind, encode(_Collected(list(families(total, gauges))))

    async def _from_store(self) -> dict[str, float]:
        at, known = self._asked
        if time.monotonic() - at < _FRESH and known:
            return known
        gateway, found = self._gateway(), {"store_up": 0.0}
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                found["audit_trail_entries"] = await length(gateway.store)
                found["notices_waiting"] = await gateway.chores.queue.waiting()
                found["store_up"] = 1.0
        self._asked = time.monotonic(), found
        return found


@dataclass(frozen=True, slots=True)
class _Collected:
    """What prometheus-client takes for a registry."""

    found: list[Metric]

    def collect(self) -> list[Metric]:
        return self.found


def families(total: Taken, gauges: Mapping[str, float]) -> Iterator[Metric]:
    """Everything with its name and its words; what was never counted stands there as 0 where it
    has no labels."""
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )

    yield InfoMetricFamily(PREFIX + "build", "The program.", {"version": __version__})
    for what, words in COUNTERS.items():
        counter = CounterMetricFamily(PREFIX + what, words, labels=LABELS[what])
        for labels, numbers in sorted(total.get(what, {} if LABELS[what] else {(): [0]}).items()):
            counter.add_metric(labels, numbers[0])
        yield counter
    for timed, words in HISTOGRAMS.items():
        times = HistogramMetricFamily(f"{PREFIX}{timed}_seconds", words, labels=LABELS[timed])
        for labels, numbers in sorted(total.get(timed, {}).items()):
            times.add_metric(labels, list(_buckets(numbers[:-1])), numbers[-1])
        yield times
    for name, words in {**OF_WORKERS, **OF_ALL, **OF_FILES}.items():
        if name in gauges:
            yield GaugeMetricFamily(PREFIX + name, words, value=gauges[name])


def _buckets(ended: list[float]) -> Iterator[tuple[str, float]]:
    """As Prometheus has them: each with all below it."""
    so_far = 0.0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), ended, strict=True):
        so_far += count
        yield bound, so_far


def _read(noted: bytes) -> tuple[Taken, dict[str, float], float]:
    """What a worker has noted: its numbers, its gauges, and when that was."""
    if not noted:
        return {}, {}, float("-inf")
    found = json.loads(noted)
    series: Taken = {}
    for what, labels, numbers in found["series"]:
        series.setdefault(what, {})[tuple(labels)] = numbers
    return series, found["gauges"], found["at"]

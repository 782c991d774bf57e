"""What `serve` runs: a configuration, and how another one takes its place.

The new file is read by a process of its own (`gateway.app.reread`), which checks what `serve`
checks at its start; what it found is handed on as it is, so that all workers use the same.
"""

from __future__ import annotations

import logging
import pickle
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.app.domain import ring_of
from gateway.app.listening import listener_of, listeners_of
from gateway.app.logs import install
from gateway.app.wiring import GatewayWorker, build
from gateway.core.counters import Counted, Counters
from gateway.serving.deployed import Observed, Renewal, Running, Serving
from gateway.serving.reloading import Desk, Reloaded, ReloadRefused
from gateway.serving.sockets import ListenError, tls_context

if TYPE_CHECKING:
    from gateway.app.metrics import FilesInUse
    from gateway.serving.board import Board
    from gateway.settings import Settings
    from gateway.settings.model import LogSettings, TlsSettings

_LOG: Final = logging.getLogger("gateway.serving")
_WITHIN: Final = 60.0  # seconds to read a configuration
_NO_OTEL: Final = "traces: they take the extra `index-gateway[otel]`, which is not installed"
FIXED: Final = ("listen", "metrics")
"""Keys that a reload does not change: their sockets were bound before."""


class Deployment:
    """What outlives a reload.

    Args:
        file: the configuration, where it can be read again.
    """

    def __init__(self, file: Path | None) -> None:
        from gateway.app.metrics import FilesInUse

        self.file: Final = file
        self.counters: Final = Counters()
        self.files: Final[FilesInUse] = FilesInUse()
        # There from the start, or Prometheus would not see the first of them as an increase.
        for what in ("configuration", "certificate"):
            for outcome in ("done", "refused"):
                self.counters.count(Counted.RELOADS, what, outcome)
        self._desk: Final = Desk(file) if file is not None else None
        self._to_come: LogSettings | None = None

    def serving(
        self,
        settings: Settings,
        workers: int,
        ready: Callable[[list[str]], None] | None = None,
    ) -> Serving:
        """Raises KeysUnusable, ListenError."""
        ring_of(settings)  # a missing key file is said before anything listens
        _try_access_file(settings)
        if settings.traces is not None and find_spec("opentelemetry") is None:
            raise ListenError(_NO_OTEL)
        certificates = OwnTls(settings.tls, self) if settings.tls else None

        async def start() -> GatewayWorker:
            return await build(settings, counters=self.counters)

        metrics = settings.metrics
        return Serving(
            start,
            listeners_of(settings),
            tls=certificates.read() if certificates else None,
            workers=workers,
            ready=ready,
            observe=self._observe if metrics else None,
            scrapes=listener_of(metrics) if metrics else None,
            certificates=certificates,
            renewal=self._renewal(settings, workers),
        )

    def speak(self) -> None:
        """Log from now on as the configuration says that was read again."""
        if self._to_come is not None:
            install(self._to_come.format, self._to_come.level)

    def count(self, what: str, outcome: Reloaded) -> None:
        """A reload of something has ended."""
        self.counters.counted(Counted.RELOADS, what, "done" if outcome.ok else "refused")

    def _observe(self, gateway: Callable[[], Running], board: Board, place: int) -> Observed:
        from gateway.app.metrics import Metrics

        def present() -> GatewayWorker:
            found = gateway()
            assert isinstance(found, GatewayWorker)
            return found

        return Metrics(self.counters, present, self.files, board, place)

    def _renewal(self, settings: Settings, workers: int) -> Renewal | None:
        if self.file is None or self._desk is None:
            return None

        def adopted(read: bytes) -> Serving:
            renewed: Settings = pickle.loads(read)  # noqa: S301 - of our own child
            self._to_come = renewed.log
            return self.serving(renewed, workers)

        return Renewal(reload=Reloading(self, settings, self._desk), adopted=adopted)


class Reloading:
    """A `gateway.serving.reloading.Reload`."""

    def __init__(self, deployment: Deployment, settings: Settings, desk: Desk) -> None:
        self.desk: Final = desk
        self._deployment: Final = deployment
        self._bound: Final = settings  # whose sockets are bound

    def read(self) -> bytes:
        assert self._deployment.file is not None
        command = [sys.executable, "-m", "gateway.app.reread", str(self._deployment.file)]
        try:
            child = subprocess.run(  # noqa: S603 - this interpreter and our own arguments
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_WITHIN
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ReloadRefused(f"the configuration cannot be read: {exc}") from exc
        if child.returncode or not child.stdout:
            raise ReloadRefused("the configuration cannot be read; what reads it has failed")
        found = pickle.loads(child.stdout)  # noqa: S301 - our own child's
        if isinstance(found, tuple):
            raise ReloadRefused(*found)
        self._check(found)
        for problem in found.warnings:
            _LOG.warning("%s", problem)
        return child.stdout

    def _check(self, new: Settings) -> None:
        old = self._bound
        lines = []
        for key in FIXED:
            if getattr(new, key) != getattr(old, key):
                line, column = new.place((key,))
                place = f"{new.file}:{line}:{column}" if line else new.file
                lines.append(f"{place}: {key}: another one takes a restart")
        if bool(new.tls) != bool(old.tls):
            lines.append(f"{new.file}: tls: switching it on or off takes a restart")
        if lines:
            raise ReloadRefused(*lines)

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        files = self._deployment.files
        files.refused = not outcome.ok
        if outcome.ok:
            files.loaded = time.time()
            self._deployment.speak()
        if first:
            self._deployment.count("configuration", outcome)

    def say(self, outcome: Reloaded) -> None:
        file = self._deployment.file
        if outcome.ok:
            self._deployment.speak()
            _LOG.warning("%s was read again and is in use", file)
        for line in outcome.lines:
            _LOG.error("%s", line)
        if not outcome.ok:
            _LOG.error("%s is not used: the gateway goes on with what it had", file)


class OwnTls:
    """The files of the own TLS (`gateway.serving.deployed.Certificates`)."""

    def __init__(self, tls: TlsSettings, deployment: Deployment) -> None:
        self._certificate: Final = str(tls.certificate)
        self._key: Final = str(tls.key)
        self._deployment: Final = deployment
        self.tried: object = None

    def state(self) -> object:
        return tuple(_stamp(path) for path in (self._certificate, self._key))

    def read(self) -> ssl.SSLContext:
        self.tried = self.state()
        context = tls_context(self._certificate, self._key)
        self._deployment.files.certificate = _ends(self._certificate)
        return context

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        if not first:
            return
        self._deployment.count("certificate", outcome)
        if outcome.ok:
            _LOG.warning("%s was read again; new connections get it", self._certificate)
        for line in outcome.lines:
            _LOG.error("%s; connections go on to get the one before", line)


def _try_access_file(settings: Settings) -> None:
    file = settings.log.access_file
    if file is None:
        return
    try:
        with file.open("ab"):
            pass
    except OSError as exc:
        raise ListenError(f"log.access_file: {file}: {exc.strerror}") from exc


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size)


def _ends(certificate: str) -> float:
    """When a certificate ends, in seconds since the epoch; 0.0 where that cannot be read."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(Path(certificate).read_bytes())
    except (OSError, ValueError):
        return 0.0
    return min(one.not_valid_after_utc.timestamp() for one in found)

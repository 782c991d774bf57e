"""What the process logs: everything passes here, and nothing of a request is in it.

Our own sentences are written to hold no secret. Libraries know nothing of secrets: their messages
quote header fields, and so do the texts of exceptions, whoever raised them. So of a library's
message only what stands literally in its code is said, and of an exception its kind and where it
was raised.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final

from gateway.core.clock import timestamp
from gateway.core.http.request_id import at_hand

_OURS: Final = "gateway"
_GAP: Final = re.compile(r"%(?:\(\w*\))?[-#0 +]*+[\d*]*+(?:\.[\d*]+)?[a-zA-Z]")
_DEPTH: Final = 8  # exceptions of a chain
_SAID: Final = frozenset({"gateway.proxy", "gateway.audit", "gateway.raw_uploads"})


class Discreet(logging.Formatter):
    """Formats records without what they could give away, as text or as JSON in one line each."""

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._as_json: Final = as_json

    def format(self, record: logging.LogRecord) -> str:
        raised = record.exc_info[1] if record.exc_info else None
        if self._as_json:
            return _json(record, list(_raised(raised)))
        about = _request(record)
        first = f"{record.levelname}: {record.name}: {_said(record)}"
        return "\n".join([f"{first} (request {about})" if about else first, *_raised(raised)])


def install(format: str = "text", level: str = "warning") -> None:
    """Have all that this process logs formatted so, in place of any other handler.

    Args:
        format, level: of `log` in a configuration.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(as_json=format == "json"))
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger().setLevel(level.upper())
    logging.captureWarnings(True)
    log = logging.getLogger("gateway.process")

    def unraisable(found: Any) -> None:
        log.error("an exception was ignored", exc_info=found.exc_value)

    def in_thread(found: threading.ExceptHookArgs) -> None:
        log.error("a thread failed", exc_info=found.exc_value)

    sys.unraisablehook = unraisable
    threading.excepthook = in_thread


def _json(record: logging.LogRecord, raised: list[str]) -> str:
    fields: dict[str, object] = {
        "time": timestamp(record.created),
        "log": record.name,
        "level": record.levelname.lower(),
        "message": _said(record),
        "request": _request(record),
        "raised": [line.strip() for line in raised],
    }
    return json.dumps({name: value for name, value in fields.items() if value})


def _request(record: logging.LogRecord) -> str:
    """The id of the request that a message is about, "" for none.

    The forwarder says it (`extra`): what runs there runs in the context of an earlier request, too.
    """
    if record.name in _SAID:
        return str(getattr(record, "request", ""))
    return at_hand()


def _said(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] == _OURS:
        return record.getMessage()
    where = f"{PurePath(record.pathname).name}:{record.lineno}"
    if isinstance(record.msg, str) and _literal(record.msg):
        return f"{_GAP.sub('…', record.msg) if record.args else record.msg} ({where})"
    return f"a message that is left out ({where})"


def _literal(text: str) -> bool:
    """Whether this stands in the code of one of the functions that are just running."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if text in frame.f_code.co_consts:
            return True
    return False


def _raised(exc: BaseException | None) -> Iterator[str]:
    """Kinds and places of an exception and of those that led to it, the last one first."""
    for _ in range(_DEPTH):
        if exc is None:
            return
        yield f"  {type(exc).__module__}.{type(exc).__qualname__}"
        yield from _places(exc.__traceback__)
        hidden = exc.__suppress_context__
        exc = exc.__cause__ or (None if hidden else exc.__context__)


def _places(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        path = "/".join(PurePath(code.co_filename).parts[-2:])
        yield f"    {path}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next

"""Bytes sent to a loopback port in pieces, and what comes back."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Mapping

from tests.fuzz.whole import Sent

PAUSE = 0.002  # between pieces
PATIENCE = 15.0
ODD = 0.2  # where nobody has to answer
_JUDGED = re.compile(
    rb'\{[^{}]*"slug": ?"(bad_request|ambiguous_target|head_too_large|expectation_failed|'
    rb'method_not_allowed|form_[a-z_]+|body_[a-z_]+)"'
)


def send(port: int, sent: Sent, known: Mapping[str, bytes], *, patience: float = PATIENCE) -> bytes:
    """Everything that came back; nothing where the client did not wait.

    Raises:
        AssertionError: no answer within this patience (seconds), though one is due.
    """
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in sent.pieces(known):
                line.sendall(piece)
                time.sleep(PAUSE)
            if sent.end == "half":
                line.shutdown(socket.SHUT_WR)
            if sent.end in ("wait", "half"):
                line.settimeout(ODD if sent.odd else patience)
                while data := line.recv(65536):
                    got += data
        except TimeoutError:
            assert sent.odd, f"no answer to {sent}, only {got[:200]!r}"
        except OSError:
            pass  # it has been refused and let go of
        if sent.end == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return got


def refused_head(answer: bytes) -> bool:
    """Whether it was refused for what it looks like, before any rule was asked."""
    return _JUDGED.search(answer) is not None


def outcome(answer: bytes) -> str:
    """Status and the gateway's reason, where it is the gateway's."""
    status = answer[9:12].decode("latin-1")
    slug = re.search(rb'"slug": ?"(\w+)"', answer)
    return f"{status} {slug[1].decode()}" if slug else status

"""Coverage-guided fuzzing of the grammars, by hand: the same comparisons as
`tests/proxy/http1/test_same_reading.py`, with inputs that atheris grows.

atheris is not among the project's dependencies. From the root of the repository:

    .venv/bin/pip install --target build/atheris atheris
    mkdir -p build/corpus
    PYTHONPATH=build/atheris:. .venv/bin/python -m tests.fuzz.grown build/corpus \
        -max_total_time=3600 -max_len=2048 -dict=tests/fuzz/http.dict

The first byte of an input chooses what is read: a request, a chunked body, or an answer to GET
or HEAD. A difference ends the run with an exception, and the input is left in a file crash-….
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(include=["gateway.proxy", "gateway.core.http.path"]):
    from tests.proxy.http1.heads import CLIENTS, SERVERS
    from tests.proxy.http1.readers import AFTER
    from tests.proxy.http1.test_same_reading import same_answer, same_request

LOOP = asyncio.new_event_loop()
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def one(data: bytes) -> None:
    kind, data = data[:1], data[1:]
    cuts = [len(data) // 3, len(data) // 2]
    if kind in (b"", b"r"):
        same_request(data + AFTER, cuts, LOOP)
    elif kind == b"c":
        same_request(CHUNKED + data + AFTER, cuts, LOOP)
    else:
        same_answer(data, cuts, "HEAD" if kind == b"h" else "GET", LOOP)


def seed(corpus: Path) -> None:
    """Begin with what real clients and servers send."""
    for number, data in enumerate(CLIENTS.values()):
        (corpus / f"request-{number}").write_bytes(b"r" + data)
    for number, data in enumerate(SERVERS.values()):
        (corpus / f"answer-{number}").write_bytes(b"a" + data)
        (corpus / f"head-{number}").write_bytes(b"h" + data)
    (corpus / "chunks").write_bytes(b"c5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n")


def main() -> None:
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            seed(Path(argument))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

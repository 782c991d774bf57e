"""What it costs to be watched: a gateway with `metrics`, and one with `audit.downloads`, beside the
same gateway without, in turn.

    python -m benchmarks.watching      # about two minutes; needs wrk
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pyotp

from benchmarks.deletion import Client, auth, deletion, gateway
from benchmarks.rig import LOAD_CORE, Process, free_port, running

ROUNDS: Final = 20
PEOPLE: Final = 60
FILE: Final = "/packages/hello-1.0.tar.gz"
_INDEX: Final = """
import base64, socketserver, sys
class Answers(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.readline():
            length, known = 0, True
            while (line := self.rfile.readline()) not in (b"", b"\\r\\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
                if line.lower().startswith(b"authorization:"):
                    known = b" of " in base64.b64decode(line.split()[-1])
            self.rfile.read(length)
            status = b"200 OK" if known else b"403 Forbidden"
            self.wfile.write(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


Gateways = dict[str, tuple[Process, dict[str, str]]]


def main() -> None:
    kinds = {
        "alone": "",
        "metrics": f"metrics: 127.0.0.1:{free_port()}",
        "audit.downloads": "audit: {downloads: true}",
    }
    names = [f"person{number}" for number in range(PEOPLE)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as all_of_it:
        index = free_port()
        words = [sys.executable, "-c", _INDEX, str(index)]
        log = Path(folder) / "index.log"
        all_of_it.enter_context(running(Process(words, core=LOAD_CORE, port=index, log=log)))
        gateways: Gateways = {}
        for kind, more in kinds.items():
            room = Path(folder) / kind
            room.mkdir()
            gateways[kind] = all_of_it.enter_context(gateway(room, index, names, more))
        _say("a small GET of a file", _all_reads(gateways))
        _say("a guarded deletion", _all_acts(gateways, names))


def _all_reads(gateways: Gateways) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {kind: [] for kind in gateways}
    for number in range(ROUNDS):
        for kind, (process, _) in _turned(gateways, number):
            found[kind].append(_reads(process))
    return found


def _all_acts(gateways: Gateways, names: list[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {kind: [] for kind in gateways}
    for number, name in enumerate(names):
        for kind, (process, secrets) in _turned(gateways, number):
            found[kind].append(_act(process, name, secrets[name]))
    return {kind: spent[PEOPLE // 6 :] for kind, spent in found.items()}


def _say(what: str, found: dict[str, list[float]]) -> None:
    alone = statistics.median(found["alone"])
    for kind, spent in found.items():
        took = statistics.median(spent)
        ratios = [one / two for one, two in zip(spent, found["alone"], strict=True)]
        print(
            f"{what}, {kind}: {took * 1e6:.1f} µs of the processor, "
            f"{(took - alone) * 1e6:+.1f}; in pairs {statistics.median(ratios) - 1:+.1%}"
        )


def _turned(gateways: Gateways, number: int) -> list[tuple[str, tuple[Process, dict[str, str]]]]:
    """Another one is first each time."""
    found = list(gateways.items())
    at = number % len(found)
    return found[at:] + found[:at]


def _reads(process: Process) -> float:
    """Seconds of the processor for one of many, at full load for a second."""
    url = f"http://127.0.0.1:{process.port}{FILE}"
    before = process.cpu()
    wrk = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", "-c16", "-d1s", url]
    said = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    spent = process.cpu() - before
    done = re.search(r"(\d+) requests in", said)
    assert done and "Non-2xx" not in said, said
    return spent / 1e9 / int(done[1])


def _act(process: Process, name: str, secret: str) -> float:
    client = Client(process.port)
    time.sleep(0.02)
    before = process.cpu()
    code = pyotp.TOTP(secret).now()
    client.ask(auth(name, f"password of {name},{code}"), deletion(name, "1.0"))
    time.sleep(0.02)  # what comes after the answer counts too
    return (process.cpu() - before) / 1e9


if __name__ == "__main__":
    main()

"""A deletion at pypiserver with password and code, beside the same two questions asked of the
index alone: is this password right, and the deletion.

Each is one person's first, so that nothing is known of the password yet. The index and the client
have the load's core, the gateway the other; the index checks passwords by a cheap hash, because
the difference is what counts.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Final

import pyotp
from passlib.apache import HtpasswdFile

from benchmarks.rig import LOAD_CORE, PROXY_CORE, Broken, Process, free_port, running
from gateway.app.domain import open_domain
from gateway.core.administration import Admin
from gateway.core.crypto.keyring import new_key
from gateway.core.upstream import Credential
from gateway.keystore import create_key_file
from gateway.settings import load
from gateway.upstreams.pypiserver import Pypiserver

PEOPLE: Final = 60
_WARM: Final = 10  # of them, not measured
_FORM: Final = "application/x-www-form-urlencoded"
_CONFIG: Final = """\
version: 1
listen: 127.0.0.1:{port}
public_url: http://localhost:{port}
upstream: {{kind: pypiserver, url: "http://127.0.0.1:{index}"}}
store: sqlite:state.db
keys: file:gateway.keys
rules:
  - name: deletions
    match: {{methods: [POST], form: {{":action": remove_pkg}}}}
    policy: second_factor
  - {{name: reads, match: {{methods: [GET], path: "/**"}}, policy: pass}}
default: second_factor
"""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Seconds: through the gateway, the two questions without it, the gateway's processor."""

    through: float
    alone: float
    cpu: float

    @property
    def over(self) -> float:
        return self.through - self.alone


def measure(base: Path) -> list[Deletion]:
    """Every person's deletion, one after another."""
    room = base / "deletion"
    (room / "packages").mkdir(parents=True)
    table = HtpasswdFile(str(room / "htpasswd"), new=True, default_scheme="ldap_sha1")
    names = [f"person{number}" for number in range(PEOPLE)]
    for name in names:
        table.set_password(name, f"password of {name}")
        for release in ("1.0", "2.0"):
            (room / "packages" / f"{name}-{release}.tar.gz").write_bytes(b"a release")
    table.save()
    with _index(room) as index, gateway(room, index, names) as (process, secrets):
        alone, through = Client(index), Client(process.port)
        return [_one(name, secrets[name], alone, through, process) for name in names][_WARM:]


def _one(name: str, secret: str, alone: Client, through: Client, process: Process) -> Deletion:
    password = f"password of {name}"
    check = Pypiserver().password_check(Credential(name, password))
    assert check is not None
    began = time.perf_counter()
    alone.ask(dict(check.fields), check.body)
    alone.ask(auth(name, password), deletion(name, "1.0"))
    between = time.perf_counter()
    cpu = process.cpu()
    code = pyotp.TOTP(secret).now()
    again = time.perf_counter()
    through.ask(auth(name, f"{password},{code}"), deletion(name, "2.0"))
    ended = time.perf_counter()
    time.sleep(0.05)  # what comes after the answer counts too
    return Deletion(ended - again, between - began, (process.cpu() - cpu) / 1e9)


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, fields: Mapping[str, str], body: bytes) -> None:
        self._connection.request("POST", "/", body, {"Content-Type": _FORM, **fields})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise Broken(f"a deletion was answered by {answer.status}: {said[:200]!r}")


def auth(name: str, secret: str) -> dict[str, str]:
    pair = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def deletion(name: str, release: str) -> bytes:
    return f":action=remove_pkg&name={name}&version={release}".encode()


@contextmanager
def _index(room: Path) -> Iterator[int]:
    port = free_port()
    program = Path(sys.executable).with_name("pypi-server")
    words = [program, "run", "-i", "127.0.0.1", "-p", port, "-P", room / "htpasswd", "-a", "update"]
    words += ["--disable-fallback", "--health-endpoint", "/health", room / "packages"]
    log = room / "index.log"
    process = Process(list(map(str, words)), core=LOAD_CORE, port=port, log=log, ask="/health")
    with running(process):
        yield port


@contextmanager
def gateway(
    room: Path, index: int, names: list[str], more: str = ""
) -> Iterator[tuple[Process, dict[str, str]]]:
    """A running gateway with these people, and their secrets. more: lines of its configuration."""
    port, config = free_port(), room / "gateway.yaml"
    config.write_text(_CONFIG.format(port=port, index=index) + more)
    create_key_file(room / "gateway.keys", (new_key((), token_bytes),))

    async def enrol() -> dict[str, str]:
        async with open_domain(load(config)) as domain:
            admin = Admin(domain)
            return {name: (await admin.enrol(name)).secret.replace(" ", "") for name in names}

    secrets = asyncio.run(enrol())
    program = str(Path(sys.executable).with_name("index-gateway"))
    process = Process(
        [program, "serve", "--no-look", "-c", str(config)],
        core=PROXY_CORE, port=port, log=room / "gateway.log", ask="/+auth/health",
    )  # fmt: skip
    with running(process):
        yield process, secrets

"""A gateway as an administrator sets it up: by its own commands, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

from gateway import cli
from gateway.cli.demo import stage
from gateway.cli.demo.processes import Child
from gateway.core.urls import HEALTH
from gateway.keystore import create_key_file
from tests.support.codes import Authenticator
from tests.support.http import Client
from tests.support.ports import free_port

KEYS = "file:gateway.keys"


def command(
    *arguments: str, check: bool = True, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `index-gateway` with arguments; its output is captured as text."""
    done = subprocess.run(
        [*stage.PROGRAM, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not check or done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done


def in_process(*arguments: str) -> str:
    """What a command prints that is run in this process, which saves the half second that one of
    its own takes to start; in a thread, for its event loop."""
    said = TextIOWrapper(BytesIO(), "utf-8", newline="", write_through=True)  # some write bytes
    told = StringIO()
    with redirect_stdout(said), redirect_stderr(told), ThreadPoolExecutor(1) as thread:
        code = thread.submit(cli.run, arguments).result()
    assert code == 0, (arguments, told.getvalue())
    said.seek(0)
    return said.read()


@dataclass
class Gateway:
    """A configured gateway in a directory of its own, running or not."""

    place: Path
    port: int
    kind: str
    workers: int = 1
    ready_path: str = HEALTH
    child: Child | None = None
    users: dict[str, Authenticator] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.place / "gateway.yaml"

    @property
    def log(self) -> Path:
        return self.place / "gateway.log"

    @property
    def url(self) -> str:
        """The public address; its port is the one that is listened on."""
        return f"http://localhost:{self.port}"

    @property
    def process_id(self) -> int:
        assert self.child
        return self.child.process.pid

    def client(self, **more: Any) -> Client:
        return Client(self.port, **more)

    def command(
        self, *arguments: str, check: bool = True, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """An `index-gateway` command on this gateway's configuration."""
        first, *rest = arguments
        words = [first]
        if rest and first in ("user", "token", "publisher", "keys", "audit"):
            words.append(rest.pop(0))
        return command(*words, "-c", str(self.config), *rest, check=check, text=text)

    def enrol(self, user: str) -> Authenticator:
        """Enrol a person by the command line, as an administrator does."""
        made = json.loads(in_process("user", "enrol", "-c", str(self.config), user, "--json"))
        self.users[user] = Authenticator.from_uri(made["uri"], tuple(made["recovery_codes"]))
        return self.users[user]

    def start(self, env: Mapping[str, str] | None = None) -> Gateway:
        argv = [
            *stage.PROGRAM,
            "serve",
            "--no-look",
            "-c",
            str(self.config),
            "--workers",
            str(self.workers),
        ]
        self.child = Child("gateway", argv, self.log, env)
        if self.ready_path:
            self.child.ready(self.port, self.ready_path, within=60)
        return self

    def stop(self, within: float = 10) -> int:
        """Stop it as systemd would; the exit code."""
        if self.child is None:
            return 0
        child, self.child = self.child, None
        return child.stop(within)

    def logged(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


def configure(
    place: Path,
    kind: str,
    upstream: str,
    *,
    workers: int = 1,
    private: bool = False,
    **changes: Any,
) -> Gateway:
    """Write configuration and keys for a gateway on a free port.

    Args:
        upstream: its address.
        private: by the rules of `init --private`.
        changes: further keys, their dots written as two underscores.
    """
    place.mkdir(parents=True, exist_ok=True)
    gateway = Gateway(place, free_port(), kind, workers)
    keys: dict[str, Any] = {
        "listen": f"127.0.0.1:{gateway.port}",
        "public_url": gateway.url,
        "upstream.url": upstream,
        "store": "sqlite:state.db",
        "keys": KEYS,
        "second_factor.issuer": "Test packages",
    }
    keys |= {name.replace("__", "."): value for name, value in changes.items()}
    options = ("--private",) if private else ()
    in_process("init", kind, *options, "-o", str(gateway.config))
    stage.change(gateway.config, keys)
    if keys["keys"] == KEYS:
        create_key_file(place / "gateway.keys", (("k1", os.urandom(32)),))
    else:
        gateway.command("keys", "new")
    return gateway


@contextmanager
def running(
    place: Path, kind: str, upstream: str, *, workers: int = 1, **changes: Any
) -> Iterator[Gateway]:
    """A configured gateway, started, and stopped at the end."""
    gateway = configure(place, kind, upstream, workers=workers, **changes)
    try:
        yield gateway.start()
    finally:
        gateway.stop()

"""Real processes: listeners, TLS, unix sockets, workers, graceful stop."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.proxy.upstream_pool import UpstreamAddress
from gateway.serving.sockets import Listener
from tests.proxy.closing import ask
from tests.proxy.conversation import talk
from tests.support.certificates import certificate_for_localhost
from tests.support.memory import children_of
from tests.support.ports import free_port
from tests.support.waiting import eventually

BODY = os.urandom(2_000_000)
BEGUN, GO = threading.Event(), threading.Event()


class Index(BaseHTTPRequestHandler):
    """An upstream: /worker names the gateway's process, /slow waits for `GO`, /put hashes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = BODY if self.path == "/big" else self.headers.get("X-Worker", "").encode()
        if self.path == "/slow":
            BEGUN.set()
            GO.wait(60)
        self._send(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(hashlib.sha256(body).hexdigest().encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def index() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def gateway(
    *arguments: str, before: Sequence[str] = (), inherit: Sequence[int] = ()
) -> Iterator[subprocess.Popen[str]]:
    """before: a command that starts what follows it. inherit: descriptors that it gets."""
    # Whoever runs the tests may ignore SIGHUP, and processes inherit that.
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tests.serving.small_gateway", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2], pass_fds=inherit,
    )  # fmt: skip
    signal.signal(signal.SIGHUP, ignored)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


@contextmanager
def answered(port: int) -> Iterator[list[bytes]]:
    """A slow request that is under way meanwhile, and the answer it gets by the end."""
    got: list[bytes] = []
    BEGUN.clear()
    GO.clear()
    client = threading.Thread(target=lambda: got.append(get(port, "/slow")))
    client.start()
    assert BEGUN.wait(60)
    yield got
    time.sleep(0.3)  # what was signalled has been seen by then, or this shows less
    GO.set()
    client.join()
    assert len(got) == 1


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost and its key, as files."""
    cert, key = certificate_for_localhost(tmp_path_factory.mktemp("tls"))
    return str(cert), str(key)


def test_a_graceful_stop_lets_requests_finish(index: str) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}") as process:
        with answered(port) as got:
            process.send_signal(signal.SIGTERM)
        assert got == [str(process.pid).encode()]
        assert process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            get(port, "/")


def test_a_busy_port_is_said_plainly(index: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with gateway(index, f"127.0.0.1:{port}") as process:
            _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.strip().endswith(
        f"cannot listen on 127.0.0.1:{port}: the address is in use by another program"
    )


def test_a_unix_socket_is_made_and_taken_away(index: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # left behind by a process that is gone
    with gateway(index, f"unix:{path}") as process:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with client.makefile("rb") as stream:
                assert stream.read().endswith(BODY)
        with gateway(index, f"unix:{path}") as second:
            _, said = second.communicate(timeout=60)
            assert "in use" in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not path.exists()


def test_a_unix_socket_of_the_next_process_stays(index: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with gateway(index, f"unix:{path}") as process:
        path.unlink()
        with gateway(index, f"unix:{path}"):  # has begun before the first has ended
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert path.exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hang_up_lets_requests_finish(index: str, workers: str) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", workers) as process:
        with answered(port):
            process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hang_up_under_nohup_is_ignored(index: str, workers: str) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", workers, before=["nohup"]) as process:
        process.send_signal(signal.SIGHUP)
        worker = int(get(port, "/worker"))
        os.kill(worker, signal.SIGHUP)
        assert eventually(lambda: int(get(port, "/worker")) == worker)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_does_not_cut_off_what_is_under_way(index: str, workers: str) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", workers) as process:
        with answered(port):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                process.send_signal(number)
                time.sleep(0.05)
        assert process.wait(60) == 0


def test_a_file_in_the_way_of_a_unix_socket_stays(index: str, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with gateway(index, f"unix:{path}") as process:
        _, said = process.communicate(timeout=60)
    assert "there is a file of that name" in said
    assert path.read_text() == "data"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_clients_are_served(index: str, certificate: tuple[str, str]) -> None:
    port = free_port()
    context = ssl.create_default_context(cafile=certificate[0])
    with gateway(index, f"127.0.0.1:{port}", "1", *certificate):
        connection = http.client.HTTPSConnection(
            "localhost", port, timeout=10, context=context, source_address=("127.0.0.1", 0)
        )
        for _ in range(2):
            connection.request("GET", "/big")
            assert connection.getresponse().read() == BODY
            connection.request("PUT", "/", body=BODY)
            assert connection.getresponse().read() == hashlib.sha256(BODY).hexdigest().encode()
        connection.close()
        asked = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert ask(port, context, asked).endswith(BODY)  # who asks has closed TLS and TCP
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            http.client.HTTPSConnection("localhost", port, timeout=5, context=context).connect()
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            get(port, "/")  # plain HTTP to the TLS port


def test_workers_share_the_port_and_are_replaced(index: str) -> None:
    port = free_port()

    def workers(enough: int) -> set[bytes]:
        seen: set[bytes] = set()
        eventually(lambda: seen.add(get(port, "/worker")) or len(seen) >= enough)  # type: ignore[func-returns-value]
        return seen

    with gateway(index, f"127.0.0.1:{port}", "2") as process:
        first = workers(2)
        assert len(first) == 2
        assert str(process.pid).encode() not in first
        os.kill(int(min(first)), signal.SIGKILL)
        assert eventually(lambda: get_or_none(port) not in {None, *first})
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def get_or_none(port: int) -> bytes | None:
    try:
        return get(port, "/worker")
    except (OSError, http.client.HTTPException):
        return None


def test_workers_do_not_outlive_the_parent(index: str) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", "2") as process:
        assert eventually(lambda: get_or_none(port) is not None)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait(60)
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


async def test_an_upstream_behind_tls(certificate: tuple[str, str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(*certificate)
    server.socket = inside.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        port = server.server_address[1]
        trusting = ssl.create_default_context(cafile=certificate[0])
        async with talk(endpoint=UpstreamAddress.parse(f"https://localhost:{port}", trusting)) as t:
            client = await t.client()
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.head()
            assert await client.get(len(BODY)) == BODY
            client.send(
                b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY
            )
            assert (await client.answer())[2] == hashlib.sha256(BODY).hexdigest().encode()
        async with talk(endpoint=UpstreamAddress.parse(f"https://localhost:{port}")) as t:
            client = await t.client()
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")  # nobody vouches for it
            assert (await client.answer())[0] == 502
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("127.0.0.1:8080", Listener("127.0.0.1", 8080)),
        ("[::1]:8080", Listener("::1", 8080)),
        (":8080", Listener("", 8080)),
        ("unix:/run/x.sock", Listener(path="/run/x.sock")),
    ],
)
def test_addresses_to_listen_on_are_read(text: str, listener: Listener) -> None:
    assert Listener.parse(text) == listener
    assert str(listener) == text


@pytest.mark.parametrize("text", ["8080", "host", "::1:80", "a:b", "a:99999", "unix:x", "a:８"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Listener.parse(text)


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "http://x/path", "http://u:p@x", "unix:", "x:80", "http://x?y"],
)
def test_addresses_that_are_no_upstream_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        UpstreamAddress.parse(url)


@pytest.mark.parametrize("kind", ["sized", "chunked"])
def test_a_killed_gateway_leaves_no_request_that_looks_complete(kind: str) -> None:
    """A server that acts on what it has must not take the end of a process for that of a body."""
    framing = "Content-Length: 10" if kind == "sized" else "Transfer-Encoding: chunked"
    body = b"12345" if kind == "sized" else b"5\r\n12345\r\n"
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as index:
        url = f"http://127.0.0.1:{index.getsockname()[1]}"
        with (
            gateway(url, f"127.0.0.1:{port}", "1") as process,
            socket.create_connection(("127.0.0.1", port), timeout=10) as client,
        ):
            client.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode() + body)
            line, _ = index.accept()
            line.settimeout(10)
            got = b""
            while not got.endswith(body):
                got += line.recv(65536)
            for process_id in [*children_of(process.pid), process.pid]:
                os.kill(process_id, signal.SIGKILL)
            with line, pytest.raises(ConnectionResetError):
                line.recv(100)

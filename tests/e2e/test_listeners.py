"""The ways in and out of a served gateway: TLS, unix sockets, its start and its end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, wheel, write
from gateway.cli.demo.processes import Child, Children
from tests.conftest import PYPISERVER_USERS, StartGateway
from tests.support.certificates import certificate_for_localhost
from tests.support.clients import pip, twine, uv
from tests.support.gateways import Gateway, configure
from tests.support.http import Client, basic
from tests.support.pages import form
from tests.support.servers import Index


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate_for_localhost(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def https(certificate: tuple[Path, Path], pypiserver: Index, tmp_path: Path) -> Iterator[Gateway]:
    cert, key = certificate
    tls = {"certificate": str(cert), "key": str(key)}
    gateway = configure(tmp_path / "tls", "pypiserver", pypiserver.url, tls=tls)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace(gateway.url, gateway.url.replace("http:", "https:")))
    gateway.ready_path = ""
    gateway.start()
    yield gateway
    gateway.stop()


def test_pip_uv_and_twine_over_tls(
    https: Gateway, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, url = str(certificate[0]), f"https://localhost:{https.port}"
    wait_for_tls(https, certificate[0])
    argv = ["download", "--no-deps", "--no-cache-dir", "--cert", cert, "-i", f"{url}/simple/"]
    done = pip(tmp_path, *argv, "hello")
    assert done.code == 0, done.said
    argv = ["pip", "install", "--no-cache", "--target", "lib", "-i", f"{url}/simple/", "hello"]
    done = uv(tmp_path, *argv, SSL_CERT_FILE=cert)
    assert done.code == 0, done.said
    assert (tmp_path / "lib/hello/__init__.py").exists()
    files = write(tmp_path, Package("over_tls", "1.0", padding=b"\0" * 1_000_000))
    done = twine(tmp_path, url, "alice", PYPISERVER_USERS["alice"], *files, TWINE_CERT=cert)
    assert done.code == 0, done.said


def test_cookies_are_host_bound_over_tls(https: Gateway, certificate: tuple[Path, Path]) -> None:
    wait_for_tls(https, certificate[0])
    context = ssl.create_default_context(cafile=str(certificate[0]))
    line = http.client.HTTPSConnection("localhost", https.port, context=context, timeout=20)
    line.request("GET", "/+auth/login", headers={"Sec-Fetch-Mode": "navigate"})
    answer = line.getresponse()
    assert answer.status == 200
    assert "max-age=" in (answer.getheader("Strict-Transport-Security") or "")
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie


def wait_for_tls(gateway: Gateway, cert: Path) -> None:
    context = ssl.create_default_context(cafile=str(cert))
    end = time.monotonic() + 60
    while True:
        try:
            with (
                socket.create_connection(("localhost", gateway.port), timeout=5) as line,
                context.wrap_socket(line, server_hostname="localhost"),
            ):
                return
        except OSError:
            assert time.monotonic() < end, gateway.logged()
            time.sleep(0.05)


UNIX_PYPISERVER = """
import sys, pypiserver, waitress
_, packages, passwords, path = sys.argv
app = pypiserver.app(roots=[packages], password_file=passwords, authenticate=["update"])
waitress.serve(app, unix_socket=path)
"""


def test_unix_sockets_on_both_sides(pypiserver: Index, tmp_path: Path) -> None:
    behind, front = tmp_path / "behind.sock", tmp_path / "front.sock"
    arguments = [str(pypiserver.place / "packages"), str(pypiserver.place / "htpasswd")]
    with Children() as children:
        index = children.start(
            "pypiserver",
            [sys.executable, "-c", UNIX_PYPISERVER, *arguments, str(behind)],
            tmp_path / "index.log",
        )
        wait_for_socket(behind, index)
        gateway = configure(
            tmp_path / "gateway", "pypiserver", f"unix:{behind}", listen=f"unix:{front}"
        )
        gateway.ready_path = ""
        gateway.start()
        try:
            assert gateway.child
            wait_for_socket(front, gateway.child)
            client = Client(0, "localhost", unix=front)
            assert client.get("/+auth/health").json["status"] == "ok"
            assert "hello" in client.get("/simple/").text
            phone = gateway.enrol("alice")
            page = client.browse("GET", "/+auth/login")
            assert "user" in form(page, "/+auth/login")
            removal = {":action": "remove_pkg", "name": "nothing", "version": "1"}
            password = PYPISERVER_USERS["alice"]
            refused = client.post("/", auth=("alice", password), form=removal)
            assert refused.slug == "second_factor_required"
            passed = client.post("/", auth=("alice", f"{password},{phone.code()}"), form=removal)
            assert passed.status == 404  # pypiserver's own: there is no such release
        finally:
            assert gateway.stop() == 0
        assert not front.exists()


def wait_for_socket(path: Path, child: Child) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                return
        except OSError:
            assert child.process.poll() is None, child.tail()
            assert time.monotonic() < end, child.tail()
            time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_lets_a_running_upload_finish(
    workers: int, start_gateway: StartGateway, pypiserver: Index
) -> None:
    gateway = start_gateway(pypiserver, workers=workers)
    package = Package("late", f"1.{workers}")
    place = pypiserver.place / "packages"
    body, boundary = upload_body(package)
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost:{gateway.port}\r\n"
        f"Authorization: {basic('alice', PYPISERVER_USERS['alice'])}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    ).encode()
    codes: list[int] = []
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as line:
        line.sendall(head + body[:-1000])
        time.sleep(0.3)
        stopping = threading.Thread(target=lambda: codes.append(gateway.stop(within=25)))
        stopping.start()
        assert soon(lambda: not accepts(gateway.port)), "it still accepts connections"
        line.sendall(body[-1000:])
        answer = line.recv(65536)
    stopping.join(30)
    assert answer.startswith(b"HTTP/1.1 200")
    assert codes == [0]
    assert (place / package.wheel_name).exists()


def soon(condition: Callable[[], bool], within: float = 5) -> bool:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def test_it_says_what_it_serves(start_gateway: StartGateway, pypiserver: Index) -> None:
    gateway = start_gateway(pypiserver)
    behind = f"pypiserver at {pypiserver.url}"
    said = f"Serving {gateway.url} on 127.0.0.1:{gateway.port}, before {behind}.\n"
    assert gateway.logged() == said


def test_several_addresses_and_the_ports_that_the_system_chose(
    pypiserver: Index, tmp_path: Path
) -> None:
    front = tmp_path / "front.sock"
    listen = ["127.0.0.1:0", "[::]:0", f"unix:{front}"]
    gateway = configure(
        tmp_path / "many", "pypiserver", pypiserver.url, listen=listen,
        trusted_proxies=["127.0.0.1/32"],
    )  # fmt: skip
    gateway.ready_path = ""
    gateway.start()
    try:
        assert soon(lambda: "Serving" in gateway.logged(), 60), gateway.logged()
        ports = [
            int(port) for port in re.findall(r"(?:127\.0\.0\.1|\[::\]):(\d+)[, ]", gateway.logged())
        ]
        assert len(ports) == 2 and all(ports), gateway.logged()
        assert gateway.child
        wait_for_socket(front, gateway.child)
        clients = [Client(ports[0]), Client(ports[1]), Client(ports[1], "::1")]
        for client in [*clients, Client(0, "localhost", unix=front)]:
            assert client.get("/+auth/health").json["status"] == "ok"
    finally:
        assert gateway.stop() == 0


def test_ctrl_c_stops_it_too(start_gateway: StartGateway, pypiserver: Index) -> None:
    gateway = start_gateway(pypiserver, workers=2)
    assert gateway.child
    os.kill(gateway.process_id, signal.SIGINT)
    assert gateway.child.process.wait(15) == 0
    assert "Traceback" not in gateway.logged()


def test_a_second_gateway_on_the_same_port_says_so(
    start_gateway: StartGateway, pypiserver: Index
) -> None:
    gateway = start_gateway(pypiserver)
    argv = [sys.executable, "-m", "gateway", "serve", "-c", str(gateway.config)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("index-gateway: error: ")
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def upload_body(package: Package) -> tuple[bytes, str]:
    boundary = "late-boundary"

    def part(name: str, value: bytes, more: str = "") -> bytes:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + value + b"\r\n"

    named = f'; filename="{package.wheel_name}"'
    parts = [part(":action", b"file_upload"), part("content", wheel(package), named)]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), boundary

"""pypiserver deletes by a form field of its upload address: no form gets there without a code."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from gateway.cli.demo.indexes import Package, wheel, write
from tests.conftest import PYPISERVER_USERS
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway
from tests.support.http import Answer, Client
from tests.support.servers import Index

USER = "carol"
PASSWORD = PYPISERVER_USERS[USER]
BOUNDARY = "----a-boundary"
_numbers = count(1)


@pytest.fixture(scope="module")
def phone(before_pypiserver: Gateway) -> Authenticator:
    return before_pypiserver.enrol(USER)


@pytest.fixture
def release(pypiserver: Index) -> Package:
    """A release that the test may lose."""
    package = Package("doomed", f"1.{next(_numbers)}")
    write(pypiserver.place / "packages", package)
    return package


def there(pypiserver: Index, package: Package) -> bool:
    return (pypiserver.place / "packages" / package.wheel_name).exists()


def part(name: str, value: bytes, extra: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def fields_of(package: Package) -> list[bytes]:
    return [part("name", package.name.encode()), part("version", package.version.encode())]


def send(
    gateway: Gateway, body: bytes, *, secret: str = PASSWORD, kind: str = "", target: str = "/"
) -> Answer:
    content = kind or f"multipart/form-data; boundary={BOUNDARY}"
    return Client(gateway.port).post(
        target, auth=(USER, secret), body=body, fields={"Content-Type": content}
    )


def test_a_removal_needs_a_code(
    before_pypiserver: Gateway, pypiserver: Index, release: Package, phone: Authenticator
) -> None:
    body = multipart(part(":action", b"remove_pkg"), *fields_of(release))
    refused = send(before_pypiserver, body)
    assert (refused.status, refused.slug) == (401, "second_factor_required")
    assert there(pypiserver, release)
    wrong = send(before_pypiserver, body, secret=f"{PASSWORD},{phone.wrong()}")
    assert (wrong.status, wrong.slug) == (401, "otp_invalid")
    assert there(pypiserver, release)
    code = phone.code()
    accepted = send(before_pypiserver, body, secret=f"{PASSWORD},{code}")
    assert accepted.status == 200
    assert not there(pypiserver, release)
    again = send(before_pypiserver, body, secret=f"{PASSWORD},{code}")
    assert again.slug == "otp_invalid"


def test_a_code_in_a_header_of_its_own(
    before_pypiserver: Gateway, pypiserver: Index, release: Package, phone: Authenticator
) -> None:
    body = multipart(part(":action", b"remove_pkg"), *fields_of(release))
    answer = before_pypiserver.client().post(
        "/",
        auth=(USER, PASSWORD),
        body=body,
        fields={
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "X-OTP": phone.code(),
        },
    )
    assert answer.status == 200
    assert not there(pypiserver, release)


REMOVE = part(":action", b"remove_pkg")
UPLOAD = part(":action", b"file_upload")
FILE = part("content", b"PK", '; filename="x-1.0-py3-none-any.whl"')


@pytest.mark.parametrize(
    "parts",
    [
        [UPLOAD, FILE, REMOVE],
        [REMOVE, UPLOAD],
        [UPLOAD, REMOVE],
        [FILE, REMOVE],
        [UPLOAD, part(":action", b"remove_pkg", '; filename="a"')],
        [UPLOAD, b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; name=:action"
         b"\r\n\r\nremove_pkg\r\n"],
        [UPLOAD, b"--" + BOUNDARY.encode() + b"\r\ncontent-disposition:form-data;"
         b" name=x; name=\":action\"\r\n\r\nremove_pkg\r\n"],
        [UPLOAD, b"--" + BOUNDARY.encode() + b"\nContent-Disposition: form-data; name=\":action\""
         b"\n\nremove_pkg\r\n"],
        [UPLOAD, b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; name*=utf-8''"
         b"%3Aaction\r\n\r\nremove_pkg\r\n"],
        [part(":action", b" remove_pkg ")],
        [part(":ACTION", b"file_upload"), REMOVE],
    ],
    ids=[
        "after the file", "before an upload", "second", "after file only", "as a file",
        "unquoted name", "two names", "bare line feeds", "extended name", "blanks", "other case",
    ],
)  # fmt: skip
def test_no_form_hides_a_removal(
    parts: list[bytes], before_pypiserver: Gateway, pypiserver: Index, release: Package
) -> None:
    answer = send(before_pypiserver, multipart(*fields_of(release), *parts))
    assert there(pypiserver, release)
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", "%3Aaction=remove_pkg&name={n}&version={v}"),
        ("application/x-www-form-urlencoded", ":action=file_upload&:action=remove_pkg&name={n}"),
        ("application/x-www-form-urlencoded;charset=utf-16", ":action=remove_pkg&name={n}"),
        ("text/plain", ":action=remove_pkg&name={n}&version={v}"),
        ("", ":action=remove_pkg&name={n}&version={v}"),
        ("multipart/form-data", ":action=remove_pkg&name={n}&version={v}"),
        ("multipart/mixed; boundary=x", "--x\r\n\r\n:action=remove_pkg\r\n--x--"),
        ("multipart/form-data; boundary=x; boundary=y", "--y\r\n\r\n:action=remove_pkg\r\n--y--"),
    ],
    ids=["urlencoded", "urlencoded twice", "charset", "text", "none", "no boundary", "mixed",
         "two boundaries"],
)  # fmt: skip
def test_no_other_body_removes(
    kind: str, body: str, before_pypiserver: Gateway, pypiserver: Index, release: Package
) -> None:
    filled = body.format(n=release.name, v=release.version).encode()
    answer = send(before_pypiserver, filled, kind=kind or "x")
    assert there(pypiserver, release)
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("query", ["?:action=remove_pkg&name=doomed", "?%3Aaction=remove_pkg"])
def test_a_query_removes_nothing(
    query: str, before_pypiserver: Gateway, pypiserver: Index, release: Package
) -> None:
    answer = send(before_pypiserver, multipart(*fields_of(release)), target=f"/{query}")
    assert there(pypiserver, release)
    assert 400 <= answer.status < 500


def test_an_upload_beside_it_still_works(
    before_pypiserver: Gateway, pypiserver: Index, tmp_path: Path
) -> None:
    package = Package("beside", f"1.{os.getpid()}")
    named = f'; filename="{package.wheel_name}"'
    body = multipart(UPLOAD, *fields_of(package), part("content", wheel(package), named))
    assert send(before_pypiserver, body).status == 200
    assert there(pypiserver, package)

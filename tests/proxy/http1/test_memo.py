"""What is remembered of requests: never a credential, whoever sends or adds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.proxy.http1 import request_fields
from gateway.proxy.http1.request import RequestKind, read_request
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Forward
from gateway.proxy.rewrite import Rendered, Route, request_head
from tests.proxy.http1.readers import forget_shapes

PLAIN = b"GET /root/pypi/ HTTP/1.1\r\nHost: packages.example.org\r\nAccept: */*\r\n\r\n"
CLIENT = Rendered((("X-Forwarded-For", "192.0.2.7"),)).beyond_hygiene()
INJECTED = Route(Forward(add=(("X-Devpi-Auth", "c2VjcmV0"),)))
RULE = Route(Forward(), lasting=True)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    forget_shapes()
    yield
    forget_shapes()


def sent(route: Route) -> bytes:
    head = read_request(PLAIN, Limits())
    assert head is not None
    return request_head(head, route, CLIENT, b"localhost")


@pytest.mark.parametrize("field", [b"Authorization: Basic c2VjcmV0", b"Cookie: auth_tkt=c2VjcmV0"])
def test_blocks_with_credentials_are_not_remembered(field: bytes) -> None:
    for _ in range(40):
        read_request(PLAIN[:-2] + field + b"\r\n\r\n", Limits())
    assert not request_fields.PLAIN
    assert request_fields.SHAPES.recent
    assert b"c2VjcmV0" not in b"".join(
        shape.pattern.pattern for shape in request_fields.SHAPES.recent
    )


def test_a_credential_that_is_added_is_not_remembered() -> None:
    for route in (INJECTED, RULE, INJECTED):
        assert (b"X-Devpi-Auth: c2VjcmV0\r\n" in sent(route)) is (route is INJECTED)
        assert b"c2VjcmV0" not in b"".join(known.tail for known in request_fields.PLAIN.values())
    assert [known.route for known in request_fields.PLAIN.values()] == [RULE]


def test_what_is_remembered_is_sent_like_what_is_new() -> None:
    assert sent(RULE) == sent(RULE) == sent(RULE)


def test_a_remembered_line_does_not_excuse_its_fields() -> None:
    known: dict[bytes, RequestKind] = {}
    head = read_request(PLAIN, Limits(), known)
    assert head is not None
    known[head.line] = head.kind
    again = read_request(PLAIN + b"GET /next", Limits(), known)
    assert again is not None and (again.line, again.kind, again.size) == (
        head.line,
        head.kind,
        len(PLAIN),
    )
    with pytest.raises(Exception, match="bad_request"):
        read_request(head.line + b"\r\nHost: x\r\nHost: y\r\n\r\n", Limits(), known)
    with pytest.raises(Exception, match="head_too_large"):
        read_request(PLAIN, Limits(head=40), known)

"""Pushes that are called something else, before devpi with and without its plugins."""

from __future__ import annotations

import json

import pytest

from gateway.cli.demo.indexes import Package
from tests.gate.conftest import Serve
from tests.gate.test_tokens import make
from tests.support.servers import Index

PUSH = {"name": "hello", "version": "1.0", "posturl": "http://127.0.0.1:9/", "username": "u"}
SEARCH = b"<?xml version='1.0'?><methodCall><methodName>search</methodName><params><param><value>\
<struct><member><name>name</name><value><array><data><value><string>hello</string></value></data>\
</array></value></member></struct></value></param></params></methodCall>"


@pytest.mark.parametrize("plugins", ["devpi_server", "devpi_plain"])
def test_a_push_that_calls_itself_a_search(
    serve: Serve, request: pytest.FixtureRequest, plugins: str
) -> None:
    index: Index = request.getfixturevalue(plugins)
    served = serve("devpi", index.url)
    password = index.person("pusher", Package("hello", "1.0"))
    body = json.dumps({**PUSH, "password": "p"}).encode()

    def post(body: bytes, kind: str) -> tuple[int, str]:
        auth, fields = ("pusher", password), {"Content-Type": kind}
        told = served.client().call("POST", "/pusher/dev", auth=auth, body=body, fields=fields)
        return told.status, told.slug

    for kind in ("text/xml", "text/xml;charset=utf-8", "text/xml; charset=utf-16"):
        for lead in (b"", b" ", b"\xef\xbb\xbf"):
            assert post(lead + body, kind) == (400, "bad_request")
    status, slug = post(SEARCH, "text/xml")
    assert slug != "bad_request" and status == (200 if plugins == "devpi_server" else 400)


def test_a_token_that_only_reads_pushes_by_no_rule_of_its_owner(
    serve: Serve, devpi_plain: Index
) -> None:
    """The rule asks for no Content-Type, so what the token may do is judged by the body, too."""
    match = {"methods": ["POST"], "path": "/{user}/{index}"}
    rules = [{"name": "writes", "match": match, "policy": "authenticated"}]
    served = serve("devpi", devpi_plain.url, rules=rules, cases=None)
    password = devpi_plain.person("reader", Package("hello", "1.0"))
    token = make(served, "reader", password, actions=["read"]).text

    def post(body: bytes, kind: str) -> str:
        fields = {"Content-Type": kind, "Authorization": f"Bearer {token}"}
        return served.client().call("POST", "/reader/dev", body=body, fields=fields).slug

    body = json.dumps({"name": "hello", "version": "1.0", "targetindex": "reader/dev"}).encode()
    assert post(body, "text/xml") == "bad_request"
    assert post(body, "application/json") == "token_scope"
    assert post(SEARCH, "text/xml") not in ("bad_request", "token_scope")

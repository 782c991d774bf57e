"""pypiserver's own router and form parser on the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.http.facts import Field
from gateway.core.rules.rules import Policy, RuleSet
from gateway.settings import load
from tests.oracle import reading
from tests.oracle.spellings import spellings

CONFIG = Path(__file__).parents[2] / "config/pypiserver.yaml"
OPEN = {
    "favicon", "root", "pep_503_redirects", "handle_rpc", "simpleindex", "simple",
    "list_packages", "server_static", "json_info", "bad_url",
}  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load(CONFIG).ruleset()


@pytest.fixture(scope="module")
def router() -> Any:
    from pypiserver._app import app

    return app


def wsgiref_environ(method: str, target: str, fields: list[Field]) -> dict[str, Any] | None:
    """The environment as wsgiref, which pypiserver runs on where waitress is missing, has it."""
    import io

    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in fields]

    class Handler(WSGIRequestHandler):
        raw_requestline: bytes

        def __init__(self) -> None:
            self.rfile = io.BytesIO("\r\n".join([*lines, "", ""]).encode("latin-1"))
            self.wfile = io.BytesIO()
            self.client_address = ("127.0.0.1", 1)
            self.server = type("Server", (), {"base_environ": {}})()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def address_string(self) -> str:
            return "127.0.0.1"

    handler = Handler()
    handler.raw_requestline = handler.rfile.readline(65537)
    return handler.get_environ() if handler.parse_request() else None


def reached(router: Any, environ: dict[str, Any] | None) -> str:
    """The name of pypiserver's function that a request would reach, "" for none."""
    from pypiserver.bottle_wrapper.bottle import HTTPError

    if environ is None:
        return ""
    try:
        environ["PATH_INFO"] = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
        route, _ = router.router.match(environ)
    except (HTTPError, UnicodeError):
        return ""
    return str(route.callback.__name__)


def test_every_function_is_known(router: Any) -> None:
    names = {route.callback.__name__ for route in router.routes}
    # `update` and `protector` are what the decorator for passwords makes of several functions.
    assert names - OPEN - {"update", "protector", "log_error"} == set()


SPELLED = {
    "plain": ("POST", "/"),
    "lower-case method": ("post", "/"),
    "query": ("POST", "/?x"),
    "double slash": ("POST", "//"),
    "encoded slash": ("POST", "/%2f"),
}


def is_update(router: Any, environ: dict[str, Any] | None) -> bool:
    """Whether a request reaches the function that uploads and deletes (POST /)."""
    return (
        reached(router, environ) != ""
        and environ is not None
        and (environ["REQUEST_METHOD"].upper() == "POST" and environ["PATH_INFO"].strip("/") == "")
    )


@pytest.mark.parametrize(("method", "target"), SPELLED.values(), ids=SPELLED)
def test_the_update_is_guarded_in_every_spelling(rules: RuleSet, method: str, target: str) -> None:
    matched = reading.decided(rules, method, target, [])
    assert matched is None or matched.needs_form
    if matched is not None:
        assert matched.form_names == {":action"}


PATHS = st.one_of(
    st.just(()),
    st.sampled_from([("simple",), ("packages",), ("RPC2",), ("pkg",), ("pkg", "json")]),
    st.tuples(st.sampled_from(["simple", "packages", "x"]), st.sampled_from(["a", "a b", "+"])),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "post", "PUT", "DELETE", "PROXY", "ANY", "X"])


@settings(
    max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(METHODS, spellings(PATHS))
def test_whatever_reaches_the_update_is_judged_by_its_form(
    router: Any, rules: RuleSet, method: str, target: str
) -> None:
    matched = reading.decided(rules, method, target, [])
    if matched is None or matched.needs_form or matched.policy is not Policy.PASS:
        return
    for environ in (
        reading.environ_of(method, target, []),
        wsgiref_environ(method, target, []),
    ):
        assert not is_update(router, environ), f"{method} {target!r} met {matched}"

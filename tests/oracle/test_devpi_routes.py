"""devpi's own router on the same bytes: what reaches a guarded view there met a guard here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.http.facts import Field
from gateway.core.rules.rules import Policy, RuleSet
from gateway.settings import load
from tests.oracle import reading
from tests.oracle.spellings import spellings

pytestmark = pytest.mark.server  # devpi opens a socket as it starts, in this process
CONFIG = Path(__file__).parents[2] / "config/devpi.yaml"
GUARDS = {Policy.LOGIN, Policy.SECOND_FACTOR, Policy.DENY}
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

# Every view of devpi-server, devpi-web, devpi-lockdown and devpi-tokens is in one of the two.
GUARDED = {
    "login": "the login of devpi-client",
    "login_view": "the form of devpi-lockdown",
    "authcheck_view": "tells whether a password is right",
    "user_create": "account",
    "user_patch": "account",
    "user_delete": "account",
    "user_token_create": "token",
    "user_token_delete": "token",
    "user_tokens_info": "token",
    "index_create": "index settings",
    "index_modify": "index settings",
    "index_delete": "index settings",
    "del_project": "deletion",
    "del_versiondata": "deletion",
    "del_pkg": "deletion",
}
OPEN = {
    "apiconfig_index", "default_exceptionresponse_view", "doc_serve", "doc_show", "error_view",
    "get_changes", "get_multiple_changes", "index_get", "index_pep691_get", "installer_simple",
    "installer_simple_project", "logout_get_view", "logout_post_view", "mirror_pkgserv",
    "notfound", "post_toxresult", "project_get", "project_refresh", "pushrelease",
    "readonly_index_view", "root", "search", "search_help", "simple_list_all",
    "simple_list_all_redirect", "simple_list_project", "simple_list_project_redirect",
    "simple_refresh", "stage_pkgserv", "static", "status", "statusview", "submit", "toxresult",
    "toxresults", "user_get", "user_list", "version_get", "xmlrpc_search",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    name: str
    route: str | None
    methods: frozenset[str] | None


class Devpi:
    """The application of devpi-server with its plugins, asked only where a request would go."""

    def __init__(self, app: Any) -> None:
        from pyramid.interfaces import IRoutesMapper

        self._middleware, router = app, app
        while hasattr(router, "app"):
            self._middleware, router = router, router.app
        self._registry = router.registry
        self._mapper = router.registry.getUtility(IRoutesMapper)
        found = self._registry.introspector.get_category("views")
        self.views = [self._view(each["introspectable"]) for each in found]

    def _view(self, each: Any) -> View:
        methods = each["request_methods"]
        if isinstance(methods, str):
            methods = (methods,)
        if methods is not None and "GET" in methods:
            methods = (*methods, "HEAD")  # as pyramid does
        attr = each["attr"]
        name = (
            getattr(each["callable"], "__name__", "static") if attr in (None, "__call__") else attr
        )
        if name == "SearchView":
            name = "search"
        return View(name, each["route_name"], None if methods is None else frozenset(methods))

    def reached(self, method: str, target: str, fields: list[Field]) -> set[str]:
        """The names of the views a request could reach; predicates on views count as met."""
        environ = reading.environ_of(method, target, fields)
        if environ is None:
            return set()
        matched: dict[str, Any] = {}

        def application(environ: Any, start_response: Any) -> list[bytes]:
            from pyramid.request import Request

            request = Request(environ)
            request.registry = self._registry
            matched.update(self._mapper(request))
            return []

        from devpi_server.middleware import OutsideURLMiddleware

        try:
            OutsideURLMiddleware(application, self._middleware.xom)(environ, None)
        except UnicodeDecodeError:
            return set()  # 400 there
        route = matched.get("route")
        if route is None:
            return set()
        return {
            view.name
            for view in self.views
            if view.route == route.name and (view.methods is None or method in view.methods)
        }


@pytest.fixture(scope="module")
def devpi(devpi_app: Any) -> Devpi:
    return Devpi(devpi_app)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load(CONFIG).ruleset()


def test_every_view_is_known(devpi: Devpi) -> None:
    """A new version of devpi with a new view is looked at before it is trusted."""
    names = {view.name for view in devpi.views}
    assert names - set(GUARDED) - OPEN == set()
    assert set(GUARDED) <= names


REACHES = {
    "login": ("POST", "/+login", [("Accept", "application/json")], "login"),
    "login form": ("POST", "/+login", [("Accept", "text/html")], "login_view"),
    "double slash": ("POST", "//+login", [("Accept", "application/json")], "login"),
    "encoded plus": ("POST", "/%2Blogin", [("Accept", "application/json")], "login"),
    "account": ("PATCH", "/alice", [], "user_patch"),
    "account, slash": ("PATCH", "/alice/", [], "user_patch"),
    "account, encoded slash": ("PATCH", "/alice%2F", [], "user_patch"),
    "account, encoded first slash": ("PATCH", "/%2falice", [], "user_patch"),
    "account, encoded letter": ("PATCH", "/%61lice", [], "user_patch"),
    "new account": ("PUT", "/alice", [], "user_create"),
    "no account": ("DELETE", "/alice", [], "user_delete"),
    "token": ("POST", "/alice/+token-create", [], "user_token_create"),
    "index": ("PUT", "/alice/dev", [], "index_create"),
    "index settings": ("PATCH", "/alice/dev/", [], "index_modify"),
    "no index": ("DELETE", "/alice/dev", [], "index_delete"),
    "project": ("DELETE", "/alice/dev/pkg", [], "del_project"),
    "release": ("DELETE", "/alice/dev/pkg/1.0", [], "del_versiondata"),
    "file": ("DELETE", "/alice/dev/+f/a/b/c.whl", [], "del_pkg"),
    "mirrored file": ("DELETE", "/alice/dev/+e/a/b/c.whl", [], "del_pkg"),
}


@pytest.mark.parametrize(("method", "target", "fields", "view"), REACHES.values(), ids=REACHES)
def test_the_oracle_sees_guarded_views(
    devpi: Devpi, rules: RuleSet, method: str, target: str, fields: list[Field], view: str
) -> None:
    """So that the property below cannot hold for want of anything to see."""
    assert view in devpi.reached(method, target, fields)
    matched = reading.decided(rules, method, target, fields)
    assert matched is None or matched.policy in GUARDS


def test_the_oracle_sees_what_a_header_moves(devpi: Devpi) -> None:
    moved = [("X-Outside-URL", "http://x/foo"), ("Accept", "application/json")]
    assert "login" in devpi.reached("POST", "/foo/+login", moved)
    assert not devpi.reached("POST", "/foo/+login", reading.passed_on(moved))


SEGMENT = st.sampled_from(["alice", "root", "pypi", "dev", "pkg", "1.0", "x.whl", "%", "a+b"])
PATHS = st.one_of(
    st.sampled_from([("+login",), ("+logout",), ("+authcheck",), ("+api",), ("+search",)]),
    st.lists(SEGMENT, min_size=1, max_size=4).map(tuple),
    st.tuples(SEGMENT, st.sampled_from(["+token-create", "+tokens"])),
    st.tuples(SEGMENT, st.just("+tokens"), SEGMENT),
    st.tuples(SEGMENT, SEGMENT, st.sampled_from(["+f", "+e", "+simple"]), SEGMENT, SEGMENT),
    st.tuples(SEGMENT, SEGMENT, st.just("+simple"), SEGMENT, st.just("refresh")),
    st.tuples(SEGMENT, SEGMENT, SEGMENT, st.just("refresh")),
    st.tuples(SEGMENT, SEGMENT, SEGMENT, SEGMENT, st.sampled_from(["+doc", "+d"]), SEGMENT),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PUSH", "OPTIONS", "X"])
# Half of the requests are meant as a guarded one, so that each spelling of it comes up.
MEANT = st.sampled_from(
    [
        (method, tuple(target.strip("/").split("/")))
        for method, target, _, _ in REACHES.values()
        if "%" not in target
    ]
)
REQUESTS = st.one_of(
    MEANT.flatmap(lambda meant: st.tuples(st.just(meant[0]), spellings(st.just(meant[1])))),
    st.tuples(METHODS, spellings(PATHS)),
)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("Accept", "application/json"),
            ("Accept", "text/html"),
            ("User-Agent", "pip/25.0"),
            ("Content-Type", FORM_TYPES[0]),
            ("Content-Type", FORM_TYPES[1] + "; boundary=x"),
            ("Content-Type", "application/json"),
            ("X-Outside-URL", "http://x/foo"),
            ("X_Outside_URL", "http://x/alice"),
            ("X-Forwarded-Prefix", "/foo"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-Original-URI", "/+login"),
            ("X-Rewrite-URL", "/+login"),
        ]
    ),
    unique_by=lambda field: field[0],
    max_size=3,
)


@settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REQUESTS, HEADERS)
def test_whatever_reaches_a_guarded_view_met_a_guard(
    devpi: Devpi, rules: RuleSet, request_: tuple[str, str], fields: list[Field]
) -> None:
    method, target = request_
    matched = reading.decided(rules, method, target, fields)
    if matched is None or matched.policy in GUARDS:
        return
    reached = devpi.reached(method, target, reading.passed_on(fields)) & set(GUARDED)
    if reached == {"login_view"} and method in ("GET", "HEAD"):
        # The form itself: it logs in only with a body of a form type (webob's request.POST).
        assert not dict(fields).get("Content-Type", "").startswith(FORM_TYPES)
        reached = set()
    assert not reached, f"{matched} lets {method} {target!r} through"

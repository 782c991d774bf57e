"""The page at `/` before pypiserver: for people in a browser, and for nobody else."""

from __future__ import annotations

from typing import Any

from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served
from tests.support import servers
from tests.support.http import Answer, Client
from tests.web.markup import Markup

NOT_PEOPLE: dict[str, tuple[str, str, dict[str, str]]] = {
    "pip": ("GET", "/", {"Accept": "application/vnd.pypi.simple.v1+json, text/html; q=0.01"}),
    "curl": ("GET", "/", {"Accept": "*/*"}),
    "a script of a page": ("GET", "/", {"Sec-Fetch-Mode": "cors", "Accept": "text/html"}),
    "HEAD": ("HEAD", "/", {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}),
    "another page": ("GET", "/simple/", {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}),
}
OLD_BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0", "Accept": "text/html,*/*"}


def ours(answer: Answer) -> bool:
    return 'id="install"' in answer.text


def private(**first: Any) -> dict[str, Any]:
    rules = [{"name": "all", "match": {"path": "/**"}, "policy": "authenticated"}]
    return {"rules": [first, *rules] if first else rules, "tests": None}


def before(serve: Serve, index: servers.Index, **more: Any) -> Served:
    look = {"appearance__name": "Our packages", "appearance__front_page": True}
    return serve("pypiserver", index.url, **look, **more)


def test_people_get_the_way_in_and_programs_the_index(
    serve: Serve, pypiserver: servers.Index
) -> None:
    served = before(serve, pypiserver)
    page = served.client().browse("GET", "/")
    assert (page.status, ours(page)) == (200, True)
    assert page.first("cache-control") == "no-store"
    links = [a.attributes["href"] for a in Markup(page.text).all("a")]
    assert {"/+auth/login", "/+auth/", "/simple/", "/+auth/tokens"} <= set(links)
    assert "Our packages" in page.text
    assert f"pip install --index-url {served.url}/simple/ PACKAGE" in page.text
    assert f"twine upload --repository-url {served.url}/ dist/*" in page.text
    assert "pip asks for a name" not in page.text, "anybody may read"
    assert ours(served.client().get("/", fields=OLD_BROWSER)), "without Fetch Metadata"
    straight = Client(pypiserver.port)
    for name, (method, target, fields) in NOT_PEOPLE.items():
        for client in (served.client(), keeping(served)):
            told = client.call(method, target, fields=fields)
            same = straight.call(method, target, fields=fields)
            assert (told.status, ours(told)) == (same.status, False), name
            assert len(told.text) > 0 or method == "HEAD", name
    refused = served.client().browse("POST", "/")
    assert refused.status >= 400 or not ours(refused)


def keeping(served: Served) -> Any:
    """A client on whose connection the page was just given: nothing of it is remembered."""
    client = served.client()
    assert ours(client.browse("GET", "/"))
    return client


def test_somebody_who_is_logged_in_is_told_so(serve: Serve, pypiserver: servers.Index) -> None:
    served = before(serve, pypiserver)
    served.enrol("alice")
    browser = served.browse_in("alice", PYPISERVER_USERS["alice"], goto="/")
    page = browser.browse("GET", "/")
    assert ours(page) and "You are logged in as <strong>alice</strong>" in page.text
    assert 'action="/+auth/logout"' in page.text
    assert 'href="/+auth/login"' not in page.text


def test_a_private_index_names_no_project(serve: Serve, pypiserver: servers.Index) -> None:
    served = before(serve, pypiserver, **private())
    page = served.client().browse("GET", "/")
    assert ours(page) and "pip asks for a name and a password" in page.text
    assert "hello" not in page.text
    assert served.client().get("/").status == 401, "programs give a password"
    assert served.client().browse("GET", "/simple/").status == 303


def test_a_rule_that_denies_it_decides(serve: Serve, pypiserver: servers.Index) -> None:
    closed = {"name": "closed", "match": {"methods": ["GET"], "path": "/"}, "policy": "deny"}
    served = before(serve, pypiserver, **private(**closed))
    page = served.client().browse("GET", "/")
    assert (page.status, ours(page)) == (403, False)


def test_without_the_option_it_is_the_indexs(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve("pypiserver", pypiserver.url)
    page = served.client().browse("GET", "/")
    assert (page.status, ours(page)) == (200, False)

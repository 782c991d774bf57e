"""How browsers are told to treat what the index answers, rule by rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.gate.conftest import Serve
from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served

PAGE = b"<!DOCTYPE html><html><body>hello"
DOC = "/alice/dev/hello/1.0/+doc/index.html"


def answer(seen: Seen) -> bytes:
    path = seen.line.split(b" ")[1].split(b"?")[0]
    kind = b"text/html; charset=UTF-8"
    if path.endswith(b".js"):
        kind = b"text/javascript"
    head = b'HTTP/1.1 200 OK\r\nContent-Type: %s\r\nEtag: "e"\r\n' % kind
    if b"chunked" in path:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE)
    if b"packed" in path:
        head += b"Content-Encoding: gzip\r\n"
    if b"own-policy" in path:
        head += b"content-security-policy: default-src *\r\n"
    body = b"" if seen.line.startswith(b"HEAD") else PAGE
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(PAGE), body)


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(answer) as recorder:
        yield recorder


@pytest.fixture
def served(serve: Serve, upstream: Recorder) -> Served:
    return serve("devpi", upstream.url)


def policy(served: Served, path: str, **fields: str) -> str:
    return served.client().get(path, fields=fields).first("content-security-policy")


def directives(text: str) -> dict[str, str]:
    return {name: rest for name, _, rest in (one.strip().partition(" ") for one in text.split(";"))}


def test_uploaded_files_are_inert(served: Served) -> None:
    for path in ("/a/d/+f/1/2/x.tar.gz", "/a/d/+e/x/x.zip", "/a/d/+simple/hello/"):
        for _ in range(20):  # also when the answer's shape is known
            told = served.client().get(path)
            said = directives(told.first("content-security-policy"))
            assert "allow-scripts" not in said["sandbox"]
            assert "allow-same-origin" not in said["sandbox"]
            assert said["default-src"] == "'none'"
            assert told.first("x-content-type-options") == "nosniff"
            assert told.body == PAGE
            assert told.first("etag") == '"e"'


def test_pages_run_files_of_the_index_only(served: Served) -> None:
    for path in ("/", "/alice", "/alice/dev/hello", "/+search?query=x", "/+login"):
        said = directives(policy(served, path))
        assert said["script-src"] == "'self'"
        assert {"base-uri", "form-action", "frame-ancestors", "default-src"} <= set(said)
        assert "sandbox" not in said


def test_what_no_rule_matches_and_a_refused_login_are_pages_too(
    serve: Serve, upstream: Recorder
) -> None:
    served = serve("devpi", upstream.url, default="pass", allow_open_default=True)
    told = served.client().call("PUT", "/+something/of/another/plugin")
    assert directives(told.first("content-security-policy"))["script-src"] == "'self'"
    upstream.answer = lambda _: (
        b"HTTP/1.1 401 No\r\nContent-Security-Policy: script-src *\r\n"
        b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\nno"
    )
    form = {"username": "alice", "password": "wrong"}
    told = served.client().browse("POST", "/+login", form=form, fields=served.ours())
    assert (told.status, told.body) == (401, b"no")
    (said,) = told.all("content-security-policy")
    assert directives(said)["script-src"] == "'self'"


@pytest.mark.parametrize("kind", ["/alice", "/a/d/+f/1/2", "/a/d/p/1/+doc"])
def test_the_index_cannot_weaken_it(served: Served, kind: str) -> None:
    for _ in range(20):
        told = served.client().get(f"{kind}/own-policy")
        (said,) = told.all("content-security-policy")
        assert "default-src *" not in said


# -- what pages may take in ---------------------------------------------------------------------

UPLOADED = ("/a/d/+f/1/x.zip", "/a/d/+e/x.js", DOC, "/alice/dev/hello/1.0/+doc/evil.js")


@pytest.mark.parametrize("kind", ["script", "style", "worker", "serviceworker", "object", "xslt"])
def test_no_page_of_the_index_takes_in_what_people_uploaded(served: Served, kind: str) -> None:
    """`script-src 'self'` alone would let it."""
    asked = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": kind}
    for path in UPLOADED:
        assert served.client().get(path).status == 200  # no browser: also remembered as such
        told = served.client().get(path, fields=asked)
        assert (told.status, told.slug) == (403, "not_part_of_a_page"), path
    assert served.client().get("/+static-5.1.1/common.js", fields=asked).status == 200


def test_documentation_takes_in_its_own_files(served: Served) -> None:
    """Its sandbox is another origin."""
    for kind in ("script", "style", "font", "image"):
        asked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": kind}
        assert served.client().get("/a/d/p/1/+doc/_static/x.js", fields=asked).status == 200


# -- documentation in a sandbox -----------------------------------------------------------------


def test_the_frame_leads_to_what_is_in_it(served: Served, upstream: Recorder) -> None:
    """A page cannot look into a frame that is in a sandbox, and devpi-web's has to."""
    for frame, inside in {
        "/a/d/p/1/+d/x/index.html": "/a/d/p/1/+doc/x/index.html",
        "/a/d/p/1/%2Bd/index.html?q=%2Bd": "/a/d/p/1/+doc/index.html?q=%2Bd",
        "/a/d/p/1/+d/": "/a/d/p/1/+doc/",
    }.items():
        for method in ("GET", "HEAD"):
            told = served.client().call(method, frame)
            assert (told.status, told.first("location")) == (303, inside)
    assert not upstream.seen


@pytest.mark.parametrize("name", ["index.html", "chunked.html"])
def test_a_page_begins_with_what_a_sandbox_lacks(
    served: Served, upstream: Recorder, name: str
) -> None:
    fields = {"Accept": "text/html", "If-None-Match": '"e"', "Range": "bytes=0-1",
              "Accept-Encoding": "gzip"}  # fmt: skip
    told = served.client().get(f"/a/d/p/1/+doc/{name}", fields=fields)
    assert told.status == 200
    doctype, rest = PAGE[:15], PAGE[15:]
    if name == "index.html":  # the page's own doctype stays the first
        assert told.body.startswith(doctype + b" " * 15 + b"<script>")
        assert told.body.endswith(b"</script>\n" + rest)
    else:
        assert told.body.startswith(b"<!doctype html><script>")
        assert told.body.endswith(b"</script>\n" + PAGE)
    for gone in ("if-none-match", "range", "accept-encoding"):
        assert not upstream.seen[-1].all(gone)
    if name == "index.html":
        assert int(told.first("content-length")) == len(told.body)
        head = served.client().call("HEAD", f"/a/d/p/1/+doc/{name}", fields=fields)
        assert (head.status, head.body) == (200, b"")
        assert head.first("content-length") == told.first("content-length")


def test_everything_else_in_it_is_as_it_was(served: Served) -> None:
    for path, accept in (
        ("/a/d/p/1/+doc/x.js", "text/html"),
        ("/a/d/p/1/+doc/packed.html", "text/html"),
        ("/a/d/p/1/+doc/index.html", "*/*"),
    ):
        assert served.client().get(path, fields={"Accept": accept}).body == PAGE, path


def mark_of(served: Served, path: str) -> str:
    page = served.client().get(path, fields={"Accept": "text/html"}).text
    found = re.search(r'"ig-doc", "([^"]+)"', page)
    assert found
    return found[1]


def opened(served: Served, target: str, **fields: str) -> str:
    told = served.client().get(target, fields={"Origin": "null", **fields})
    return told.first("access-control-allow-origin")


def test_files_of_documentation_are_open_to_its_own_pages_only(served: Served) -> None:
    """Every page can have the origin "null", so that alone says nothing."""
    mark = mark_of(served, DOC)
    file = "/alice/dev/hello/1.0/+doc/search/index.json"
    assert opened(served, f"{file}?ig-doc={mark}") == "null"
    assert opened(served, file, Referer=f"{served.url}/alice/dev/hello/1.0/+doc/x.css") == "null"
    assert opened(served, file) == ""
    assert opened(served, f"{file}?ig-doc=x") == ""
    assert opened(served, file, Referer="http://evil.example/") == ""
    assert opened(served, file, Referer="http://[") == ""
    other = "/alice/dev/other/1.0/+doc/index.html"
    assert opened(served, f"{other}?ig-doc={mark}") == "", "a mark is for one documentation"
    for elsewhere in ("/alice/dev/hello/1.0", "/+api", "/a/d/+f/1/x.zip"):
        assert opened(served, f"{elsewhere}?ig-doc={mark}") == ""
    assert served.client().get(f"{file}?ig-doc={mark}").first("access-control-allow-origin") == ""
    served.offset += 24 * 3600
    assert opened(served, f"{file}?ig-doc={mark}") == "null"
    served.offset += 24 * 3600
    assert opened(served, f"{file}?ig-doc={mark}") == ""


def test_private_documentation_stays_in_the_sandbox(serve: Serve, upstream: Recorder) -> None:
    """The documentation's own host knows nobody, so it cannot show what is not for everybody."""
    rules = [
        {
            "name": "documentation",
            "match": {"path": "/{user}/{index}/{project}/{version}/+doc/**"},
            "policy": "authenticated",
            "response": "documentation",
        }
    ]
    its_own = "http://docs.example.net"
    served = serve("devpi", upstream.url, documentation_url=its_own, rules=rules, tests=[])
    assert served.client().get(DOC).status == 401
    told = served.client().get(DOC, fields={"Host": "docs.example.net"})
    assert (told.status, told.first("location")) == (303, served.url + DOC)


def test_no_credential_reaches_the_index_from_the_documentations_host(
    serve: Serve, upstream: Recorder
) -> None:
    served = serve("devpi", upstream.url, documentation_url="http://docs.example.net")
    for host in ("docs.example.net", "DOCS.example.net"):
        told = served.client().get(
            f"{DOC}?q=1",
            fields={
                "Host": host,
                "Cookie": "auth_tkt=x%3Ay; ig-session=z; other=1",
                "Authorization": "Basic eDp5",
                "X-Devpi-Auth": "eDp5",
                "X-Outside-URL": "http://evil.example",
            },
        )
        assert (told.status, told.body) == (200, PAGE)
        seen = upstream.seen[-1]
        for name in ("cookie", "authorization", "x-devpi-auth"):
            assert not seen.all(name), name
        assert seen.all("x-outside-url") == ["http://docs.example.net"]
        assert directives(told.first("content-security-policy")) == {"frame-ancestors": "'self'"}
    served.client().get("/alice", fields={"Accept": "text/html"})
    assert upstream.seen[-1].all("x-outside-url") == [served.url]

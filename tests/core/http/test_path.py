"""The canonical path: one meaning per accepted target, whoever decodes it."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from gateway.core.errors import Refusal
from gateway.core.http.path import local_path, parse_target, segment_problem

REFUSED = {
    "double slash in front": "//+login",
    "double slash inside": "/root//pypi",
    "double slash at the end": "/root//",
    "only slashes": "//",
    "dot segment": "/x/./+login",
    "dot segment at the end": "/x/.",
    "parent": "/x/../+login",
    "parent at the end": "/x/..",
    "encoded parent": "/x/%2e%2e/+login",
    "half encoded parent": "/x/.%2E/+login",
    "encoded dot": "/%2e/+login",
    "encoded slash": "/root%2Fpypi",
    "encoded slash, lower case": "/root%2fpypi",
    "encoded slash at the end": "/root%2F",
    "only an encoded slash": "/%2f",
    "backslash": "/root\\pypi",
    "encoded backslash": "/root%5cpypi",
    "double encoding": "/%252e%252e/+login",
    "encoded percent": "/100%25",
    "bad escape": "/%zz",
    "cut escape": "/%2",
    "lone percent": "/%",
    "overlong slash": "/%c0%af",
    "bad UTF-8": "/%ff",
    "cut UTF-8": "/%e2%82",
    "surrogate": "/%ed%a0%80",
    "NUL": "/login%00",
    "newline": "/login%0a",
    "carriage return": "/login%0d",
    "tab": "/login%09",
    "DEL": "/login%7f",
    "C1 control": "/login%c2%85",
    "raw newline": "/login\n",
    "raw blank": "/log in",
    "raw tab": "/login\t",
    "raw latin-1": "/caf\xe9",
    "path parameter": "/+login;x=1",
    "encoded semicolon": "/+login%3bx",
    "encoded question mark": "/x%3F/y",
    "encoded hash": "/x%23/y",
    "fragment": "/x#y",
    "fragment in the query": "/x?a#b",
    "raw byte in the query": "/x?caf\xe9",
    "newline in the query": "/x?a\nb",
    "absolute form": "http://other/+login",
    "absolute form, own host": "http://localhost:8080/+login",
    "authority form": "localhost:443",
    "asterisk form": "*",
    "no slash": "+login",
    "empty": "",
    "only a query": "?x",
}

ACCEPTED = {
    "root": ("/", "/", ""),
    "root with a query": ("/?x", "/", "x"),
    "plain": ("/root/pypi", "/root/pypi", ""),
    "one slash at the end": ("/root/", "/root", ""),
    "plus": ("/+login", "/+login", ""),
    "encoded plus": ("/%2Blogin", "/+login", ""),
    "encoded letter": ("/%72oot", "/root", ""),
    "encoded letter and a slash": ("/%72oot/", "/root", ""),
    "unicode": ("/caf%C3%A9", "/café", ""),
    "dots in a name": ("/packages/a..b-1.0.tar.gz", "/packages/a..b-1.0.tar.gz", ""),
    "name that begins with a dot": ("/.well-known/x", "/.well-known/x", ""),
    "three dots": ("/...", "/...", ""),
    "encoded blank": ("/a%20b", "/a b", ""),
    "query that looks like a path": ("/account?path=/simple/../x", "/account", "path=/simple/../x"),
    "escapes in the query": ("/x?a=%2F%00", "/x", "a=%2F%00"),
    "two question marks": ("/x?a?b", "/x", "a?b"),
    "sub-delims": ("/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b", ""),
    "what browsers leave raw": ("/a[1]|b^c`d/x", "/a[1]|b^c`d/x", ""),
    "the same behind an escape": ("/%61[1]|b^c", "/a[1]|b^c", ""),
    "what curl leaves raw": ('/{user}/"x"/<y>', '/{user}/"x"/<y>', ""),
    "a bracket first": ("/[a]", "/[a]", ""),
}


@pytest.mark.parametrize("target", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(target: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_target(target)
    assert caught.value.slug == "ambiguous_target"
    assert caught.value.status == 400
    assert local_path(target) is None


@pytest.mark.parametrize(("target", "path", "query"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_means_one_thing_is_decoded_once(target: str, path: str, query: str) -> None:
    assert parse_target(target) == (path, query)
    assert local_path(target) == target


@pytest.mark.parametrize(
    "target", ["//evil", "/\\evil", "/%09/evil", "https:evil", "\t//evil", "/%5cevil", "/\t/evil"]
)
def test_no_way_back_leads_to_another_host(target: str) -> None:
    assert local_path(target) is None


# Pieces that a target is built from: plain ones, and each spelling that has fooled a server.
# fmt: off
PIECES = st.sampled_from([
    "/", "/", "/", "a", "root", "+login", "%2Blogin", "%72oot", ".", "..", "%2e", "%2E%2e", "%2f",
    "%5c", "\\", "%25", "%252f", "%00", "%0a", "%c0%af", "%C3%A9", "\xe9", ";", "%3b", "?", "#",
    "%3f", "%23", "%", "%2", "~", "%20", "+", "@", ":", "\x7f", "%ef%bc%8f", " ", "\r\n", "\t",
    "[", "]", "|", "^", "`", "{", "}", '"', "<", ">", "[::1]", "%5b", "%7C",
])
# fmt: on
TARGETS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join).map(lambda text: "/" + text),
    st.lists(PIECES, max_size=8).map("".join),
    st.text(st.characters(max_codepoint=255), max_size=12).map(lambda text: "/" + text),
)


def parsed(target: str) -> tuple[str, str] | None:
    try:
        return parse_target(target)
    except Refusal:
        return None


def waitress_path(target: str) -> str:
    """PATH_INFO as waitress (devpi) makes it, decoded as WebOb does."""
    parser = HTTPRequestParser(Adjustments())
    parser.received(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
    assert parser.error is None, parser.error.body
    info = "/" + parser.path.lstrip("/")  # as waitress.task does
    return str(info.encode("latin-1").decode())


def wsgiref_path(target: str) -> str:
    """PATH_INFO as wsgiref (pypiserver) makes it, decoded as bottle does."""
    path = target.partition("?")[0]
    return unquote(path, "iso-8859-1").encode("latin-1").decode()


@given(TARGETS)
@example("/%2Blogin/")
@example("/caf%C3%A9?x=//")
def test_every_server_reads_the_same_path(target: str) -> None:
    result = parsed(target)
    if result is None:
        return
    path, query = result
    spelled = {path, path + "/"} if path != "/" else {"/"}
    for read in (waitress_path(target), wsgiref_path(target), unquote(target.partition("?")[0])):
        assert read in spelled
        assert read.rstrip("/") == path.rstrip("/")
    assert target.partition("?")[2] == query


@given(TARGETS)
def test_a_canonical_path_holds_nothing_to_decode_or_resolve(target: str) -> None:
    result = parsed(target)
    if result is None:
        return
    path = result[0]
    assert path.startswith("/")
    assert path == "/" or not path.endswith("/")
    assert unquote(path) == path
    assert not any(segment_problem(part) for part in path.split("/")[1:] if path != "/")
    assert not set(path) & set("\\;?#%\x00\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=4))
def test_every_spelling_of_a_path_gives_that_path(parts: list[str]) -> None:
    """Percent-encoding everything must not lead to another path than encoding little."""
    if any(segment_problem(part) for part in parts):
        return
    everything = "/" + "/".join("".join(f"%{byte:02x}" for byte in part.encode()) for part in parts)
    assert parse_target(everything).path == "/" + "/".join(parts)
    if parts:
        assert parse_target(everything + "/").path == "/" + "/".join(parts)


WORDS = {
    "//x": "is empty",
    "/x/../y": "is a dot segment",
    "/a%2Fb": "separator",
    "/a\\b": "backslash",
    "/a;b": "semicolon",
    "/a#b": "fragment",
    "/a?b#c": "fragment",
    "/100%": "percent sign",
    "/%ff": "UTF-8",
    "/a b": "percent-encoded",
    "/caf\xe9": "percent-encoded",
    "http://x/": "does not begin",
    "*": "does not begin",
}


@pytest.mark.parametrize(("target", "words"), WORDS.items())
def test_a_refusal_says_what_is_wrong_with_this_target(target: str, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_target(target)
    assert words in caught.value.text


def test_every_visible_character_means_the_same_raw_and_encoded() -> None:
    for char in map(chr, range(0x21, 0x7F)):
        encoded = parsed(f"/a%{ord(char):02x}b")
        raw = parsed(f"/a{char}b")
        if char in "/?#;%\\":
            assert encoded is None  # decoded, it could be read as another path
            assert char in "/?" or raw is None
        else:
            assert raw == encoded == (f"/a{char}b", "")


def test_a_hostile_target_costs_one_pass() -> None:
    """No back-tracking: a target of a mebibyte that fails at its end is refused at once."""
    for target in ("/" + "a" * 2**20 + "%", "/a" * 2**19 + "//", "/" + "%41" * 2**18 + "%"):
        assert parsed(target) is None

"""What each server's own code reads out of a request, against what the adapters read.

Two things must hold for any bytes: a credential the server sees is never missed, and one the
adapter names is the one the server sees.
"""

from __future__ import annotations

import base64
from importlib import import_module
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypiserver.pkg_helpers import guess_pkgname_and_version, normalize_pkgname
from pyramid.request import Request

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.tokens.projects import file_belongs, projects_of
from gateway.core.upstream import Carrier, Credential, Upstream
from gateway.upstreams.devpi import Devpi
from gateway.upstreams.pypiserver import Pypiserver

import_module("urllib3")  # devpi imports it; at that moment it binds a socket, to look for IPv6

# What the front accepts in a field value; more is refused before any adapter sees it.
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"))
PAIR = st.builds(
    lambda user, secret, mark: f"{user}{mark}{secret}",
    st.text(max_size=8),
    st.text(max_size=12),
    st.sampled_from([":", ":", ":", "", "::"]),
)
ENCODED = st.builds(
    lambda text, codec: base64.b64encode(text.encode(codec, "replace")).decode(),
    PAIR,
    st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
MANGLED = st.builds(
    lambda text, junk, at: text[:at] + junk + text[at:],
    ENCODED,
    st.sampled_from(["", " ", "=", "==", "-", "_", "\t", '"', "!", "A", ",", "\xa0"]),
    st.integers(0, 20),
)
SCHEME = st.sampled_from(
    [
        "Basic ",
        "basic ",
        "BASIC ",
        "Basic  ",
        "Basic\t",
        "Basic",
        "Bearer ",
        "bearer ",
        "Digest ",
        "",
    ]
)
AUTHORIZATION = st.one_of(VALUE, st.builds(str.__add__, SCHEME, st.one_of(ENCODED, MANGLED)))


def facts(*fields: tuple[str, str]) -> Facts:
    return Facts("GET", "/", "/", "", tuple((n, v.strip(" \t")) for n, v in fields), None)


def webob(name: str, value: str) -> Any:
    return Request.blank("/", environ={name: value.strip(" \t")})


def devpi_sees(name: str, value: str) -> tuple[str, str] | None:
    """By devpi's plugins themselves, as pluggy would call them."""
    import devpi_lockdown.main
    import devpi_server.auth_basic
    import devpi_server.auth_devpi

    plugin = {
        "HTTP_AUTHORIZATION": devpi_server.auth_basic,
        "HTTP_X_DEVPI_AUTH": devpi_server.auth_devpi,
        "HTTP_COOKIE": devpi_lockdown.main,
    }[name]
    try:
        found = plugin.devpiserver_get_credentials(webob(name, value))
    except Exception:  # an error of the server is a 500, no credential
        return None
    return cast("tuple[str, str] | None", found)


def only(upstream: Upstream, place: str, *fields: tuple[str, str]) -> Carrier | None:
    found = [c for c in upstream.carriers(facts(*fields)) if c.place == place]
    assert len(found) <= 1
    return found[0] if found else None


def agree(carrier: Carrier | None, seen: tuple[str, str] | None) -> None:
    if seen is not None:
        assert carrier is not None, "the server sees a credential that the adapter missed"
    if carrier is not None and carrier.credential is not None:
        assert seen == (carrier.credential.user, carrier.credential.secret)


@given(AUTHORIZATION)
@example("Basic " + base64.b64encode(b"root:pw").decode())
@example("Basic " + base64.b64encode(b"root:p\xe4").decode())
@example("Basic cm9vdDpwdw")
@settings(max_examples=600, deadline=None)
def test_basic_at_devpi(value: str) -> None:
    agree(
        only(Devpi(), "authorization", ("authorization", value)),
        devpi_sees("HTTP_AUTHORIZATION", value),
    )


@given(st.one_of(VALUE, ENCODED, MANGLED))
@settings(max_examples=600, deadline=None)
def test_x_devpi_auth_at_devpi(value: str) -> None:
    agree(
        only(Devpi(), "x-devpi-auth", ("x-devpi-auth", value)),
        devpi_sees("HTTP_X_DEVPI_AUTH", value),
    )


COOKIE_PARTS = st.sampled_from(
    [
        "auth_tkt", "=", "; ", ";", " ", '"', "\\", "a", "root%3Atok", "root:tok", "x=1", ",",
        "AUTH_TKT", "%", "%zz", "%ff%3Ax", "[", "\\141", "Mon, 01-Jan-2030 00:00:00 GMT", "\t",
        "auth_tkt=root%3Atok",
    ]
)  # fmt: skip


@given(st.lists(COOKIE_PARTS, max_size=9).map("".join))
@example("auth_tkt=root%3Atok")
@example("[auth_tkt=root%3Atok")
@example("x auth_tkt = root%3Atok")
@example('a="; auth_tkt=x"; auth_tkt=root%3Atok')
@settings(max_examples=1500, deadline=None)
def test_the_cookie_at_devpi_lockdown(value: str) -> None:
    seen = devpi_sees("HTTP_COOKIE", value)
    try:
        carrier = only(Devpi(), "cookie:auth_tkt", ("cookie", value))
    except Refusal as refusal:
        assert refusal.slug == "mixed_credentials"
        return
    if seen is not None:
        assert carrier is not None
        if carrier.credential is not None:
            assert seen == (carrier.credential.user, carrier.credential.secret)


@given(AUTHORIZATION)
@example("basic " + base64.b64encode(b"root:pw").decode())
@example("Basic " + base64.b64encode(b"root:pw\xff").decode())
@settings(max_examples=600, deadline=None)
def test_basic_at_pypiserver(value: str) -> None:
    from pypiserver.bottle_wrapper.bottle import parse_auth

    seen = parse_auth(value.strip(" \t")) if value.strip(" \t") else None
    agree(only(Pypiserver(), "authorization", ("authorization", value)), seen)


@settings(deadline=None)
@pytest.mark.parametrize("place", ["authorization", "x-devpi-auth", "cookie:auth_tkt"])
@given(
    user=st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=":"), min_size=1
    ),
    secret=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
)
def test_a_secret_replaced_is_read_back(place: str, user: str, secret: str) -> None:
    """Cutting a code out of a password leaves exactly the password for the server."""
    upstream = Devpi()
    fields = {
        "authorization": ("authorization", "Basic " + _b64(user, "old")),
        "x-devpi-auth": ("x-devpi-auth", _b64(user, "old")),
        "cookie:auth_tkt": ("cookie", f"a=1; auth_tkt={quote(user + ':old')}; b=2"),
    }
    request = facts(fields[place])
    (carrier,) = upstream.carriers(request)
    assert carrier.credential == Credential(user, "old")
    ((name, value),) = upstream.with_secret(request, carrier, secret).items()
    environ = {"cookie": "HTTP_COOKIE"}.get(name, f"HTTP_{name.upper().replace('-', '_')}")
    assert devpi_sees(environ, value) == (user, secret)


def _b64(user: str, secret: str) -> str:
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


FILE_PARTS = st.sampled_from(
    [
        *("foo", "Foo", "foo_bar", "a", "1", "2", "1.0", "0.1a", "1.0.dev1", "+local", "!"),
        *("-", "-", "-", ".", "_", "py3", "none", "any", "cp311", "win32", "-py3.7", "py2.7"),
        *(".tar.gz", ".zip", ".tgz", ".whl", ".WHL", ".egg", ".asc", ".win32-py2.7.exe"),
    ]
)


@given(st.lists(FILE_PARTS, min_size=1, max_size=10).map("".join))
@example("foo-2-1.0.tar.gz")
@example("foo-2-1.tar.gz")
@example("foo-bar-1.0.tar.gz")
@example("foo-bar-1.0-py3-none-any.whl")
@example("foo-1.0-1-py3-none-any.whl")
@example("foo-1.0-py3-none-any.whl.asc")
@example("foo-1.0-py3.7.egg")
@settings(max_examples=1000)
def test_pypiserver_files_no_upload_elsewhere_than_was_judged(filename: str) -> None:
    """Whatever project a token is for: what the gate lets pass, pypiserver puts there."""
    guess = guess_pkgname_and_version(filename)
    filed = Pypiserver().file_project(filename)
    for project in (*projects_of(filename), *([filed] if filed else [])):
        if guess is not None and file_belongs(filename, project) and filed in (None, project):
            assert normalize_pkgname(guess[0]) == project

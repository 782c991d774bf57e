"""A keyring backend: pip, uv and twine ask `keyring`, `keyring` asks this, and this asks a browser.

It answers for hosts alone at which somebody ran `index-gateway login` before. Where the token is
over, and a terminal is there, it begins another login and waits for the word.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import IO, Final

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.credentials import SimpleCredential

from gateway.client import kept, login
from gateway.client.login import LoggedIn, LoginFailed, open_page

_SOON: Final = 60.0  # a token that ends before is not handed out
QUIET: Final = "INDEX_GATEWAY_NO_LOGIN"
"""The environment variable that forbids a login: nobody is there."""


class GatewayKeyring(KeyringBackend):
    @properties.classproperty
    def priority(self) -> float:
        return 9.0  # before the system's, which has what is over as well

    def get_password(self, service: str, username: str) -> str | None:
        found = self.get_credential(service, username)
        return None if found is None else found.password

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        try:
            text = _token(service, username)
        except LoginFailed as failed:
            _tell(f"index-gateway: {failed}")
            return None
        return None if text is None else SimpleCredential(kept.USER, text)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError  # the next one keeps it

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


def _token(service: str, username: str | None) -> str | None:
    try:
        host = login.host_of(service)
    except LoginFailed:  # another program's word for something else
        return None
    known = kept.find(host)
    if known is None or username not in (None, "", kept.USER, known.user):
        return None
    if "://" in service and login.scheme_of(service) != login.scheme_of(known.url):
        return None
    if known.expires > time.time() + _SOON:
        text = kept.token(host)
        if text:
            return text
    if os.environ.get(QUIET) or not _terminal():
        return None
    return _renewed(host, known).token


def _renewed(host: str, known: kept.Login) -> LoggedIn:
    """Log in as before, and keep what it gets. Raises LoginFailed."""
    started = login.start(known.url, known.actions, known.hours)
    _tell(f"index-gateway: open {started.approve} and type {started.number} there.")
    open_page(started.approve)
    done = login.wait(started)
    fresh = kept.Login(known.url, known.actions, known.hours, done.user, done.expires)
    kept.keep(host, fresh, done.token)
    _tell(f"index-gateway: logged in as {done.user}.")
    return done


def _terminal() -> bool:
    with contextlib.suppress(OSError), _tty():
        return True
    return False


def _tty() -> IO[str]:
    """pip keeps what a keyring says on stderr for itself."""
    name = "CONOUT$" if sys.platform == "win32" else "/dev/tty"
    return open(name, "w", encoding="utf-8")  # noqa: PTH123


def _tell(text: str) -> None:
    try:
        with _tty() as terminal:
            print(text, file=terminal)
    except OSError:
        print(text, file=sys.stderr)

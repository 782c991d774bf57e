"""The gateway's pages as a browser without JavaScript uses them: fetch, fill in, send."""

from __future__ import annotations

from html.parser import HTMLParser

from gateway.core.urls import LOGIN, VERIFY
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway
from tests.support.http import Answer, Client

# On every answer of the gateway's own, whichever part of it makes it.
SHIELD = {
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class _Forms(HTMLParser):
    """Every form of a page: its address and the values its fields come with."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append((named.get("action", ""), {}))
        elif tag == "input" and self.found and "name" in named and named.get("type") != "checkbox":
            self.found[-1][1][named["name"]] = named.get("value", "")


def form(page: Answer, action: str) -> dict[str, str]:
    """The fields of the form of a page that is sent to an address."""
    parser = _Forms()
    parser.feed(page.text)
    for address, fields in parser.found:
        if address.partition("?")[0] == action:
            return fields
    raise AssertionError(f"no form to {action} in:\n{page.text}")


def send(gateway: Gateway, browser: Client, page: Answer, action: str, **values: str) -> Answer:
    """Fill in the form of a page and send it, from the gateway's own origin."""
    origin = {"Origin": gateway.url, "Host": gateway.url.partition("//")[2]}
    return browser.browse("POST", action, form=form(page, action) | values, fields=origin)


def log_in(gateway: Gateway, user: str, password: str, phone: Authenticator) -> Client:
    """Log in at the gateway's own page; a browser with the session."""
    browser = gateway.client()
    answer = send(
        gateway, browser, browser.browse("GET", LOGIN), LOGIN, user=user, password=password
    )
    assert answer.status == 303, answer.text
    assert answer.first("location").endswith(VERIFY)
    answer = send(gateway, browser, browser.browse("GET", VERIFY), VERIFY, code=phone.code())
    assert answer.status == 303, answer.text
    return browser

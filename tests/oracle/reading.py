"""How a server behind reads bytes: waitress's own parser, and a request as it would be sent on."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts, Field
from gateway.core.http.headers import dropped
from gateway.core.http.path import parse_target
from gateway.core.rules.rules import Matched, RuleSet
from gateway.core.urls import own

ADJUSTMENTS = Adjustments()


def environ_of(method: str, target: str, fields: list[Field]) -> dict[str, Any] | None:
    """The WSGI environment that waitress makes of a request; None when it refuses it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in fields]
    parser = HTTPRequestParser(ADJUSTMENTS)
    parser.received("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if parser.error is not None or not parser.completed:
        return None
    server = SimpleNamespace(
        adj=ADJUSTMENTS,
        effective_host="localhost",
        effective_port=3141,
        server_name="localhost",
    )
    channel = SimpleNamespace(
        server=server,
        addr=("127.0.0.1", 1),
        creation_time=time.time(),
        check_client_disconnected=lambda: False,
    )
    environ: dict[str, Any] = WSGITask(channel, parser).get_environment()
    return environ


def passed_on(fields: list[Field]) -> list[Field]:
    """The header as the gateway sends it on: hygiene, then what it sets itself."""
    kept = [(name, value) for name, value in fields if not dropped(name.lower())]
    return [*kept, ("X-Outside-URL", "http://localhost:8080")]


def decided(rules: RuleSet, method: str, target: str, fields: list[Field]) -> Matched | None:
    """What the gateway decides; None when nothing reaches the upstream."""
    try:
        path, query = parse_target(target)
    except Refusal:
        return None
    if own(path):
        return None
    lowered = tuple((name.lower(), value) for name, value in fields)
    return rules.match(Facts(method, target, path, query, lowered, None))

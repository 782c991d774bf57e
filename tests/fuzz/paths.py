"""Spellings of every address against the routers of devpi, with plugins and without, and of
pypiserver: whatever reaches a guarded view there met a guard here."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from gateway.core.rules.rules import Matched, Policy, RuleSet
from gateway.settings import load
from tests.fuzz.share import Share
from tests.oracle import apps, reading
from tests.oracle.spellings import Path as Segments
from tests.oracle.spellings import plainly, spelled
from tests.oracle.test_devpi_routes import FORM_TYPES, GUARDED, GUARDS, REACHES, Devpi
from tests.oracle.test_pypiserver_routes import is_update, wsgiref_environ

CONFIGS = Path(__file__).parents[2] / "config"
PLUGINS = ("devpi-lockdown", "devpi-web", "devpi-tokens")
WITHOUT: Mapping[str, tuple[str, ...]] = {
    "full": (),
    "plain": PLUGINS,
    **{f"only {each}": tuple(p for p in PLUGINS if p != each) for each in PLUGINS},
}
METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "PUSH",
    "OPTIONS",
    "post",
    "Delete",
    "X",
]
NAMES = [
    "alice",
    "root",
    "pypi",
    "dev",
    "pkg",
    "1.0",
    "x.whl",
    "%",
    "a+b",
    "+f",
    "+simple",
    "+login",
    "é",
]
KNOWN: list[Segments] = [
    ("+login",), ("+logout",), ("+authcheck",), ("+api",), ("+search",), ("+status",),
    ("+changelog", "1"),
    ("alice", "+token-create"), ("alice", "+tokens"), ("alice", "+tokens", "x"), ("alice", "+api"),
    ("alice", "dev", "+f", "a", "b"), ("alice", "dev", "+e", "a", "b"), ("alice", "dev", "+simple",
    "pkg", "refresh"),
    ("alice", "dev", "pkg", "refresh"), ("alice", "dev", "pkg", "1.0", "+doc", "x"), ("alice",
    "dev", "pkg", "1.0", "+d", "x"),
    ("alice", "dev", "pkg", "1.0", "+toxresults"), ("alice", "dev", "+api"), ("+static", "x"),
    ("+theme-static", "x"),
    (), ("simple",), ("packages",), ("packages", "a"), ("RPC2",), ("pkg", "json"), ("favicon.ico",),
]  # fmt: skip
MEANT = [
    (method, tuple(target.strip("/").split("/")))
    for method, target, _, _ in REACHES.values()
    if "%" not in target
]
HEADERS = [
    ("Accept", "application/json"), ("Accept", "text/html"), ("User-Agent", "pip/25.0"),
    ("Content-Type", FORM_TYPES[0]),
    ("Content-Type", FORM_TYPES[1] + "; boundary=x"), ("Content-Type", "application/json"),
    ("Content-Type", "text/xml"),
    ("X-Outside-URL", "http://x/foo"), ("X_Outside_URL", "http://x/alice"), ("X-Forwarded-Prefix",
    "/foo"),
    ("X-HTTP-Method-Override", "DELETE"), ("X-Original-URI", "/+login"), ("X-Rewrite-URL",
    "/+login"), ("X-Script-Name", "/foo"),
]  # fmt: skip


class Paths:
    """without: which combinations of devpi's plugins to ask."""

    name = "paths"

    def __init__(self, without: Mapping[str, tuple[str, ...]] = WITHOUT) -> None:
        self.share = Share(0.5)
        self._place = tempfile.TemporaryDirectory()
        directory = apps.initialised(Path(self._place.name))
        self._devpis = {
            name: Devpi(apps.devpi_app(directory, plugins)) for name, plugins in without.items()
        }
        self.rules: RuleSet = load(CONFIGS / "devpi.yaml").ruleset()
        self.simple: RuleSet = load(CONFIGS / "pypiserver.yaml").ruleset()

    def example(self, random: Random) -> bytes:
        method, path = random.choice(MEANT)
        if random.random() < 0.4:
            method = random.choice(METHODS)
            path = random.choice(KNOWN)
        elif random.random() < 0.3:
            method = random.choice(METHODS)
            path = tuple(random.choice(NAMES) for _ in range(random.randint(1, 5)))
        target = (plainly if random.random() < 0.6 else spelled)(random, path)
        fields = dict(random.sample(HEADERS, random.choice([0, 1, 2, 3])))
        return json.dumps([method, target, list(fields.items())]).encode()

    def check(self, data: bytes) -> str:
        """Raises AssertionError where a guarded view is reached unguarded."""
        method, target, given = json.loads(data)
        fields = [(name, value) for name, value in given]
        passed = reading.passed_on(fields)
        matched = reading.decided(self.rules, method, target, fields)
        self.share.count(matched is not None)
        views: set[str] = set()
        for name, devpi in self._devpis.items():
            views = devpi.reached(method, target, passed) & set(GUARDED)
            if views == {"login_view"} and method in ("GET", "HEAD"):
                # The form itself: it logs in only with a body of a form type.
                given_type = dict(fields).get("Content-Type", "")
                views = views if given_type.startswith(FORM_TYPES) else set()
            if matched is not None and not _guards(matched):
                assert not views, (name, views, matched)
        self._updates(method, target, fields)
        return f"{matched.policy.value if matched else 'refused'} {sorted(views)}"

    def _updates(self, method: str, target: str, fields: list[tuple[str, str]]) -> None:
        """pypiserver: the address that uploads and deletes is judged by its form."""
        from pypiserver._app import app

        matched = reading.decided(self.simple, method, target, fields)
        if matched is None or matched.needs_form or matched.policy is not Policy.PASS:
            return
        for environ in (
            reading.environ_of(method, target, []),
            wsgiref_environ(method, target, []),
        ):
            router: Any = app
            assert not is_update(router, environ), ("pypiserver", matched)

    def close(self) -> None:
        self._place.cleanup()


def _guards(matched: Matched) -> bool:
    return matched.policy in GUARDS or matched.policy is Policy.TOKEN

"""Forms of uploads in pieces through the real inspector, of somebody who may not upload one
project: whatever an index server makes of what went on, it is not of that."""

from __future__ import annotations

from random import Random

import pytest
from pypiserver.pkg_helpers import guess_pkgname_and_version

from gateway.core.http.facts import Facts
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Policy, Rule
from gateway.core.tokens.projects import is_name, normalised
from gateway.gate import asked
from gateway.gate.asked import FormProject
from gateway.gate.form_inspector import FormInspector
from gateway.proxy.ports import Answer, Forward
from gateway.settings import loads
from gateway.upstreams import UPSTREAMS, FormOptions
from tests.core.http import form_bodies
from tests.support.form_readers import READERS, Found, Unread

FORWARD, REFUSED = Forward(), Answer(400, (), b"")
OTHERS = "billing-core"
RULES = loads(
    b"""
version: 1
public_url: http://localhost:8080
upstream: {kind: pypiserver, url: "http://127.0.0.1:8081"}
store: sqlite:state.db
rules:
  - name: owned
    match: {methods: [POST], path: /, projects: "billing-*", users: alice}
    policy: pass
  - name: uploads
    match: {methods: [POST], path: /, form: {":action": [file_upload]}}
    policy: pass
default: deny
"""
).ruleset()
UPSTREAM = UPSTREAMS["pypiserver"](FormOptions())
SPELLINGS = [b"billing-core", b"Billing_Core", b"billing.core", b"billing--core"]
FILES = [
    b"tools-1.0.tar.gz", b"tools-1.0-py3-none-any.whl", b"billing-core-1.0.tar.gz",
    b"billing_core-1.0-py3-none-any.whl", b"tools-1-billing-core-2.zip", b"tools-1.0.zip.asc",
]  # fmt: skip


class UploadPassage:
    """One form on its way. sent: how much of it had gone on after each piece."""

    def __init__(self, body: bytes, cuts: list[int]) -> None:
        facts = Facts("POST", "/", "/", "", (("content-type", form_bodies.TYPE),), None)
        claim = Claim(people=frozenset({"bob"}), index="", pending=True)
        self.policy: Policy | None = None
        self.whole = False
        self.sent = [0]
        inspector = FormInspector(
            *(facts, RULES.match(facts, asked=claim), RULES, self._decide),
            *(lambda facts, refusal: REFUSED, None, claim, FormProject(UPSTREAM, claim)),
        )
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            if inspector.feed(body[start:end]) is REFUSED:
                return
            if self.policy is Policy.PASS:
                self.sent.append(inspector.safe)
        if inspector.finish() is not REFUSED and self.policy is Policy.PASS:
            self.whole = True
            self.sent.append(len(body))

    def _decide(self, facts: object, rule: Rule | None, policy: Policy) -> Forward:
        self.policy = policy
        return FORWARD


def example(random: Random) -> tuple[bytes, list[int]]:
    """Like those about `:action`, but that the field `name` is the one that is odd."""
    body = form_bodies.body(random).replace(b'"name"', b'"summary"')
    body = body.replace(b":action", b"name").replace(b"file_upload", b"tools")
    body = body.replace(b"remove_pkg", random.choice(SPELLINGS))
    body = body.replace(b"pkg-1.0.tar.gz", random.choice([*FILES[:2] * 3, *FILES]))
    action = form_bodies.plain(b":action", b"file_upload")
    body = action + body if random.random() < 0.9 else body
    return body, form_bodies.pieces(random, len(body))


def projects(found: list[Found]) -> set[str]:
    """Where an index would file what it finds."""
    names = [one.value.decode("latin-1") for one in found if one.name == "name"]
    told = {normalised(name) for name in names if is_name(name)}
    for one in found:
        guessed = guess_pkgname_and_version(one.filename) if one.filename else None
        told |= {normalised(guessed[0])} if guessed else set()
    return told


def differences(seed: int, examples: int = 150) -> tuple[list[bytes], int]:
    """Bodies that do more than was judged, and how many went on at all."""
    random, wrong, passed = Random(seed), [], 0
    for _ in range(examples):
        body, cuts = example(random)
        passage = UploadPassage(body, cuts)
        passed += passage.whole
        for sent in {*passage.sent[:3], passage.sent[-1]}:
            for reader in (READERS["bottle"], READERS["webob"]):
                try:
                    found = reader(body[:sent], form_bodies.TYPE, len(body))
                except Unread:
                    continue
                if OTHERS in projects(found):
                    wrong.append(body)
    return wrong, passed


@pytest.mark.parametrize("seed", range(4))
def test_what_goes_on_is_of_the_project_that_was_judged(seed: int) -> None:
    wrong, passed = differences(seed)
    assert wrong == []
    assert passed > 4, "most are refused, but not all"


def test_a_reader_that_passes_over_file_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked.FormProject, "begins", lambda self, part: None)
    assert any(differences(seed)[0] for seed in range(4))

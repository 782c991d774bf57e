"""Forms in pieces through the real inspector: what went on must mean what was judged.

The bytes that the inspector lets go are read, broken off after each piece that went on and in the
middle of some, by bottle as pypiserver uses it and by webob as devpi does.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from gateway.core.http.facts import Facts
from gateway.core.rules.rules import Policy
from gateway.gate.form_inspector import FormInspector
from gateway.proxy.ports import Answer, Forward
from gateway.settings import load
from tests.core.http import form_bodies
from tests.fuzz.share import Share
from tests.support.form_readers import READERS, Found, Reader, Unread

RULES = load(Path(__file__).parents[2] / "config/pypiserver.yaml").ruleset()
NAMED = {"remove_pkg", "file_upload", "doc_upload", "submit", "verify"}
FORWARD, REFUSED = Forward(), Answer(400, (), b"")
DECIDE = ":action"
MOST = 8  # prefixes read of one example


class Passage:
    """One form on its way. sent: how much of it has gone on after each piece."""

    def __init__(self, content_type: str) -> None:
        path, fields = "/", (("content-type", content_type),)
        facts = Facts("POST", path, path, "", fields, None)
        self.policy: Policy | None = None
        self.refused = False
        self.sent: list[int] = []
        self.inspector = FormInspector(
            facts, RULES.match(facts), RULES, self._decide, lambda facts, refusal: REFUSED
        )

    def _decide(self, facts: object, rule: object, policy: Policy) -> Forward:
        self.policy = policy
        return FORWARD

    def send(self, body: bytes, cuts: list[int]) -> None:
        """Show the body to the inspector as `gateway.proxy.inspection` does."""
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            if self.inspector.feed(body[start:end]) is REFUSED:
                self.refused = True
                return
            if self.policy is not None:
                self.sent.append(self.inspector.safe)
                assert self.inspector.safe <= end
        self.refused = self.inspector.finish() is REFUSED
        if not self.refused:
            self.sent.append(len(body))

    @property
    def judged(self) -> str | None:
        return self.inspector.fields.get(DECIDE)


class Forms:
    name = "forms"

    def __init__(self) -> None:
        self.share = Share(0.15)

    def close(self) -> None: ...

    def example(self, random: Random) -> bytes:
        body = form_bodies.body(random)
        cuts = form_bodies.pieces(random, len(body))
        # Broken off in the middle of a piece, too.
        breaks = sorted(random.randrange(len(body) + 1) for _ in range(4))
        return json.dumps([body.decode("latin-1"), cuts, breaks]).encode()

    def check(self, data: bytes) -> str:
        """Raises AssertionError where an index would find something else than was judged."""
        text, cuts, breaks = json.loads(data)
        body = text.encode("latin-1")
        passage = Passage(form_bodies.TYPE)
        passage.send(body, cuts)
        whole = not passage.refused
        self.share.count(passage.policy is not None)
        sent_on = sorted({*passage.sent})
        for reader in (READERS["bottle"], READERS["webob"]):
            for sent in sent_on[:: 1 + len(sent_on) // MOST] + sent_on[-1:]:
                found = deciding(reader, body[:sent], len(body))
                allowed = (
                    {passage.judged} if whole and sent == len(body) else {None, passage.judged}
                )
                assert found in allowed, (reader.__name__, sent, found, passage.judged)
            for at in breaks:
                if passage.sent and at < passage.sent[-1]:
                    found = deciding(reader, body[:at], len(body))
                    named = found in NAMED and found != passage.judged
                    assert not named, (reader.__name__, at, found, passage.judged)
        if whole:
            agreed(body)
        return f"{passage.policy} {passage.refused} {len(passage.sent) > 1}"


def deciding(reader: Reader, body: bytes, length: int) -> str | None:
    """The value that the index would act on: the last."""
    try:
        found = reader(body, form_bodies.TYPE, length)
    except Unread:
        return None
    values = [each.value for each in found if each.name == DECIDE and each.filename is None]
    return values[-1].decode("latin-1") if values else None


def agreed(body: bytes) -> list[Found]:
    """What every reader finds in a body that is accepted; they all find the same."""
    seen = {}
    for name, reader in READERS.items():
        try:
            found = reader(body, form_bodies.TYPE, len(body))
        except Unread as exc:
            raise AssertionError(f"{name} does not read what is accepted") from exc
        seen[name] = sorted(map(_plain, found))
    assert len({str(each) for each in seen.values()}) == 1, seen
    return [Found(*each) for each in seen["bottle"]]


def _plain(found: Found) -> Found:
    """An empty file name makes a file to some and a value to others: only the name counts. What
    is no UTF-8 in a value is replaced by some and left to the caller by others."""
    value = found.value
    if not found.filename:
        value = value.decode("utf-8", "replace").encode()
    return Found(found.name, value, found.filename or "")

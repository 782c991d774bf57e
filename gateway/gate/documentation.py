"""Uploaded documentation: its scripts run, but never where the reader's cookies are in reach.

With a host of its own (`documentation_url`) it is served there as the index has it, frame and all,
without any credential, and that host serves nothing else. Without one a browser gives every page
an origin of its own (a sandbox, see `gateway.core.http.responses`). A page that frames such a page
cannot look into it, so the reader is led to what the frame would hold. What takes a login is in
`gateway.gate.reading`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hmac import compare_digest
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.origin import origin_of
from gateway.core.http.responses import FRAMED_BY_ITSELF, Response
from gateway.core.rules.rules import Policy, Rule, RuleSet
from gateway.core.upstream import Documenting, Upstream
from gateway.gate.asked import asked_by_head
from gateway.gate.replies import Replies
from gateway.proxy.ports import Answer, Forward

MARK: Final = "ig-doc"
"""The query parameter in which scripts of documentation show where they are from."""

READ_METHODS: Final = frozenset({"GET", "HEAD"})
_DAY: Final = 24 * 3600


class Documentation:
    """Where documentation is read, and how.

    Args:
        public_url, url: where they are, both with the same path; url is "" without a host of its
            own.

    Attributes:
        origin: of that host, "" without one.
        url: its address, with the path.
    """

    def __init__(
        self,
        upstream: Upstream,
        rules: RuleSet,
        replies: Replies,
        ring: KeyRing,
        clock: Clock,
        *,
        public_url: str,
        url: str,
    ) -> None:
        self._upstream: Final = upstream
        self._kind: Final = upstream if isinstance(upstream, Documenting) else None
        self._rules: Final = rules
        self._replies: Final = replies
        self._ring: Final = ring
        self._clock: Final = clock
        self._public_url: Final = public_url
        self.url: Final = url
        self.origin: Final = origin_of(url) if url else ""
        self._authority: Final = self.origin.partition("//")[2]

    def hosts(self, facts: Facts) -> bool:
        """Whether a request came to the documentation's own host."""
        return bool(self._authority) and (facts.first("host") or "").lower() == self._authority

    def at_home(self, facts: Facts) -> Forward | Answer:
        """What to do with a request to that host. Raises Refusal."""
        if facts.method not in READ_METHODS:
            raise Refusal(Slug.DENIED)
        about = asked_by_head(self._upstream.act(facts))
        matched = self._rules.match(facts, asked=about)
        rule = matched.rule
        open_to_all = _open_to_all(rule, matched.policy) and not matched.needs_form
        if not open_to_all or not (_is(rule) or self.beside(facts.path)):
            return self._replies.see(self._public_url + facts.target)
        gone = ("cookie", *self._upstream.carrier_fields())
        return Forward(
            dict.fromkeys(gone),
            self._upstream.own_fields(self.url, facts.client),
            FRAMED_BY_ITSELF,
        )

    def elsewhere(self, facts: Facts, rule: Rule | None) -> Answer | None:
        """Where documentation that was asked for at the index itself is to be read, if not
        there."""
        if not _is(rule) or facts.method not in READ_METHODS:
            return None
        assert rule is not None
        if self.url and _open_to_all(rule, rule.policy):
            return self._replies.see(self.url + facts.target)
        unframed = self.unframed(facts.target)
        return None if unframed == facts.target else self._replies.see(unframed)

    def unframed(self, target: str) -> str:
        """The target of what a page shows in its frame, or the same."""
        found = self._kind.unframed(target) if self._kind else None
        return target if found is None else found

    def whole(self, path: str) -> str | None:
        """Which documentation a canonical path is a page or a file of, framed or not."""
        return self._kind.documentation_of(self.unframed(path)) if self._kind else None

    def here(self, facts: Facts, base: Forward, *, shown: bool = False) -> Forward:
        """The way of sandboxed documentation.

        Browsers ask for fonts and data with CORS, and the origin of a sandbox is "null", as any
        page can make it: so the answer is open to who shows that a page of this documentation
        asks. Its style sheets have their address as Referer, which no page can write; its scripts
        have a mark (`sandbox.html`).

        Args:
            shown: the address has shown it already.
        """
        whole = self._kind.documentation_of(facts.path) if self._kind else None
        added = [*base.answer_add, ("Vary", "Accept, Origin, Referer")]
        asked = facts.first("origin") == "null" and whole is not None
        if asked and (shown or self._asked_by(whole or "", facts)):
            added.append(("Access-Control-Allow-Origin", "null"))
        start = b""
        if whole and "text/html" in facts.joined("accept"):
            start = _sandbox().replace("{mark}", self._marks(whole)[0]).encode()
        return replace(base, answer_add=tuple(added), page_start=start)

    def _asked_by(self, whole: str, facts: Facts) -> bool:
        marks = self._marks(whole)
        for key, value in parse_qsl(facts.query):
            if key == MARK and any(compare_digest(value, mark) for mark in marks):
                return True
        try:
            return origin_of(facts.first("referer") or "") == origin_of(self._public_url)
        except ValueError:  # not an address
            return False

    def _marks(self, whole: str) -> list[str]:
        """What pages of one documentation show today, and what they showed yesterday."""
        today = int(self._clock() // _DAY)
        return [
            mark
            for day in (today, today - 1)
            for mark in self._ring.digests("documentation", whole, str(day))
        ]

    def beside(self, path: str) -> bool:
        """Whether the page with the frame needs what is at a canonical path."""
        return self._kind is not None and self._kind.beside_documentation(path)


@cache
def _sandbox() -> str:
    """What a page in a sandbox begins with; its doctype gives way to the page's own, see
    `gateway.proxy.page_start`."""
    return Path(__file__).with_name("sandbox.html").read_text("utf-8")


def _open_to_all(rule: Rule | None, policy: Policy) -> bool:
    """Whether it can be read where nobody says who they are."""
    if rule is None or policy is not Policy.PASS:
        return False
    return rule.rights is None or not rule.rights.by_people


def _is(rule: Rule | None) -> bool:
    return rule is not None and rule.response is Response.DOCUMENTATION

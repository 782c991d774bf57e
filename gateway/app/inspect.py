"""Decide by a field of the body while it streams (pypiserver deletes by an upload's `:action`).

Joins `gateway.core.form`, which reads the fields, with the rules, which decide by them. Bodies
are never held whole: up to `HOLD` bytes wait for the field, then the request may only go on as
what a `pass` rule allows, and is cut off if it turns out to be more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.errors import Refusal
from gateway.core.facts import Facts
from gateway.core.form import FormJudge
from gateway.core.rules import Matched, Policy, Rule, RuleSet
from gateway.proxy.ports import Answer, Plan

HOLD: Final = 1024 * 1024
"""Bytes kept back while the field is looked for."""

Decide = Callable[[Facts, Rule | None, Policy], Plan | Awaitable[Plan]]
Refuse = Callable[[Facts, Refusal], Answer]


class FormInspector:
    """An `Inspector` (see gateway.proxy.ports) over the form rules that may fit a request.

    Raises:
        Refusal: `unreadable_form` for a body that is no plain form.
    """

    hold_limit: int = 2 * HOLD  # what arrives in one piece with the last held byte, too

    def __init__(
        self, facts: Facts, matched: Matched, rules: RuleSet, decide: Decide, refuse: Refuse
    ) -> None:
        self._facts: Final = facts
        self._matched: Final = matched
        self._rules: Final = rules
        self._decide: Final = decide
        self._refuse: Final = refuse
        self._judge: Final = FormJudge(
            facts.first("content-type") or "",
            facts.joined("content-encoding"),
            matched.form_names,
        )
        self._seen = 0
        self._going = False
        self._released: Rule | None = None

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        self._seen += len(data)
        try:
            self._judge.feed(data)
            if self._going:
                return None
            if self._judge.decided:
                return self._settle()
            return self._release() if self._seen >= HOLD else None
        except Refusal as refusal:
            return self._refuse(self._facts, refusal)

    def finish(self) -> Plan | Awaitable[Plan] | None:
        try:
            self._judge.finish()
            if not self._going:
                return self._settle()
            if self._released is not None and self._final().rule is not self._released:
                raise Refusal("unreadable_form", why="the field that decides is missing")
        except Refusal as refusal:
            return self._refuse(self._facts, refusal)
        return None

    def _settle(self) -> Plan | Awaitable[Plan]:
        """Every field that matters is known; a repeated one is still refused later."""
        self._going = True
        final = self._final()
        return self._decide(self._facts, final.rule, final.policy)

    def _release(self) -> Plan | Awaitable[Plan] | None:
        """Too much to hold: on as what a `pass` rule allows, if one may still fit."""
        if self._matched.rule is None or self._matched.policy is not Policy.PASS:
            raise Refusal("unreadable_form", why="the field that decides comes too late")
        self._judge.release()
        self._going = True
        self._released = self._matched.rule
        return self._decide(self._facts, self._matched.rule, Policy.PASS)

    def _final(self) -> Matched:
        found = {name: (value,) for name, value in self._judge.fields.items()}
        return self._rules.match(self._facts, found)

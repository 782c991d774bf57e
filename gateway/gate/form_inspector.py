"""Decide by a field of the body while it streams (pypiserver deletes by an upload's `:action`).

Joins `gateway.core.http.forms`, which reads the fields, with the rules, which decide by them.
Bodies are never held whole: up to `HOLD` bytes wait until every field is known and the file has
begun.
Nothing that was not judged goes on, and the rest is watched to its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.forms import FileObserver, FilePart, FormJudge
from gateway.core.http.zips import ZipWatch
from gateway.core.phrases import _
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Matched, Policy, Rule, RuleSet
from gateway.gate.asked import FormProject
from gateway.proxy.ports import Answer, Plan

HOLD: Final = 1024 * 1024
"""Bytes kept back while the field is looked for."""

Decide = Callable[[Facts, Rule | None, Policy], Plan | Awaitable[Plan]]
Refuse = Callable[[Facts, Refusal], Answer | Awaitable[Answer]]


class FormDemand(Protocol):
    """What a form must be besides, whichever rule decides. Methods raise Refusal."""

    @property
    def names(self) -> frozenset[str]:
        """Fields to look at: they come before a file that does not fit into what is held."""
        ...

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        """Before anything goes on: what was found, and the files whose heads have come."""
        ...

    def begins(self, part: FilePart) -> None:
        """The head of another file has come, and has not gone on."""
        ...


class FormNote(FileObserver, Protocol):
    """Is shown a form, and refuses nothing."""

    def reads(self, judge: FormJudge) -> None:
        """Who reads it."""
        ...


class FormInspector:
    """An `Inspector` (see gateway.proxy.ports) over the form rules that may fit a request.

    Args:
        asked: who asks for what; changed here where the form tells the project.
        project: looks for that, and is needed where `matched.needs_project`.
        note: is shown what the form holds.
        noted: fields that are kept.

    Raises:
        Refusal: `unreadable_form` for a body that is no plain form.
    """

    hold_limit: int = 2 * HOLD  # what arrives in one piece with the last held byte, too

    def __init__(
        self,
        facts: Facts,
        matched: Matched,
        rules: RuleSet,
        decide: Decide,
        refuse: Refuse,
        demand: FormDemand | None = None,
        asked: Claim | None = None,
        project: FormProject | None = None,
        note: FormNote | None = None,
        noted: frozenset[str] = frozenset(),
    ) -> None:
        self._facts: Final = facts
        self._rules: Final = rules
        self._candidates: Final = rules.candidates(facts.method, facts.path)
        self._decide: Final = decide
        self._refuse: Final = refuse
        self._demand: Final = demand
        self.asked = asked
        self._project: Final = project if matched.needs_project else None
        self._archives: Final = Archives() if matched.unpacks else None
        looking = [one for one in (demand, self._project) if one is not None]
        self._judge: Final = FormJudge(
            facts.first("content-type") or "",
            facts.joined("content-encoding"),
            matched.form_names | (demand.names if demand else frozenset()),
            Looking(looking, [one for one in (self._archives, note) if one is not None]),
            noted,
        )
        if note is not None:
            note.reads(self._judge)
        self._seen = 0
        self._going = False

    @property
    def judge(self) -> FormJudge:
        """Who reads the form."""
        return self._judge

    @property
    def fields(self) -> Mapping[str, str]:
        """What was found so far of the fields that decide."""
        return self._judge.fields

    @property
    def safe(self) -> int:
        return self._judge.safe if self._going else 0

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        self._seen += len(data)
        judge = self._judge
        try:
            judge.feed(data)
            if self._going:
                return None
            # What is small goes on whole, so that no part of it can be taken for the whole.
            if self._seen >= HOLD or (judge.decided and judge.files):
                return self._settle() if judge.decided else self._release()
        except Refusal as refusal:
            return self._refuse(self._facts, refusal)
        return None

    def finish(self) -> Plan | Awaitable[Plan] | None:
        try:
            self._judge.finish()
            return None if self._going else self._settle()
        except Refusal as refusal:
            return self._refuse(self._facts, refusal)

    def _release(self) -> Plan | Awaitable[Plan]:
        """Too much to hold: on with the fields that are there, if a `pass` rule allows that."""
        needed = self._demand is not None or self._project is not None
        if needed or self._match(self._judge.fields).policy is not Policy.PASS:
            raise Refusal(Slug.UNREADABLE_FORM, why=_("the field that decides comes too late"))
        self._judge.release()
        return self._settle()

    def _settle(self) -> Plan | Awaitable[Plan]:
        """Every field that matters is known; a repeated one is still refused later."""
        if self._project is not None:
            self.asked = self._project.settle(self._judge.fields, self._judge.files)
        final = self._match(self._judge.fields)
        if not self._judge.complete:
            self._refuse_ambiguous_cuts(final)
        if self._archives is not None:
            self._archives.decide(final.unpacks)
        if self._demand is not None:
            self._demand.settle(self._judge.fields, self._judge.files)
        self._going = True
        return self._decide(self._facts, final.rule, final.policy)

    def _refuse_ambiguous_cuts(self, final: Matched) -> None:
        """A server may act on a body that was cut off: in the middle of a value or before the
        next one. That must not be what another rule is there for."""
        found: dict[str, str] = {}
        decide = {name for rule in self._candidates for name, _ in rule.form or ()}
        for name, value in self._judge.fields.items():
            if name not in decide:
                continue
            for end in range(1, len(value) + 1):
                found[name] = value[:end]
                matched = self._match(found)
                rule = matched.rule
                if rule is None or rule.form is None or matched.policy is Policy.PASS:
                    continue
                if rule is not final.rule:
                    raise Refusal(
                        Slug.UNREADABLE_FORM, why=_("a part of it is a {rule!r}", rule=rule.name)
                    )

    def _match(self, fields: dict[str, str]) -> Matched:
        form = {name: (value,) for name, value in fields.items()}
        return self._rules.match(self._facts, form, self._candidates, self.asked)


class Looking:
    """A `FileObserver` that shows the head of each file to some before others look at it."""

    def __init__(
        self, first: Sequence[FormDemand | FormProject], then: Sequence[FileObserver]
    ) -> None:
        self._first: Final = first
        self._then: Final = then

    def begins(self, part: FilePart) -> None:
        for one in self._first:
            one.begins(part)
        for other in self._then:
            other.begins(part)

    def content(self, data: bytes) -> int:
        kept = 0
        for one in self._then:
            kept = max(kept, one.content(data))
        return kept

    def ends(self) -> None:
        for one in self._then:
            one.ends()


class Archives:
    """A `FileObserver` that looks into the files of a form which the index unpacks.

    Until the rule is known nothing goes on, so what is wrong with a file waits for it.
    """

    def __init__(self) -> None:
        self._watch: ZipWatch | None = None
        self._wrong: Refusal | None = None
        self._decided = self._matters = False

    def decide(self, unpacked: bool) -> None:
        """The rule is known; whether the index unpacks the files.

        Raises:
            Refusal: what is wrong with those that have come.
        """
        self._decided, self._matters = True, unpacked
        if self._wrong is not None and unpacked:
            raise self._wrong

    def begins(self, _part: FilePart) -> None:
        self._watch = ZipWatch()

    def content(self, data: bytes) -> int:
        self._look(lambda watch: watch.feed(data))
        return 0

    def ends(self) -> None:
        self._look(lambda watch: watch.finish())
        self._watch = None

    def _look(self, at: Callable[[ZipWatch], None]) -> None:
        if self._watch is None or (self._decided and not self._matters):
            return
        try:
            at(self._watch)
        except Refusal as refusal:
            if self._decided:
                raise
            self._watch, self._wrong = None, self._wrong or refusal

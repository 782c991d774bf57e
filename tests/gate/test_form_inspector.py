"""What the form inspector lets go, and when it asks for a decision."""

from __future__ import annotations

import pytest

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.permissions import Groups, Patterns, Permission
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Policy, Rule, RuleSet
from gateway.gate.asked import FormProject
from gateway.gate.form_inspector import HOLD, FormInspector
from gateway.proxy.ports import Answer, Forward, Plan
from gateway.upstreams import UPSTREAMS, FormOptions

TYPE = "multipart/form-data; boundary=xYzZY"
FORWARD = Forward()


def part(name: str, value: str, file: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{file}'
    return f"--xYzZY\r\n{head}\r\n\r\n{value}\r\n".encode()


END = b"--xYzZY--\r\n"
UPLOAD = part(":action", "file_upload")
LONG = part("description", "d" * HOLD)
FILE = part("content", "data", '; filename="pkg-1.0.tar.gz"')


def form(*values: str, name: str = ":action") -> tuple[tuple[str, frozenset[str]], ...]:
    return ((name, frozenset(values)),)


DELETION = Rule("deletion", Policy.SECOND_FACTOR, form=form("remove_pkg"))
UPLOADS = Rule("uploads", Policy.PASS, form=form("file_upload"))
REST = Rule("rest", Policy.PASS)


class Case:
    """One form before some rules; `asked` is what was decided."""

    def __init__(self, *rules: Rule, content_type: str = TYPE, claim: Claim | None = None) -> None:
        self.rules = RuleSet(rules)
        self.asked: list[tuple[str | None, Policy]] = []
        self.why = ""
        facts = Facts("POST", "/", "/", "", (("content-type", content_type),), None)
        matched = self.rules.match(facts, asked=claim)
        project = FormProject(UPSTREAMS["pypiserver"](FormOptions()), claim) if claim else None
        self.inspector = FormInspector(
            *(facts, matched, self.rules, self._decide, self._refuse, None, claim, project)
        )

    def _decide(self, facts: Facts, rule: Rule | None, policy: Policy) -> Plan:
        self.asked.append((rule.name if rule else None, policy))
        return FORWARD

    def _refuse(self, facts: Facts, refusal: Refusal) -> Answer:
        self.why = refusal.detail["why"]
        return Answer(400, (), b"")

    def feed(self, data: bytes) -> int:
        """How many bytes may have gone on when these were seen."""
        self.inspector.feed(data)
        return self.inspector.safe


def test_a_form_waits_for_its_field_and_its_file() -> None:
    case = Case(DELETION, UPLOADS)
    assert case.feed(part("name", "pkg")) == 0
    assert case.feed(UPLOAD) == 0
    assert case.feed(part("version", "1.0")) == 0
    assert not case.asked
    fields = part("name", "pkg") + UPLOAD + part("version", "1.0")
    assert case.feed(FILE[:-6]) == len(fields + FILE) - 6
    assert case.asked == [("uploads", Policy.PASS)]
    assert case.feed(FILE[-6:]) == len(fields + FILE) - 2  # the line end may be a delimiter's


def test_a_file_before_the_field_waits_for_it() -> None:
    case = Case(DELETION, UPLOADS)
    assert case.feed(FILE) == 0
    assert case.feed(UPLOAD) == 0
    assert case.feed(part("x", "y")) == len(FILE + UPLOAD + part("x", "y")) - 2


def test_a_form_without_a_file_goes_on_whole() -> None:
    """A broken off deletion would delete version 1 for 1.5."""
    case = Case(DELETION, UPLOADS)
    assert case.feed(part(":action", "remove_pkg") + part("version", "1.5") + END) == 0
    assert not case.asked
    assert case.inspector.finish() is FORWARD
    assert case.asked == [("deletion", Policy.SECOND_FACTOR)]


def test_a_long_form_goes_on_only_with_the_project_that_decides() -> None:
    owned = Rule(
        "owned",
        Policy.DENY,
        rights=Permission(Groups(), projects=Patterns.of(["billing-*"])),
    )
    asked = Claim(pending=True)
    case = Case(owned, REST, claim=asked)
    assert case.feed(UPLOAD + LONG) == 0
    assert case.why == "the field that decides comes too late"
    for name, rule in (("pkg", "rest"), ("Billing_core", "owned")):
        case = Case(owned, REST, claim=asked)
        sent = UPLOAD + part("name", name) + LONG
        assert case.feed(sent) == len(sent) - 2
        assert [found for found, _ in case.asked] == [rule]


def test_an_urlencoded_form_goes_on_whole() -> None:
    case = Case(DELETION, UPLOADS, content_type="application/x-www-form-urlencoded")
    assert case.feed(b":action=remove_pkg&version=1.5") == 0
    assert case.inspector.finish() is FORWARD


def test_a_long_form_goes_on_once_its_field_is_known() -> None:
    case = Case(DELETION, UPLOADS)
    assert case.feed(UPLOAD + LONG) == len(UPLOAD + LONG) - 2
    assert case.asked == [("uploads", Policy.PASS)]


def test_a_long_form_whose_field_is_missing_is_refused() -> None:
    """No rule lets a form pass that has no such field, and nothing of it goes on."""
    case = Case(DELETION, UPLOADS)
    assert case.feed(LONG) == 0
    assert case.why == "the field that decides comes too late"


@pytest.mark.parametrize("second", [UPLOAD, part(":action", "remove_pkg")])
def test_a_long_form_that_passes_without_the_field_may_not_get_it_later(second: bytes) -> None:
    case = Case(DELETION, REST)
    assert case.feed(LONG) == len(LONG) - 2
    assert case.asked == [("rest", Policy.PASS)]
    assert case.feed(second[:50]) == len(LONG) - 2
    assert case.feed(second[50:]) == len(LONG) - 2
    assert "too late" in case.why


@pytest.mark.parametrize("line", [b" ", b"\t", b"\x0b", b"\x0c", b"x", b"\xff"])
def test_a_line_that_ends_a_head_early_is_refused_before_its_value(line: bytes) -> None:
    for rules, start in (((DELETION, UPLOADS), UPLOAD + FILE), ((DELETION, REST), LONG)):
        case = Case(*rules)
        gone = case.feed(start)
        head = (
            part(":action", "")[: -len(b"\r\n\r\n")] if rules[1] is UPLOADS else part("x", "")[:-4]
        )
        for byte in head + line:
            assert case.feed(bytes([byte])) == gone
        case.feed(b"\r\n")
        assert case.why


@pytest.mark.parametrize(
    ("value", "refused"),
    [("delete", True), ("deleted", True), ("del", False), ("show", False), ("dele", False)],
)
def test_a_value_that_begins_like_one_of_another_rule(value: str, refused: bool) -> None:
    """Broken off in its middle it would be that one."""
    asks = Rule("asks", Policy.SECOND_FACTOR, form=form("delet"))
    passes = Rule("passes", Policy.PASS, form=form("delete", "deleted", "del", "show", "dele"))
    case = Case(asks, passes)
    case.feed(part(":action", value) + FILE)
    assert bool(case.why) == refused
    assert bool(case.asked) != refused


def test_a_field_that_would_be_another_rule_without_the_next() -> None:
    both = (*form("remove"), *form("yes", name="dry"))
    case = Case(
        Rule("dry run", Policy.PASS, form=both),
        Rule("removal", Policy.SECOND_FACTOR, form=form("remove")),
    )
    case.feed(part(":action", "remove") + part("dry", "yes") + FILE)
    assert "removal" in case.why
    assert not case.asked

"""Expressions of the configuration: linear on any text, and what they cannot say is told."""

from __future__ import annotations

import re
import subprocess
import sys
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.rules.rules import Policy, Rule, RuleSet
from gateway.core.rules.templates import TemplateError, compile_regex, parse_template

# Exponential or polynomial for an engine that backtracks; the text is `letter` again and again.
HOSTILE = {
    "alternatives that are one": "(a|a)*b",
    "repeated repetition": "(a+)+b",
    "optional ones": "(a?){30}a{30}b",
    "overlapping alternatives": "(a|ab|aab)*c",
    "lazy": "(.*?.*?)*?b",
    "many stars": ".*.*.*.*.*.*b",
    "empty repeats": "(a*)*b",
    "classes that overlap": r"([\w]|[a-z]|a)*-",
    "with flags": "(?i)(A|a)*b",
    "many states": "(a|aa)*a.{100}b",
}
LONGEST = 8192


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_no_expression_is_slow_on_any_path(source: str) -> None:
    regex = compile_regex(source)
    segment = "a" * LONGEST
    began = process_time()
    for text in (segment, segment + "!", "aab" * (LONGEST // 3)):
        regex.fits(text)
    assert process_time() - began < 10  # a backtracking engine would take longer than the sun


def test_templates_and_path_regex_run_on_it() -> None:
    slow = "(a|a)*b"
    rules = RuleSet(
        [
            Rule("template", Policy.PASS, paths=(f"/x/{{name:{slow}}}",)),
            Rule("regex", Policy.PASS, path_regex=f"/{slow}"),
        ]
    )
    template = parse_template(f"/{{name:{slow}}}")
    began = process_time()
    assert rules.candidates("GET", "/x/" + "a" * LONGEST) == ()
    assert rules.candidates("GET", "/" + "a" * LONGEST) == ()
    assert not rules.path_fits(rules.rules[1], "/" + "a" * LONGEST)
    assert not template.fits("/" + "a" * LONGEST)
    assert process_time() - began < 10
    assert template.fits("/aab")


FOREIGN = {
    "look-ahead": "(?=a)a",
    "negative look-ahead": "(?!a)b",
    "look-behind": "(?<=a)b",
    "back reference": r"(a)\1",
    "named back reference": "(?P<x>a)(?P=x)",
    "possessive": "a*+",
    "atomic group": "(?>a)",
    "conditional": "(a)?(?(1)b|c)",
    "end of text in Python": r"a\Z",
    "unknown flag": "(?x) a",
    "open class": "[",
    "open group": "(",
    "nothing to repeat": "*a",
    "too large": "((a{30}){30}){30}",
    "too large to be matched cheaply": "(.?){1000}",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("source", FOREIGN.values(), ids=FOREIGN)
def test_what_the_engine_cannot_do_is_told_at_start(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_regex(source)
    found, _, allowed = str(caught.value).partition("); ")
    assert "does not compile (" in found
    assert "(b'" not in found
    assert "no look-around, back references" in allowed


_ATOM = st.sampled_from(
    ["a", "b", "é", ".", "[^+]", "[a-c]", "[^ab]", r"\.", r"\+", "(a|b)", "(?:ab|a|b)", "(?i:A)"]
)
_REGEX = st.lists(
    st.tuples(_ATOM, st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "*?", "+?"])).map("".join),
    min_size=1,
    max_size=5,
).map("".join)


@settings(max_examples=300)
@given(_REGEX, st.text("abéA.+-𝒳/", max_size=12))
@example("[^+]+", "alice")
@example("[^+]+", "+login")
@example("[^+]+", "")
@example("[^+]+", "é𝒳")
def test_it_reads_an_expression_as_python_does(source: str, text: str) -> None:
    assert compile_regex(source).fits(text) is (re.fullmatch(source, text) is not None)


@settings(max_examples=100)
@given(st.text("ab", max_size=200))
def test_an_expression_of_many_states_stays_right(text: str) -> None:
    """More states than its memory holds: the engine starts anew, it does not give up."""
    source = "(a|b)*a(a|b){12}"
    assert compile_regex(source).fits(text) is (len(text) > 12 and text[-13] == "a")


def test_the_engine_is_loaded_only_for_an_expression() -> None:
    code = "import sys, gateway.core.rules.rules; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

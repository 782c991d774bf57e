"""The `tests:` of a configuration."""

from __future__ import annotations

from gateway.core.rules.explain import Reading, Trial, judge
from gateway.settings.model import Settings
from gateway.settings.problems import Problem
from gateway.settings.rules import TestModel


def run_tests(settings: Settings, reading: Reading) -> list[Problem]:
    """Run the `tests:` of a configuration; an empty list when all hold.

    Args:
        reading: what a request to this kind of index server is about.
    """
    rules = settings.ruleset()
    problems = []
    for number, test in enumerate(settings.tests):
        names = judge(rules, trial(test), reading).names
        if test.expect not in names:
            mark = settings.place(("tests", number))
            where = f"test {number + 1} {test.request!r}"
            found = f"it meets {' / '.join(names)}"
            problems.append(Problem(settings.file, *mark, where, found, f"expected {test.expect}"))
    return problems


def trial(test: TestModel) -> Trial:
    method, _, target = test.request.partition(" ")
    return Trial(
        method,
        target,
        test.form or {},
        test.content_type or "",
        test.client,
        test.user or "",
        test.project,
    )

"""Rules that can never decide, because earlier ones always match first.

Conservative: a rule is reported only where every request it fits surely fits an earlier rule.
Coverage is looked for per method and path template; what two templates cover only together,
or a regex covers, is not found.
"""

from __future__ import annotations

from gateway.core.rules.rules import Rule, RuleSet
from gateway.core.rules.templates import Template, parse_template

_ANY_PATH = parse_template("/**")


def shadowed(rules: RuleSet) -> list[tuple[int, int]]:
    """Numbers of the rules that never decide, each with that of a rule before that covers it
    (its first path and method, where several cover it together)."""
    found = []
    for number, rule in enumerate(rules.rules):
        by = _covering(rules, number, rule)
        if by is not None:
            found.append((number, by))
    return found


def _covering(rules: RuleSet, number: int, rule: Rule) -> int | None:
    """The earlier rule that covers the first path of `rule`, if all are covered."""
    first: int | None = None
    methods: list[str | None] = [*sorted(rule.methods)] if rule.methods is not None else [None]
    for path in rules.templates[number] or (None,):
        for method in methods:
            by = next(
                (
                    at
                    for at, earlier in enumerate(rules.rules[:number])
                    if _method_covered(earlier, method)
                    and _path_covered(earlier, rules.templates[at], rule, path)
                    and _conditions_covered(earlier, rule)
                ),
                None,
            )
            if by is None:
                return None
            first = by if first is None else first
    return first


def _method_covered(earlier: Rule, method: str | None) -> bool:
    return earlier.methods is None or method in earlier.methods


def _path_covered(
    earlier: Rule, templates: tuple[Template, ...], rule: Rule, path: Template | None
) -> bool:
    if earlier.path_regex is not None:
        return earlier.path_regex == rule.path_regex
    if not templates:
        return True
    return any(template.covers(path or _ANY_PATH) for template in templates)


def _conditions_covered(earlier: Rule, rule: Rule) -> bool:
    """Whether the further conditions of `earlier` hold wherever those of `rule` do."""
    if earlier.content_types is not None and not (
        rule.content_types is not None and rule.content_types <= earlier.content_types
    ):
        return False
    if earlier.networks is not None and not (
        rule.networks is not None and set(rule.networks) <= set(earlier.networks)
    ):
        return False
    if earlier.rights is not None and not earlier.rights.covers(rule.rights):
        return False
    if earlier.form is None:
        return True
    wanted = dict(rule.form or ())
    return all(name in wanted and wanted[name] <= allowed for name, allowed in earlier.form)

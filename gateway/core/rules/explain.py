"""What would become of a request, said in words: `explain` and the tests of a configuration.

Runs the code that runs for real requests; adds only the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts, IPAddress
from gateway.core.http.path import parse_target
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Matched, Policy, Rule, RuleSet, in_networks
from gateway.core.urls import own

OWN = "own"
"""What becomes of a request for the gateway's own pages."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A request that is only thought of.

    form: the fields of its body; a multipart form is meant when `content_type` is "".
    user: the id of who asks, "" for nobody. project: normalised; None for what the rest says.
    """

    method: str
    target: str
    form: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    client: IPAddress | None = None
    user: str = ""
    project: str | None = None


Reading = Callable[[Facts, Mapping[str, str]], Claim]
"""What a request with a form is about (`Claim`, without who asks)."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of it: a refusal, one of the gateway's own pages, or a rule's policy.

    refusal: None when it was not refused at once. said: that refusal in words.
    changes: the method is not safe. seen: it is GET.
    steps: the rules before the one that decides, each with why it does not fit.
    anonymous: nothing says who asks. why: what of the deciding rule does not fit whom.
    """

    path: str = ""
    refusal: Slug | None = None
    said: str = ""
    own: bool = False
    matched: Matched | None = None
    steps: tuple[tuple[Rule, str], ...] = ()
    changes: bool = False
    seen: bool = False
    anonymous: bool = True
    why: str = ""

    @property
    def barred(self) -> Slug | None:
        """The refusal of a request that the deciding rule is not for."""
        rule, policy = self.matched[:2] if self.matched else (None, None)
        if rule is None or policy is not Policy.DENY or rule.policy is Policy.DENY:
            return None
        return Slug.CREDENTIAL_REQUIRED if self.anonymous else Slug.NOT_PERMITTED

    @property
    def names(self) -> tuple[str, ...]:
        """What a test may expect of this verdict, the most telling first."""
        if self.refusal:
            return (self.refusal,)
        if self.own or self.matched is None:
            return (OWN,)
        rule, policy = self.matched.rule, self.matched.policy
        if self.barred:
            return (self.barred,)
        names = (rule.name if rule else "default", policy.value)
        return (*names, "denied") if policy is Policy.DENY else names


def judge(rules: RuleSet, trial: Trial, reading: Reading) -> Explanation:
    """Match a trial as a real request is matched."""
    try:
        target = parse_target(trial.target)
    except Refusal as refusal:
        return Explanation(refusal=refusal.slug, said=refusal.text)
    if own(target.path):
        return Explanation(path=target.path, own=True)
    content_type = trial.content_type or ("multipart/form-data" if trial.form else "")
    fields = (("content-type", content_type),) if content_type else ()
    facts = Facts(trial.method, trial.target, *target, fields=fields, client=trial.client)
    form = {name: (value,) for name, value in trial.form.items()}
    asked = _asked(trial, facts, reading)
    try:
        matched = rules.match(facts, form, asked=asked)
    except Refusal as refusal:
        return Explanation(target.path, refusal=refusal.slug, said=refusal.text)
    steps = []
    for rule in rules.rules:
        if rule is matched.rule:
            break
        steps.append((rule, why_not(rules, rule, facts, form, asked)))
    return Explanation(
        target.path,
        matched=matched,
        steps=tuple(steps),
        changes=not facts.safe,
        seen=facts.method == "GET",
        anonymous=asked.anonymous,
        why=why_not(rules, matched.rule, facts, form, asked) if matched.rule else "",
    )


def _asked(trial: Trial, facts: Facts, reading: Reading) -> Claim:
    asked = reading(facts, trial.form)
    if trial.project is not None:
        asked = replace(asked, project=trial.project, unclear="")
    return replace(asked, people=frozenset({trial.user} if trial.user else ()))


def why_not(
    rules: RuleSet,
    rule: Rule,
    facts: Facts,
    form: Mapping[str, tuple[str, ...]],
    asked: Claim,
) -> str:
    """Why a rule does not fit, "" when it does."""
    if rule.methods is not None and facts.method.upper() not in rule.methods:
        return f"{facts.method} is not {_or(sorted(rule.methods))}"
    if not rules.path_fits(rule, facts.path):
        return f"{facts.path} does not fit {_or([*rule.paths, *filter(None, [rule.path_regex])])}"
    if rule.content_types is not None and facts.content_type not in rule.content_types:
        found = facts.content_type or "no content type"
        return f"{found} is not {_or(sorted(rule.content_types))}"
    if rule.networks is not None and not in_networks(facts.client, rule.networks):
        return f"{facts.client or 'no address'} is not in {_or(map(str, rule.networks))}"
    for name, allowed in rule.form or ():
        values = form.get(name, ())
        if not values or not allowed.issuperset(values):
            found = f"is {', '.join(values)}, not" if values else "is missing; it would be"
            return f"form field {name} {found} {_or(sorted(allowed))}"
    return "" if rule.rights is None else rule.rights.why_not(asked)


def _or(options: Iterable[str]) -> str:
    return " or ".join(options)

"""Rules: the first whose match fits a request decides its policy.

Knows paths and conditions; knows no users. `explain` and the running gateway use the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts, IPAddress
from gateway.core.http.responses import Response
from gateway.core.phrases import _
from gateway.core.rules.rights import Claim, Rights, Standing
from gateway.core.rules.templates import Regex, Template, Tree, compile_regex, parse_template, split


class Policy(StrEnum):
    """What a matching request needs; see the table in docs/rules.md."""

    PASS = "pass"  # noqa: S105 - the name of a policy
    LOGIN = "login"
    SECOND_FACTOR = "second_factor"
    TOKEN = "token"  # noqa: S105
    AUTHENTICATED = "authenticated"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to match.

    methods: None for any.
    paths: path templates, see `gateway.core.rules.templates`; path_regex: matched in full. A rule
        with neither fits every path.
    form: field name -> allowed values; None for "the rule does not look at the body".
    networks: where the client is; of one whose address is not known see `RuleSet.match`.
    max_age: seconds; how old a second factor may be.
    unpacked: the index unpacks the files of the form, so they are looked into; goes with `form`.
    rights: for whom and which projects it is; None for everybody and all.
    response: how browsers are to treat the answer; None where the rule does not say.
    tried: it stands for one of policy `token` that is not enforced: what that would refuse passes,
        and is counted.
    session: whether a session or a cookie is evidence for unsafe methods, too.
    position: where it stands in the configuration, for messages.
    """

    name: str
    policy: Policy
    methods: frozenset[str] | None = None
    paths: tuple[str, ...] = ()
    path_regex: str | None = None
    content_types: frozenset[str] | None = None
    form: tuple[tuple[str, frozenset[str]], ...] | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    max_age: float | None = None
    session: bool = False
    unpacked: bool = False
    tried: bool = False
    response: Response | None = None
    rights: Rights | None = None
    position: str = field(default="", compare=False)

    @property
    def conditional(self) -> bool:
        """Whether more than method and path decides."""
        return not (
            self.content_types is None
            and self.form is None
            and self.networks is None
            and self.rights is None
        )


class Matched(NamedTuple):
    """Which rule decides.

    rule: None when none fits and `policy` is the default. With rights and `policy` deny, though
        the rule says something else: it is for others.
    needs_form: the body decides, and it has not been looked at yet. `rule` is then the one to
        go on with should the body not tell within what may be held back: the first `pass`
        rule that may still come to fit (None, and the default's policy, if there is none).
        The request is to be cut off if the body then turns out to fit another rule.
    form_names: the fields of the body to look at when `needs_form`.
    unpacks: a rule that decides, or may come to, has `unpacked`.
    needs_project: the body tells the project, and that decides.
    """

    rule: Rule | None
    policy: Policy
    needs_form: bool = False
    form_names: frozenset[str] = frozenset()
    unpacks: bool = False
    needs_project: bool = False


class RuleSet:
    """All rules in order, and the policy for what none of them fits.

    Raises:
        TemplateError: a template or regex of a rule is bad.
    """

    def __init__(self, rules: Iterable[Rule], default: Policy = Policy.SECOND_FACTOR) -> None:
        self.rules: Final = tuple(rules)
        self.default: Final = default
        self.templates: Final[tuple[tuple[Template, ...], ...]] = tuple(
            tuple(parse_template(path) for path in rule.paths) for rule in self.rules
        )
        self._regexes: Final[dict[int, Regex]] = {
            number: compile_regex(rule.path_regex)
            for number, rule in enumerate(self.rules)
            if rule.path_regex is not None
        }
        self._by_rights: Final = any(rule.rights is not None for rule in self.rules)
        named = {method for rule in self.rules for method in rule.methods or ()}
        self._asked: tuple[str, str] | None = None
        self._found: tuple[Rule, ...] = ()
        self._others: Final = _Table(self, None)
        self._tables: Final = {method: _Table(self, method) for method in named}

    def candidates(self, method: str, path: str) -> tuple[Rule, ...]:
        """The rules whose method and path fit, in order, cut after the first that has no
        further condition. Pure: the answer depends on nothing else and may be kept.

        The method is compared in upper case: bottle folds it, so `post` may mean POST there.
        """
        asked = method, path
        if asked != self._asked:  # several parts ask about one request, one after another
            self._found = self._tables.get(method.upper(), self._others).find(path)
            self._asked = asked
        return self._found

    def by_rights(self, method: str, path: str) -> bool:
        """Whether it may matter who asks for what."""
        return self._by_rights and any(
            rule.rights is not None for rule in self.candidates(method, path)
        )

    def path_fits(self, rule: Rule, path: str) -> bool:
        """Whether one rule's path condition fits: the plain reading of what the tables find."""
        number = self.rules.index(rule)
        if number in self._regexes:
            return self._regexes[number].fits(path)
        return not rule.paths or any(each.fits(path) for each in self.templates[number])

    def match(
        self,
        facts: Facts,
        form: Mapping[str, tuple[str, ...]] | None = None,
        candidates: tuple[Rule, ...] | None = None,
        asked: Claim | None = None,
    ) -> Matched:
        """The rule that decides on a request.

        A client whose address is not known might be in any network or in none: what decides is
        the stricter of both, so it is never inside where that opens something, nor outside.

        Args:
            form: the fields found in the body; None while it has not been looked at.
            candidates: what `candidates` returned for this method and path, if kept.
            asked: who asks for what; None for nobody, for nothing in particular.

        Raises:
            Refusal: `bad_request` or `unreadable_form` where a rule asks for the media type, and
                it is spelled in a way that servers read differently; `project_unclear`.
        """
        if candidates is None:
            candidates = self.candidates(facts.method, facts.path)
        open_rules: list[Rule] = []
        unsure: list[Rule] = []  # those that decide if the client is in their networks
        bar: Rule | None = None  # the first that is for others
        for rule in candidates:
            if rule.conditional and not _conditions_fit(rule, facts):
                continue
            if rule.form is not None and form is None:
                open_rules.append(rule)
                continue
            if rule.form is not None and not _form_fits(rule.form, form or {}):
                continue
            standing = _standing(rule, asked)
            if standing is Standing.OPEN:
                if form is not None:
                    raise AssertionError("a form was read, but not for its project")
                open_rules.append(rule)
            elif standing is Standing.BARRED:
                bar = bar or rule
            elif standing is Standing.FITS:
                if bar is not None and not (rule.rights is not None and rule.rights.by_people):
                    break
                if rule.networks is None or facts.client is not None:
                    return self._last(open_rules, unsure, rule)
                if not any(set(rule.networks) <= set(one.networks or ()) for one in unsure):
                    unsure.append(rule)
        return self._last(open_rules, unsure, bar, barred=bar is not None)

    def _last(
        self,
        open_rules: list[Rule],
        unsure: list[Rule],
        last: Rule | None,
        *,
        barred: bool = False,
    ) -> Matched:
        """The outcome where the form may still decide, or else `last` (None: the default).

        barred: it is for others, so nobody gets through.
        """
        chosen = [rule for rule in (*open_rules, *unsure, last) if rule is not None]
        unpacks = any(rule.unpacked for rule in chosen)
        strictest = max(unsure, key=lambda rule: _STRICTNESS.index(rule.policy), default=None)
        otherwise = self.default if last is None else Policy.DENY if barred else last.policy
        if strictest is not None and (
            _STRICTNESS.index(strictest.policy) > _STRICTNESS.index(otherwise)
        ):
            last, otherwise = strictest, strictest.policy
        if open_rules:
            possible = open_rules if last is None or barred else [*open_rules, last]
            return self._undecided(open_rules, possible, unpacks)
        return Matched(last, otherwise, unpacks=unpacks)

    def _undecided(self, open_rules: list[Rule], possible: list[Rule], unpacks: bool) -> Matched:
        names = {name for rule in open_rules for name, _ in rule.form or ()}
        telling = [name for rule in open_rules if rule.rights for name in rule.rights.form_names]
        looked_at = frozenset((*names, *telling))
        for rule in possible:
            if rule.policy is Policy.PASS:
                return Matched(rule, rule.policy, True, looked_at, unpacks, bool(telling))
        return Matched(None, self.default, True, looked_at, unpacks, bool(telling))


_STRICTNESS: Final = (
    Policy.PASS,
    Policy.LOGIN,
    Policy.AUTHENTICATED,
    Policy.TOKEN,
    Policy.SECOND_FACTOR,
    Policy.DENY,
)


def _conditions_fit(rule: Rule, facts: Facts) -> bool:
    known = rule.networks is not None and facts.client is not None
    if known and not in_networks(facts.client, rule.networks or ()):
        return False
    asks = rule.content_types is not None or rule.form is not None
    if asks and not facts.plain_media_type:
        slug = Slug.BAD_REQUEST if rule.form is None else Slug.UNREADABLE_FORM
        raise Refusal(slug, why=_("its Content-Type is not plainly written"))
    return rule.content_types is None or facts.content_type in rule.content_types


_NOBODY: Final = Claim()


def _standing(rule: Rule, asked: Claim | None) -> Standing:
    return Standing.FITS if rule.rights is None else rule.rights.standing(asked or _NOBODY)


def in_networks(address: IPAddress | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether an address is in one of the networks; IPv4 in IPv6 (RFC 4291 section 2.5.5.2)
    counts as IPv4, no address as outside."""
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def _form_fits(
    wanted: tuple[tuple[str, frozenset[str]], ...], form: Mapping[str, tuple[str, ...]]
) -> bool:
    for name, allowed in wanted:
        values = form.get(name, ())
        if not values or not allowed.issuperset(values):
            return False
    return True


class _Table:
    """The rules for one method (None: for every method that no rule names)."""

    def __init__(self, rules: RuleSet, method: str | None) -> None:
        self._rules: Final = rules.rules
        self._tree: Final = Tree()
        self._always: Final[list[int]] = []
        self._regexes: Final[list[tuple[int, Regex]]] = []
        self._final: Final[dict[int, tuple[Rule, ...]]] = {
            number: (rule,) for number, rule in enumerate(rules.rules) if not rule.conditional
        }
        for number, rule in enumerate(rules.rules):
            if rule.methods is not None and (method is None or method not in rule.methods):
                continue
            if rule.path_regex is not None:
                self._regexes.append((number, rules._regexes[number]))
            elif not rule.paths:
                self._always.append(number)
            for template in rules.templates[number]:
                self._tree.add(template, number)

    def find(self, path: str) -> tuple[Rule, ...]:
        found = self._tree.find(split(path))
        if self._always:
            found += self._always
        for number, regex in self._regexes:
            if regex.fits(path):
                found.append(number)
        if not found:
            return ()
        first = min(found)
        if first in self._final:
            return self._final[first]
        chosen = []
        for number in sorted(set(found)):
            rule = self._rules[number]
            chosen.append(rule)
            if not rule.conditional:
                break
        return tuple(chosen)

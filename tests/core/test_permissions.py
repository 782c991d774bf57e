"""Who a rule is for: what a later rule may still take, and what an earlier one surely has."""

from __future__ import annotations

from random import Random

import pytest

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.permissions import Group, Groups, Patterns, People, Permission
from gateway.core.rules.rights import Claim, Standing
from gateway.core.rules.rules import Policy, Rule, RuleSet
from gateway.core.rules.shadowing import shadowed

NAMES = ("alice", "bob", "carol")
PROJECTS = ("billing-core", "billing-ui", "tools")
INDEXES = ("prod/main", "prod/old", "dev/main")
GROUPS = Groups(
    {
        "release": Group(frozenset({"alice", "bob"}), Patterns.of(["billing-*"])),
        "ui": Group(frozenset({"carol"}), Patterns.of(["billing-ui"])),
    }
)
FACTS = Facts("POST", "/", "/", "", (), None)


def permission(random: Random) -> Permission:
    """Any rights at all."""
    some = random.choice
    people = some(
        [
            None,
            People(frozenset({some(NAMES)})),
            People(frozenset({some(NAMES)}), (GROUPS.named[some(["release", "ui"])],)),
            People(frozenset(), tuple(GROUPS.named.values())),
            People(frozenset(), owners=True),
            People(frozenset({some(NAMES)}), owners=True),
            People(anybody=True),
        ]
    )
    projects = some([None, ["*"], ["billing-*"], ["tools"], ["billing-ui", "tools"], []])
    indexes = some([None, None, ["prod/*"], ["prod/main", "dev/*"], ["*"]])
    return Permission(
        GROUPS,
        people,
        None if projects is None else Patterns.of(projects),
        projects is not None and random.random() < 0.3,
        None if indexes is None else Patterns.of(indexes),
    )


def claim(random: Random) -> Claim:
    people = frozenset(random.sample(NAMES, random.choice([0, 1, 1, 1, 2])))
    project = random.choice([*PROJECTS, None])
    return Claim(people, random.random() < 0.1, random.choice([*INDEXES, None]), project)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_called_shadowed_never_decides(seed: int) -> None:
    random, found = Random(seed), 0
    for _ in range(300):
        rules = [Rule(str(n), Policy.PASS, rights=permission(random)) for n in range(3)]
        ruleset = RuleSet(rules)
        never = {rules[number].name for number, _ in shadowed(ruleset)}
        found += len(never)
        for _ in range(20):
            asked = claim(random)
            matched = ruleset.match(FACTS, asked=asked)
            assert matched.rule is None or matched.rule.name not in never, (rules, asked)
    assert found > 50


@pytest.mark.parametrize("seed", range(10))
def test_who_gets_through_is_somebody_it_is_for(seed: int) -> None:
    """However rules for others come before or behind: nobody passes a rule by the next one."""
    random, passed, barred = Random(seed), 0, 0
    for _ in range(500):
        rules = [Rule(str(n), Policy.PASS, rights=permission(random)) for n in range(3)]
        asked = claim(random)
        matched = RuleSet(rules, Policy.DENY).match(FACTS, asked=asked)
        standings = [each.rights.standing(asked) for each in rules if each.rights]
        before = standings[: rules.index(matched.rule)] if matched.rule else standings
        if matched.policy is Policy.PASS:
            passed += 1
            assert matched.rule is not None and matched.rule.rights is not None
            assert matched.rule.rights.standing(asked) is Standing.FITS
            assert Standing.BARRED not in before or matched.rule.rights.by_people
        elif matched.rule is not None:
            barred += 1
            assert Standing.BARRED in standings
    assert passed > 50
    assert barred > 50


def test_everybody_whom_a_request_names_has_to_fit() -> None:
    rights = Permission(GROUPS, People(frozenset(), (GROUPS.named["release"],)))
    for people, fits in (
        ({"alice"}, True),
        ({"alice", "bob"}, True),
        ({"alice", "carol"}, False),
        (set(), False),
    ):
        standing = rights.standing(Claim(frozenset(people)))
        assert (standing is Standing.FITS) == fits
    assert rights.standing(Claim(frozenset({"alice"}), unnamed=True)) is Standing.BARRED


def test_a_project_that_is_not_certain_is_refused_where_it_matters() -> None:
    asked = Claim(frozenset({"alice"}), unclear="it says two")
    assert Permission(GROUPS).standing(asked) is Standing.FITS
    for rights in (
        Permission(GROUPS, projects=Patterns.of(["x"])),
        Permission(GROUPS, People(owners=True)),
        Permission(GROUPS, newcomers=People()),
    ):
        with pytest.raises(Refusal) as caught:
            rights.standing(asked)
        assert caught.value.slug == Slug.PROJECT_UNCLEAR


def test_a_client_whose_network_is_not_known_is_barred_by_what_may_be_its_rule() -> None:
    from ipaddress import ip_network

    rights = Permission(GROUPS, People(frozenset({"alice"})))
    inside = Rule("inside", Policy.PASS, networks=(ip_network("10.0.0.0/8"),), rights=rights)
    matched = RuleSet([inside, Rule("rest", Policy.PASS)]).match(
        FACTS, asked=Claim(frozenset({"bob"}))
    )
    assert (matched.rule, matched.policy) == (inside, Policy.DENY)

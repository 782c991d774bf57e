"""Rules: the first whose match fits a request decides its policy.

Knows paths and conditions; knows no users. `explain` and the running gateway use the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network


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
    """One rule, ready to match. `patterns` are compiled templates, matched in full.

    methods: None for any.
    form: field name -> allowed values; None for "the rule does not look at the body".
    max_age: seconds; how old a second factor may be.
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
    sandbox: bool = False
    position: str = field(default="", compare=False)

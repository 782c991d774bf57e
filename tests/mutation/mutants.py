"""What is broken on purpose: one line of a guard at a time, and the tests that must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A defect. file, old, new: where it is made; `old` stands there `times` times.

    tests: what must fail then (paths, from the root of the project).
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    times: int = 1


# What `make test` tries; the others, and more of each kind, are for `make mutants`.
FIRST = (
    "canonical path: an encoded slash is no separator",
    "hygiene: underscores go on",
    "carriers: one of them is not seen",
    "forms: the last of several fields wins",
    "address: the first one is believed",
    "session evidence: another site may use it",
)
PATHS = ("tests/core/http/test_path.py",)
HYGIENE = ("tests/gate/test_hygiene.py",)
CARRIERS = ("tests/upstreams/test_carriers_oracle.py",)
FORMS = ("tests/core/http/test_forms.py",)
ADDRESSES = ("tests/core/http/test_client_address.py",)
EVIDENCE = ("tests/core/test_evidence.py",)
ARCHIVES = ("tests/core/http/test_zips.py",)
RULES = ("tests/core/rules/test_rules.py",)

RIGHTS = ("tests/core/test_permissions.py",)
PROJECTS = ("tests/fuzz/test_project_forms.py",)

MUTANTS = {
    "rights: whom a rule is not for passes by the next": Mutant(
        "gateway/core/rules/rules.py", "bar = bar or rule", "continue", RIGHTS
    ),
    "rights: one of several names is enough": Mutant(
        "gateway/core/permissions.py",
        "        return all(\n            one in self.ids or",
        "        return any(\n            one in self.ids or",
        RIGHTS,
    ),
    "rights: what is not certain is none": Mutant(
        "gateway/core/permissions.py", "if asked.unclear:", "if False:", RIGHTS
    ),
    "rights: a file is of any project": Mutant(
        "gateway/gate/asked.py",
        "if project is None:\n            return",
        "if True:\n            return",
        PROJECTS,
    ),
    "rights: a later name counts": Mutant(
        "gateway/gate/form_inspector.py",
        "if needed or ",
        "if ",
        ("tests/gate/test_form_inspector.py",),
    ),
    "canonical path: an encoded slash is no separator": Mutant(
        "gateway/core/http/path.py", r"\x7f-\x9f/\\#", r"\x7f-\x9f\\#", PATHS
    ),
    "canonical path: dot segments stay": Mutant(
        "gateway/core/http/path.py", 'if text in (".", ".."):', "if False:", PATHS
    ),
    "hygiene: a field changes the method": Mutant(
        "gateway/core/http/headers.py", '        "x-http-method-override",\n', "", HYGIENE
    ),
    "hygiene: underscores go on": Mutant(
        "gateway/core/http/headers.py", 'or "_" in name', "or False", HYGIENE
    ),
    "carriers: one of them is not seen": Mutant(
        "gateway/upstreams/devpi.py", 'elif name == "x-devpi-auth":', "elif False:", CARRIERS
    ),
    "carriers: a cookie is not seen": Mutant(
        "gateway/upstreams/devpi.py", "        if there:\n", "        if False:\n", CARRIERS
    ),
    "forms: the last of several fields wins": Mutant(
        "gateway/core/http/forms.py", "if name in self.fields:", "if False:", FORMS, times=2
    ),
    "forms: all goes on before it is judged": Mutant(
        "gateway/gate/form_inspector.py",
        "return self._judge.safe if self._going else 0",
        "return self._seen",
        ("tests/fuzz/test_forms.py::test_what_goes_on_means_what_was_judged",),
    ),
    "address: the first one is believed": Mutant(
        "gateway/core/http/facts.py",
        "in reversed([part for part in named if part])",
        "in [part for part in named if part]",
        ADDRESSES,
    ),
    "address: everybody is a proxy": Mutant(
        "gateway/core/http/facts.py",
        "if not trusted or (peer is not None and not is_trusted(peer, trusted)):",
        "if not trusted:",
        ADDRESSES,
    ),
    "ended credentials: they pass": Mutant(
        "gateway/gate/gate.py",
        "looked = None if _logs_in(facts, matched) else self._parts.ended.look(facts)",
        "looked = None",
        ("tests/gate/test_ended_credentials.py::test_a_cookie_that_names_nobody",),
    ),
    "ended credentials: a session held by two ends them": Mutant(
        "gateway/core/login/services.py",
        "names -= set(other.holds)",
        "pass",
        ("tests/core/login/test_ended.py",),
    ),
    "session evidence: two people count as one": Mutant(
        "gateway/core/evidence.py",
        "if len(people) > 1:",
        "if len(people) > 9:",
        EVIDENCE,
    ),
    "session evidence: another site may use it": Mutant(
        "gateway/core/evidence.py",
        "return explicit and evidence.site is Site.UNKNOWN",
        "return True",
        EVIDENCE,
    ),
    "archives: a member leaves its folder": Mutant(
        "gateway/core/http/zips.py", r"(?:\A|/)\.\.(?:/|\Z)", r"\A\.\./", ARCHIVES
    ),
    "rules: the last one decides": Mutant(
        "gateway/core/rules/rules.py",
        "for rule in candidates:",
        "for rule in candidates[::-1]:",
        RULES,
    ),
}

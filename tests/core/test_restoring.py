"""What a backup brings back: every kind of record has been thought of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gateway
from gateway.core.accounts.records import Account, TotpDevice, dump, load
from gateway.core.restoring import BACK, ENDED, LEFT, WITH_LOG, plan

SOURCES = [*(Path(gateway.__file__).parent).rglob("*.py")]


def kinds() -> Iterator[str]:
    """The first argument of every `Key(…)` in the sources; a name stands for its constant."""
    trees = [ast.parse(file.read_text()) for file in SOURCES]
    constants = {
        node.target.id: node.value.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id.isupper()
        and isinstance(node.value, ast.Constant)
    }
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Key" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield str(first.value)
                elif isinstance(first, ast.Name) and first.id in constants:
                    yield str(constants[first.id])


def test_every_kind_of_record_comes_back_ends_or_stays() -> None:
    found = set(kinds())
    assert len(found) > 25
    named = [*BACK, *ENDED, *LEFT, *WITH_LOG]
    assert found == set(named)
    assert len(named) == len(set(named))


def test_codes_that_could_have_been_used_meanwhile_do_not_count_again() -> None:
    account = Account("alice", "alice", totp=tuple(
        TotpDevice(name, name, "sealed", step, 0.0) for name, step in (("a", 5), ("b", 99))
    ))  # fmt: skip
    mended = load(plan(50).mend(dump(account)))
    assert [one.step for one in mended.totp] == [50, 99]

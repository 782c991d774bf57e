"""Values that many are made of: what a frozen dataclass promises, but for the price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.store import Key, Put
from gateway.core.upstream import Credential


def test_values_are_equal_by_what_they_hold() -> None:
    one, same = Put(Key("kind", "alice", ""), b"x"), Put(Key("kind", "alice", ""), b"x")
    assert one == same and hash(one) == hash(same)
    assert replace(one, value=b"y") != one
    assert one != Put(Key("kind", "alice", ""), b"x", if_version=1)


def test_only_the_type_checker_sees_that_they_are_frozen() -> None:
    """The comments below are errors of mypy themselves where it does not."""
    credential = Credential("alice", "secret")
    credential.user = "bob"  # type: ignore[misc]
    assert credential.user == "bob"
    with pytest.raises(AttributeError):
        credential.other = ""  # type: ignore[attr-defined]


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Credential("alice", "secret"))

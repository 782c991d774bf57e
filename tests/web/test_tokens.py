"""Form tokens follow the keys of the moment."""

from __future__ import annotations

import os

import pytest

from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.web.csrf import FormTokens

OLD, NEW = ("k1", bytes(32)), ("k2", b"n" * 32)


def test_a_rotation_under_a_running_gateway_counts() -> None:
    """A gateway that was there before and one started afterwards take each other's forms; a key
    that was taken out (it may have leaked) signs no more."""
    keys = [OLD]
    running = FormTokens(KeyRing(lambda: tuple(keys), os.urandom), lambda: 1_800_000_000.0)
    before = running.make("cookie", "/+auth/logout")
    keys[:] = [NEW, OLD]
    running.check(before, "cookie", "/+auth/logout")
    started = FormTokens(KeyRing((NEW, OLD), os.urandom), lambda: 1_800_000_000.0)
    running.check(started.make("cookie", "/+auth/logout"), "cookie", "/+auth/logout")
    keys[:] = [NEW]
    with pytest.raises(Refusal, match="csrf"):
        running.check(before, "cookie", "/+auth/logout")

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.audit.events import Origin
from gateway.core.crypto.keyring import KeyRing, RootKeys
from gateway.core.tokens.models import NewToken, TokenLimits
from gateway.core.tokens.records import scope_of
from gateway.core.tokens.tokens import Tokens
from gateway.core.upstream import Credential
from gateway.stores.sqlite.store import open_sqlite
from tests.core.world import KEYS, Clock, Ledger

ORIGIN = Origin(address="192.0.2.10", user_agent="twine/7.0.0", method="POST", path="/")
YEAR = 365 * 86400.0


class Desk:
    """Where tokens are made, over a real store, with a clock that tests turn."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.keys: RootKeys = KEYS
        self.ring = KeyRing(lambda: self.keys, secrets.token_bytes)
        self.store = open_sqlite(f"sqlite:{directory / 'state.db'}", self.clock)
        self.ledger = Ledger(self.store)
        self.tokens = self.gateway()

    def gateway(self, limits: TokenLimits | None = None) -> Tokens:
        """One of the gateways on this store."""
        return Tokens(
            self.store,
            self.ring,
            self.ledger,
            self.ledger,
            self.clock,
            secrets.token_bytes,
            limits or TokenLimits("packages.example.org"),
        )

    async def make(
        self,
        name: str = "ci",
        user: str = "Alice",
        lifetime: float = 30 * 86400.0,
        **scope: list[str],
    ) -> NewToken:
        wanted = scope_of(scope.pop("actions", ["upload"]), **scope)
        return await self.tokens.make(
            user, name, wanted, lifetime, Credential(user, f"secret of {user}"), ORIGIN
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.store.close()

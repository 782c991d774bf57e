"""An exchange over a real store, with an issuer's signature taken for granted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.errors import Refusal, Slug
from gateway.core.publishing.exchange import TokenExchange
from gateway.core.publishing.identity import IdentityToken
from gateway.core.publishing.publishers import Publisher
from tests.core.tokens.conftest import Desk

AUDIENCE = "packages.example.org"


class Signatures:
    """The port to the keys of issuers. asked: the issuers that would have been."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.right = True

    async def verify(self, token: IdentityToken) -> None:
        self.asked.append(token.issuer)
        if not self.right:
            raise Refusal(Slug.OIDC_TOKEN, why="its signature is wrong")


class Counter(Desk):
    """Where identity tokens are exchanged."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.signatures = Signatures()

    def exchange(self, *publishers: Publisher, service: str = "uploads") -> TokenExchange:
        """One of the gateways on this store."""
        return TokenExchange(
            publishers,
            self.signatures,
            self.gateway(),
            self.store,
            self.ring,
            self.ledger,
            self.ledger,
            self.clock,
            audience=AUDIENCE,
            service=service,
        )


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    made = Counter(tmp_path)
    yield made
    await made.store.close()

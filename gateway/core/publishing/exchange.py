"""An identity token for an API token of fifteen minutes, where a publisher fits it.

In this order: its shape, its issuer, audience and times, its signature, the publisher, and then it
is used up. So nothing is asked of an issuer for a token that could not fit, and who cannot sign
learns nothing of the publishers.

Knows the publishers, the store and the trail; the keys of issuers come through a port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice, Notifier
from gateway.core.publishing import identity
from gateway.core.publishing.accounts import PublisherAccounts
from gateway.core.publishing.identity import IdentityToken
from gateway.core.publishing.publishers import Publisher
from gateway.core.store import Key, Store
from gateway.core.tokens.models import NewToken
from gateway.core.tokens.records import Scope
from gateway.core.tokens.tokens import Tokens
from gateway.core.upstream import Action, Credential
from gateway.core.user_id import user_id

LIFETIME: Final = 900.0
"""Seconds that a token lives which a job gets."""
MADE_BY: Final = "publisher "
"""How the record of such a token begins to say who made it; the publisher's name follows."""

_USED_UP: Final = 35.0  # seconds after its end: longer than it is taken
_DAY: Final = 86400.0
_LONG: Final = 90 * _DAY


class IssuerKeys(Protocol):
    """The keys that issuers publish."""

    async def verify(self, token: IdentityToken) -> None:
        """Whether its issuer signed it.

        Raises:
            Refusal: `oidc_token`.
        """
        ...


class TokenExchange:
    """Every method may raise StoreUnavailable.

    Args:
        audience: whom tokens have to be for.
        service: the user in whose name publishers upload that have none of their own.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        keys: IssuerKeys,
        tokens: Tokens,
        store: Store,
        ring: KeyRing,
        audit: AuditSink,
        notifier: Notifier,
        clock: Clock,
        *,
        audience: str,
        service: str,
    ) -> None:
        self.publishers: Final = tuple(publishers)
        self.audience: Final = audience
        self._issuers: Final = frozenset(one.issuer for one in publishers)
        self._keys: Final = keys
        self._tokens: Final = tokens
        self._store: Final = store
        self._accounts: Final = PublisherAccounts(store, ring)
        self._audit: Final = audit
        self._notifier: Final = notifier
        self._clock: Final = clock
        self._service: Final = service

    def read(self, text: object) -> IdentityToken:
        """A token of an issuer that is known here, meant for this index and for now.

        Raises:
            Refusal: `oidc_off`, `oidc_payload`, `oidc_token`.
        """
        if not self.publishers:
            raise Refusal(Slug.OIDC_OFF)
        token = identity.read(text)
        if token.issuer not in self._issuers:
            raise Refusal(Slug.OIDC_PAYLOAD, why="unknown trusted publishing issuer")
        identity.check(token, self.audience, self._clock())
        return token

    async def mint(self, token: IdentityToken, origin: Origin) -> NewToken:
        """The API token for what was read.

        Raises:
            Refusal: `oidc_token`, `oidc_publisher`, `oidc_reused`.
        """
        await self._keys.verify(token)
        publisher = await self._publisher(token, origin)
        held = await self._held(publisher)
        await self._use_up(token, publisher, origin)
        user = publisher.user or self._service
        scope = Scope((Action.UPLOAD,), publisher.indexes, publisher.projects)
        made = await self._tokens.mint(
            user,
            publisher.label(token.claims),
            scope,
            LIFETIME,
            held,
            origin,
            made_by=MADE_BY + publisher.name,
            said=f"by {publisher.name}: {publisher.told(token.claims)}",
        )
        await self._tell(Notice.PUBLISHER_USED, publisher, origin, every=_LONG)
        return made

    async def _publisher(self, token: IdentityToken, origin: Origin) -> Publisher:
        nearest: tuple[Publisher, tuple[str, ...]] | None = None
        for one in self.publishers:
            if one.issuer != token.issuer:
                continue
            missed = one.missed(token.claims)
            if missed == ():
                return one
            if missed and (nearest is None or len(missed) < len(nearest[1])):
                nearest = one, missed
        if nearest is None:
            why = "no publisher is configured for what it says of its bearer"
            await self._refused("", f"no publisher: issuer {token.issuer}", origin)
            raise Refusal(Slug.OIDC_PUBLISHER, why=why)
        publisher, missed = nearest
        names = ", ".join(missed)
        said = f"{publisher.name}: {names} differ; {publisher.told(token.claims)}"
        await self._refused(self._owner(publisher), said, origin)
        if publisher.pinned in missed:
            await self._tell(Notice.PUBLISHER_NAMESAKE, publisher, origin)
        why = f"the publisher {publisher.name!r} has other values for {names}"
        raise Refusal(Slug.OIDC_PUBLISHER, why=why)

    async def _use_up(self, token: IdentityToken, publisher: Publisher, origin: Origin) -> None:
        # No keyed hash: it has to be the same after a rotation of the keys.
        told = f"{token.issuer} {token.once}".encode()
        used = Key("identity", "", hashlib.sha256(told).hexdigest())
        if await self._store.claim(used, expires=token.expires + _USED_UP):
            return
        said = f"{publisher.name}: a second time; {publisher.told(token.claims)}"
        await self._refused(self._owner(publisher), said, origin)
        await self._tell(Notice.PUBLISHER_REPLAYED, publisher, origin)
        raise Refusal(Slug.OIDC_REUSED)

    async def _held(self, publisher: Publisher) -> Credential | None:
        if not publisher.user:
            return None
        held = await self._accounts.of(publisher.user)
        if held is None:
            raise Refusal(
                Slug.OIDC_PUBLISHER, why=f"the publisher {publisher.name!r} has no password yet"
            )
        return held

    def _owner(self, publisher: Publisher) -> str:
        """Who is told, and in whose trail it stands."""
        return user_id(publisher.user or self._service)

    async def _refused(self, user: str, detail: str, origin: Origin) -> None:
        await self._audit.record(Event.PUBLISHER_REFUSED, user, origin, detail=detail)

    async def _tell(
        self, notice: Notice, publisher: Publisher, origin: Origin, *, every: float = _DAY
    ) -> None:
        user = self._owner(publisher)
        told = Key("told", user, f"{notice} {publisher.name}")
        if await self._store.claim(told, expires=self._clock() + every):
            await self._notifier.notify(notice, user, origin, detail=publisher.name)

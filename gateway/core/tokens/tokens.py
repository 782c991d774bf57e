"""Making, verifying and ending API tokens.

A token is `pypi-` and a macaroon whose identifier is the name of its owner at the index, its id
and a secret. The key that signs it, and the credential it stands for, are sealed under the key
ring together with that secret: the store and the keys open nothing without the token. Narrowing
keeps the identifier, so a narrowed token still opens them.

Knows the store, the keys and the trail; knows no request and no index server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice, Notifier
from gateway.core.phrases import _
from gateway.core.store import Key, Store
from gateway.core.tokens import macaroon
from gateway.core.tokens.caveats import parse
from gateway.core.tokens.macaroon import Macaroon, NoToken
from gateway.core.tokens.models import Bearer, Listed, NewToken, ScopedHolding, TokenLimits
from gateway.core.tokens.records import BY_LOGIN, LastUse, Scope, Token, refused
from gateway.core.tokens.repository import TokenRecords
from gateway.core.tokens.sealing import Named, TokenSeals, named, new_identifier
from gateway.core.upstream import Action, Credential
from gateway.core.user_id import user_id as id_of
from gateway.core.wording import in_words, time_left

REMEMBERED: Final = 60.0
"""Seconds for which a token that was read from the store is not read again for reading."""
TOUCH: Final = 60.0
"""Seconds between two writes of a token's last use."""

_KNOWN: Final = 4096
_DAY: Final = 86400

_Work: TypeAlias = Callable[[Token], Token]


class _Lately(NamedTuple):
    """A token and its last use, as they were read from the store at a moment."""

    read: float
    token: Token
    use: LastUse

    def good(self, now: float) -> bool:
        """Whether they are not a minute old."""
        return 0 <= now - self.read < REMEMBERED


class Tokens:
    """Every method may raise StoreUnavailable; refusals are `Refusal`s."""

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        audit: AuditSink,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        limits: TokenLimits,
    ) -> None:
        self.limits: Final = limits
        self._store: Final = store
        self._ring: Final = ring
        self._seals: Final = TokenSeals(ring)
        self._audit: Final = audit
        self._notifier: Final = notifier
        self._clock: Final = clock
        self._random: Final = random
        self._records: Final = TokenRecords(store)
        self._known: Final[dict[str, _Lately]] = {}
        self._bearers: Final[dict[str, Bearer]] = {}  # by a keyed hash of the token
        self._touched: Final[dict[str, float]] = {}

    # -- making ---------------------------------------------------------------------------

    async def make(
        self,
        user: str,
        name: str,
        scope: Scope,
        lifetime: float,
        credential: Credential | None,
        origin: Origin,
        *,
        made_by: str = "",
        scoped: ScopedHolding | None = None,
    ) -> NewToken:
        """A new token. Whoever asks has shown the password and a factor, or is an administrator.

        Args:
            user: the name as the index has it.
            credential: what it stands for at the index; None where a service account does.
            scoped: makes a token of the index's own to be held in its place.

        Raises:
            Refusal: `token_request`, `unusable_name`, `upstream_…`.
        """
        label = await self.usable_name(id_of(user), name)
        self.check_lifetime(lifetime)
        self.check_scope(scope)
        index_token = ""
        if scoped is not None and credential is not None:
            held = await scoped.make(credential, scope, self._clock() + lifetime)
            credential, index_token = held
        made = await self._new(
            *(user, label, scope, lifetime, credential, origin),
            made_by=made_by,
            index_token=index_token,
        )
        await self._notifier.notify(Notice.TOKEN_MADE, made.token.owner, origin, detail=label)
        return made

    async def mint(
        self,
        user: str,
        label: str,
        scope: Scope,
        lifetime: float,
        credential: Credential | None,
        origin: Origin,
        *,
        made_by: str = "",
        said: str = "",
    ) -> NewToken:
        """The same for a token of hours or minutes that was asked for in another way, and so often
        that its name need not be the only one. Whoever asks for it tells the person.

        Args:
            said: for the trail, how it was asked for.
        """
        lifetime = min(lifetime, self.limits.max_age)
        return await self._new(
            user, label, scope, lifetime, credential, origin, made_by=made_by, said=said
        )

    async def _new(
        self,
        user: str,
        label: str,
        scope: Scope,
        lifetime: float,
        credential: Credential | None,
        origin: Origin,
        *,
        made_by: str,
        said: str = "",
        index_token: str = "",
    ) -> NewToken:
        owner, now = id_of(user), self._clock()
        identifier, which = new_identifier(user, self._random)
        key = self._random(32)
        created, expires = int(now), int(now + lifetime)
        token = Token(
            id=which.id,
            owner=owner,
            user=user,
            name=label,
            scope=scope,
            created=float(created),
            expires=float(expires),
            made_by=made_by,
            index_token=index_token,
        )
        token = self._seals.sealed(token, which.secret, key, credential)
        await self._records.add(token)
        detail = f"{_said(token)}; {said}" if said else _said(token)
        await self._record(Event.TOKEN_MADE, token, origin, detail)
        # A clock of another gateway may be behind.
        conditions = scope.written(expires=expires, not_before=created - 60)
        return NewToken(token, macaroon.make(self.limits.location, identifier, key, conditions))

    def check_lifetime(self, lifetime: float) -> None:
        """Raises Refusal `token_request` for one that is not allowed."""
        if not 60 <= lifetime <= self.limits.max_age:
            raise refused(
                _(
                    "it would live {asked}; allowed is 1 minute to {most}",
                    asked=in_words(max(0, lifetime)),
                    most=in_words(self.limits.max_age),
                )
            )

    def check_scope(self, scope: Scope) -> None:
        """Raises Refusal `token_request` for one that is not allowed."""
        if Action.MANAGE in scope.actions and not self.limits.manage:
            raise refused(_("the scope 'manage' is not allowed here (tokens.manage)"))

    def check_name(self, name: str) -> str:
        """A name in one form. Raises Refusal `token_request` for one that nobody's could have."""
        label = " ".join(name.split())
        if not label or len(label) > 60 or not label.isprintable():
            raise refused(_("its name needs 1 to 60 visible characters"))
        return label

    async def usable_name(self, owner: str, name: str) -> str:
        """A name as a new token of somebody may have it.

        Raises:
            Refusal: `token_request`, where there are too many, too.
        """
        label = self.check_name(name)
        now = self._clock()
        live = [one for one in await self._records.of(owner) if one.live(now) and not one.minted]
        if len(live) >= self.limits.most:
            raise refused(_("you have {most} tokens, which is the limit", most=self.limits.most))
        if any(one.name == label for one in live):
            raise refused(_("there is a token of this name already"))
        return label

    # -- verifying ------------------------------------------------------------------------

    async def verify(self, text: str, origin: Origin, *, remembered: bool = False) -> Bearer:
        """The bearer of a token, whatever it may do.

        Args:
            remembered: what was read within a minute is good enough (a read, say).

        Raises:
            Refusal: `token_unreadable`, `token_elsewhere`, `token_unknown` (each of these may
                be a guess); `token_revoked`, `token_expired`, `token_too_early`,
                `token_condition`.
        """
        read, which = self._taken_apart(text)
        token = await self._read(which, remembered=remembered)
        if token is None:
            # Only now: the address of the index may have changed since it was made.
            elsewhere = read.location != self.limits.location
            slug = Slug.TOKEN_ELSEWHERE if elsewhere else Slug.TOKEN_UNKNOWN
            raise Refusal(slug, place=_place(read))
        if not macaroon.signed_by(read, self._key(token, which)):
            raise Refusal(Slug.TOKEN_UNKNOWN)
        try:
            caveats = (*token.scope.conditions(), *map(parse, read.caveats))
            bearer = Bearer(token, caveats, which.secret)
            await self._check_live(token, origin)
        except Refusal as refusal:
            await self.refused(token, refusal, origin)
            raise
        self._remember(text, bearer)
        return bearer

    def recalled(self, text: str) -> Bearer | None:
        """The same within a minute of `verify`, and without the store; None where that has to be
        asked."""
        bearer = self._bearers.get(self._named(text))
        return bearer if bearer is not None and self.still(bearer) else None

    def still(self, bearer: Bearer) -> bool:
        """Whether what was read of a token is not a minute old, and nothing has ended it here."""
        token, now = bearer.token, self._clock()
        known = self._known.get(f"{token.owner}/{token.id}")
        return (
            known is not None and known.token is token and known.good(now) and now < token.expires
        )

    def _named(self, text: str) -> str:
        return self._ring.digest("token in use", text)

    def _remember(self, text: str, bearer: Bearer) -> None:
        name = self._named(text)
        self._bearers.pop(name, None)
        if len(self._bearers) >= _KNOWN:
            del self._bearers[next(iter(self._bearers))]
        self._bearers[name] = bearer

    def _taken_apart(self, text: str) -> tuple[Macaroon, Named]:
        try:
            read = macaroon.read(text)
        except NoToken:
            raise Refusal(Slug.TOKEN_UNREADABLE) from None
        try:
            found = named(read.identifier)
        except Refusal:
            raise Refusal(Slug.TOKEN_UNREADABLE) from None
        if found is None:
            elsewhere = read.location != self.limits.location
            slug = Slug.TOKEN_ELSEWHERE if elsewhere else Slug.TOKEN_UNREADABLE
            raise Refusal(slug, place=_place(read))
        return read, found

    async def _read(self, which: Named, *, remembered: bool) -> Token | None:
        place = f"{which.owner}/{which.id}"
        now = self._clock()
        known = self._known.get(place)
        if remembered and known is not None and known.good(now):
            return known.token
        token, use = await self._records.with_use(which.owner, which.id)
        self._known.pop(place, None)
        if token is not None:
            if len(self._known) >= _KNOWN:
                del self._known[next(iter(self._known))]
            self._known[place] = _Lately(now, token, use)
        return token

    def _key(self, token: Token, which: Named) -> bytes:
        try:
            return self._seals.key(token, which.secret)
        except SealBroken:
            raise Refusal(Slug.TOKEN_UNKNOWN) from None

    async def _check_live(self, token: Token, origin: Origin) -> None:
        if token.revoked:
            await self._tell_daily(Notice.REVOKED_TOKEN_TRIED, token, origin)
            raise Refusal(Slug.TOKEN_REVOKED)
        if self._clock() >= token.expires:
            raise Refusal(Slug.TOKEN_EXPIRED)
        if Action.MANAGE in token.scope.actions and not self.limits.manage:
            raise Refusal(Slug.TOKEN_SCOPE, what=_("anything while tokens.manage is off"))

    # -- using ----------------------------------------------------------------------------

    def credential(self, bearer: Bearer) -> Credential | None:
        """What a token stands for at the index; None where it holds nothing, or what it holds
        was sealed under a key that is gone."""
        return self._seals.credential(bearer.token, bearer.secret)

    def noted(self, token: Token) -> bool:
        """Whether its use was noted within a minute."""
        last = self._touched.get(f"{token.owner}/{token.id}", -TOUCH)
        return 0 <= self._clock() - last < TOUCH

    async def used(self, bearer: Bearer, origin: Origin) -> None:
        """Note a use; written once a minute."""
        token, now = bearer.token, self._clock()
        place = f"{token.owner}/{token.id}"
        if self.noted(token):
            return
        known = self._known.get(place)
        if known is not None and known.good(now):
            before = known.use
        else:
            before = await self._records.last_use(token.owner, token.id)
        if not 0 <= now - before.at < TOUCH:
            use = LastUse(now, origin.address, origin.user_agent)
            await self._records.used(token, use)
            if not before.at:
                await self._record(
                    Event.TOKEN_USED, token, origin, f"{token.id}: for the first time"
                )
            await self._under_active_key(bearer)
        if len(self._touched) >= _KNOWN:
            del self._touched[next(iter(self._touched))]
        self._touched[place] = now

    async def _under_active_key(self, bearer: Bearer) -> None:
        """After a rotation: only a token itself lets what belongs to it be sealed anew."""
        token = bearer.token
        fresh = self._seals.renewed(token, bearer.secret)
        if fresh is None:
            return

        def work(present: Token) -> Token:
            kept = fresh.credential if present.credential == token.credential else ""
            return replace(present, key=fresh.key, credential=kept)

        await self._changed(token, work)

    async def refused(self, token: Token, refusal: Refusal, origin: Origin) -> None:
        """Record that a token of this owner was refused; the trail rations it."""
        await self._record(Event.TOKEN_REFUSED, token, origin, str(refusal.slug))

    async def index_says(self, token: Token, origin: Origin, *, right: bool) -> None:
        """Whether the index takes what the token stands for, as far as that is news."""
        if right == (not token.refused):
            return
        now = self._clock()

        def work(one: Token) -> Token:
            if right:
                return replace(one, refused=0.0)
            # The password was changed where the gateway does not see it.
            return replace(one, refused=now, undecided=one.undecided or now)

        changed = await self._changed(token, work)
        if changed is not None and not right and not changed[0].refused:
            await self._record(Event.TOKEN_NEEDS_RENEWAL, token, origin, token.id)
            await self._tell_daily(Notice.TOKEN_NEEDS_RENEWAL, token, origin)

    # -- ending ---------------------------------------------------------------------------

    async def revoke(
        self,
        owner: str,
        id: str,
        origin: Origin,
        *,
        why: str = "revoked",
        event: Event = Event.TOKEN_REVOKED,
    ) -> bool:
        """End one token; True if this call did it. why, event: for the trail."""
        now = self._clock()
        changed = await self._change(owner, id, lambda one: one.ended(now))
        if changed is None or changed[0].revoked:
            return False
        await self._record(event, changed[1], origin, f"{id}: {why}")
        return True

    async def revoke_all(
        self, owner: str, origin: Origin, *, why: str = "revoked"
    ) -> tuple[Token, ...]:
        """End all of a person's tokens; those that were still live."""
        live = [one for one in await self._records.of(owner) if one.live(self._clock())]
        done = [one for one in live if await self.revoke(owner, one.id, origin, why=why)]
        return tuple(done)

    async def burn(self, text: str, origin: Origin) -> Token:
        """A token revokes itself, a narrowed or expired one too. Raises Refusal as `verify`."""
        token = await self._whole(text)
        if await self.revoke(token.owner, token.id, origin, why="revoked by itself"):
            await self._notifier.notify(Notice.TOKEN_BURNT, token.owner, origin, detail=token.name)
        return token

    async def leaked(self, text: str, origin: Origin, *, by: str, source: str, place: str) -> bool:
        """End a token that somebody found in the open, or the one it was narrowed from, and tell
        its owner; True if this call did it.

        Args:
            by: who says so. source, place: where, "" where that is not told.
        """
        try:
            token = await self._whole(text)
        except Refusal:
            return False
        found = f", found in {source}" if source else ""
        why = f"reported by {by}{found}{f', at {place}' if place else ''}"
        ended = await self.revoke(token.owner, token.id, origin, why=why, event=Event.TOKEN_LEAKED)
        if ended:
            told = ", ".join(one for one in (token.name, by, place) if one)
            await self._notifier.notify(Notice.TOKEN_LEAKED, token.owner, origin, detail=told)
        return ended

    async def _whole(self, text: str) -> Token:
        """The token that a text is, or was narrowed from, ended or not.

        Raises:
            Refusal: `token_unreadable`, `token_elsewhere`, `token_unknown`.
        """
        read, which = self._taken_apart(text)
        token = await self._read(which, remembered=False)
        if token is None or not macaroon.signed_by(read, self._key(token, which)):
            raise Refusal(Slug.TOKEN_UNKNOWN)
        return token

    async def password_changed(self, owner: str, origin: Origin) -> tuple[Token, ...]:
        """A password changed: the owner has to say what becomes of each token that is left.

        Until then they go on, as far as the index still takes what they stand for.
        """
        await self.end_logins(owner, origin, why="password changed")
        now = self._clock()
        left = [one for one in await self._records.of(owner) if one.live(now) and not one.minted]
        for one in left:
            await self._changed(one, lambda present: replace(present, undecided=now))
        if left:
            names = ", ".join(one.name for one in left[:10])
            more = f" and {len(left) - 10} more" if len(left) > 10 else ""
            await self._notifier.notify(Notice.TOKENS_LEFT, owner, origin, detail=f"{names}{more}")
        return tuple(left)

    async def end_logins(self, owner: str, origin: Origin, *, why: str) -> None:
        """End what a word in a person's browser gave to command lines."""
        for one in await self._records.of(owner):
            if one.made_by == BY_LOGIN and one.live(self._clock()):
                await self.revoke(owner, one.id, origin, why=why)

    async def keep(self, owner: str, id: str, origin: Origin) -> bool:
        """The owner wants to keep a token after a changed password; True if this call did it."""
        changed = await self._change(owner, id, lambda one: replace(one, undecided=0.0))
        if changed is None or not changed[0].undecided:
            return False
        await self._record(Event.TOKEN_KEPT, changed[1], origin, id)
        return True

    async def left_at_index(self, owner: str) -> list[Token]:
        """Those of a person that have ended, while the index still has what they stood for."""
        now = self._clock()
        return [
            one for one in await self._records.of(owner) if one.index_token and not one.live(now)
        ]

    async def gone_at_index(self, token: Token) -> None:
        """The index has it no more."""
        await self._changed(token, lambda one: replace(one, index_token=""))

    # -- looking --------------------------------------------------------------------------

    async def of(self, owner: str) -> list[Listed]:
        """A person's tokens, the newest first; those that ended in the last 30 days too."""
        uses = await self._records.last_uses(owner)
        return [Listed(one, uses.get(one.id, LastUse())) for one in await self._records.of(owner)]

    async def pages(self) -> AsyncIterator[list[Listed]]:
        """Everybody's tokens, those of a thousand people at a time."""
        async for page in self._records.pages():
            yield [Listed(token, use) for token, use in page]

    async def find(self, owner: str, wanted: str) -> Listed | None:
        """One of a person's tokens by its id, or a live one by its name."""
        found = await self.of(owner)
        named = [one for one in found if one.token.id == wanted]
        now = self._clock()
        named += [one for one in found if one.token.name == wanted and one.token.live(now)]
        return named[0] if named else None

    # -- how ------------------------------------------------------------------------------

    async def _changed(self, token: Token, work: _Work) -> tuple[Token, Token] | None:
        return await self._change(token.owner, token.id, work)

    async def _change(self, owner: str, id: str, work: _Work) -> tuple[Token, Token] | None:
        self._known.pop(f"{owner}/{id}", None)
        return await self._records.change(owner, id, work)

    async def _record(self, event: Event, token: Token, origin: Origin, detail: str) -> None:
        await self._audit.record(
            event, token.owner, origin, factor=f"token {token.name}", detail=detail
        )

    async def _tell_daily(self, notice: Notice, token: Token, origin: Origin) -> None:
        # Of those that were minted there is a new one with each job.
        told = Key("told", token.owner, f"{notice} {token.made_by or token.id}")
        if await self._store.claim(told, expires=self._clock() + _DAY):
            await self._notifier.notify(notice, token.owner, origin, detail=token.name)


def _said(token: Token) -> str:
    """What a token may do, for the trail."""
    scope = token.scope
    parts: list[Iterable[object]] = [scope.actions, scope.indexes, scope.projects, scope.networks]
    said = "; ".join(", ".join(map(str, part)) for part in parts if part)
    return f"{token.id}: {said}, for {time_left(token.expires - token.created)}"


def _place(read: Macaroon) -> str:
    """The host that a token names, as far as a sentence may hold it."""
    plain = read.location.isascii() and read.location.isprintable()
    return read.location[:100] if plain and read.location else "another index"

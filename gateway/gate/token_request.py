"""A request with an API token of the gateway's own: verified, judged, and carried to the index
with what the token stands for in its place.

The token alone says who asks: another credential beside it is refused, and so is the session of
another person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NoReturn

from gateway.core.audit.events import Origin
from gateway.core.errors import Refusal, Slug, credential_detail
from gateway.core.evidence import remembered, site_of
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.http.headers import CREDENTIALS
from gateway.core.login.models import Caller, caller_of
from gateway.core.phrases import _
from gateway.core.publishing.exchange import MADE_BY
from gateway.core.rules.rules import Policy, Rule
from gateway.core.store import StoreUnavailable
from gateway.core.tokens.caveats import Use
from gateway.core.tokens.models import Bearer
from gateway.core.upstream import Act, Action, Credential
from gateway.core.user_id import user_id
from gateway.gate.context import GateContext
from gateway.gate.replies import has_body
from gateway.gate.token_upload import UploadScope
from gateway.proxy.ports import Forward, Opens
from gateway.upstreams.carriers import TOKEN_USER, TokenField

_GUESSES: Final = frozenset({Slug.TOKEN_UNREADABLE, Slug.TOKEN_UNKNOWN, Slug.TOKEN_ELSEWHERE})
_GONE: Final = dict.fromkeys(CREDENTIALS)


class TokenGate:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    async def meet(self, facts: Facts, fields: Sequence[TokenField]) -> TokenRequest:
        """Who asks.

        Raises:
            Refusal: `mixed_credentials`, `cross_site`, `throttled`, `token_…`.
        """
        parts = self._parts
        self._check_alone(facts, fields)
        site = site_of(facts, parts.public_url)
        if not facts.safe and remembered(facts, site):
            raise Refusal(Slug.CROSS_SITE)
        caller = caller_of(facts)
        bearer = await self._verified(facts, fields[0].text, caller)
        names = {user_id(one.user) for one in fields if one.user not in ("", TOKEN_USER)}
        if names - {bearer.token.owner}:
            raise Refusal(
                Slug.MIXED_CREDENTIALS, retry_after=None, **credential_detail((fields[0].place,))
            )
        cookie = parts.jar.read(facts, cookies.SESSION)
        session = await parts.flow.earned.session(cookie) if cookie else None
        if session is not None and session.user_id != bearer.token.owner:
            both = credential_detail((fields[0].place, "session"))
            raise Refusal(Slug.MIXED_CREDENTIALS, retry_after=None, **both)
        return TokenRequest(parts, facts, bearer, caller)

    def remembered(self, facts: Facts, fields: Sequence[TokenField]) -> TokenRequest | None:
        """The same for a read, where nothing has to be asked; None for anything else."""
        parts = self._parts
        bearer = parts.tokens.recalled(fields[0].text) if facts.safe else None
        if bearer is None or parts.jar.read(facts, cookies.SESSION):
            return None
        names = {one.user for one in fields} - {"", TOKEN_USER, bearer.token.user}
        if len(fields) > 1 or names:
            return None
        self._check_alone(facts, fields)
        return TokenRequest(parts, facts, bearer, caller_of(facts))

    def _check_alone(self, facts: Facts, fields: Sequence[TokenField]) -> None:
        """Every carrier has the same token."""
        ours = {one.place for one in fields}
        places = [one.place for one in self._parts.upstream.carriers(facts)]
        others = [place for place in places if place not in ours]
        others += [name for name, _ in facts.fields if name in CREDENTIALS and name not in ours]
        if others or len({one.text for one in fields}) > 1:
            found = tuple(dict.fromkeys((*others, *sorted(ours))))
            raise Refusal(Slug.MIXED_CREDENTIALS, retry_after=None, **credential_detail(found))

    async def _verified(self, facts: Facts, text: str, caller: Caller) -> Bearer:
        parts = self._parts
        try:
            return await parts.tokens.verify(text, caller.origin, remembered=facts.safe)
        except Refusal as refusal:
            if refusal.slug not in _GUESSES:
                raise
            async with await parts.flow.proofs.trying("", text, caller) as attempt:
                await attempt.wrong()
            raise


class TokenRequest:
    """One request with a token that is signed and live."""

    def __init__(self, parts: GateContext, facts: Facts, bearer: Bearer, caller: Caller) -> None:
        self._parts: Final = parts
        self._facts: Final = facts
        self._bearer: Final = bearer
        self._caller: Final = caller
        self._act: Final[Act] = parts.upstream.act(facts)
        self._project = self._act.project
        self._read = False  # its form
        facts.notes.user = bearer.token.owner

    @property
    def owner(self) -> str:
        """The id of the person whom the token stands for."""
        return self._bearer.token.owner

    @property
    def name(self) -> str:
        """What its owner calls the token."""
        return self._bearer.token.name

    @property
    def id(self) -> str:
        return self._bearer.token.id

    async def credential(self, rule: Rule | None) -> Credential:
        """What stands for it at the index.

        Raises:
            Refusal: `token_…`, `upstream_…`.
        """
        origin = caller_of(self._facts, rule).origin
        return await self._parts.token_credentials.of(self._bearer, origin)

    @property
    def by_xml(self) -> bool:
        """Whether it was judged by what its Content-Type says, so that its body has to be XML."""
        return self._act.by_xml

    @property
    def published(self) -> bool:
        """Whether a trusted publisher got it."""
        return self._bearer.token.made_by.startswith(MADE_BY)

    def upload(self) -> UploadScope | None:
        """What the form in its body has to be, where that decides."""
        if not self._act.by_form:
            return None
        return UploadScope(self._parts.upstream, self._allows_form, named=self._bearer.by_project)

    async def forward(self, rule: Rule | None, policy: Policy, base: Forward) -> Forward:
        """The request on its way, with what the token stands for in its place.

        Raises:
            Refusal: `token_…`, `upstream_…`.
        """
        parts = self._parts
        origin = caller_of(self._facts, rule).origin
        try:
            self._check(policy)
            credential = await parts.token_credentials.of(self._bearer, origin)
        except Refusal as refusal:
            await self._record(refusal, origin)
            raise
        await parts.tokens.used(self._bearer, origin)
        return self._carrying(base, credential)

    def at_once(self, policy: Policy, base: Forward) -> Forward | None:
        """The same where nothing has to be asked or noted; None where something has."""
        parts, bearer = self._parts, self._bearer
        credential = parts.token_credentials.at_once(bearer)
        if credential is None or not self._facts.safe or not parts.tokens.noted(bearer.token):
            return None
        try:
            self._check(policy)
        except Refusal:
            return None  # it has to be recorded
        return self._carrying(base, credential)

    def opens(self) -> Opens:
        """How other requests with these fields go on, as long as all is remembered."""
        parts, facts, bearer = self._parts, self._facts, self._bearer
        last: list[tuple[Forward, Credential, Forward]] = []

        def way(method: str, path: str, base: Forward) -> Forward | None:
            credential = parts.token_credentials.at_once(bearer)
            live = parts.tokens.still(bearer) and parts.tokens.noted(bearer.token)
            if credential is None or not live:
                return None
            asked = Facts(method, path, path, "", facts.fields, facts.client)
            act = parts.upstream.act(asked)
            if act.by_form or act.by_xml:
                return None
            use = Use(act.action, parts.clock(), facts.client, act.index, act.project)
            try:
                bearer.check(use)
            except Refusal:
                return None
            if not last or last[0][0] is not base or last[0][1] is not credential:
                last[:] = [(base, credential, self._carrying(base, credential))]
            return last[0][2]

        return way

    def _carrying(self, base: Forward, credential: Credential) -> Forward:
        return replace(
            base,
            replace={**base.replace, **_GONE},
            add=(*base.add, *self._parts.upstream.present(credential)),
            doubt=None if self._parts.token_credentials.by_service else self._doubted,
        )

    async def refuse(self, refusal: Refusal) -> NoReturn:
        """What the form has turned out to be is not allowed."""
        await self._record(refusal, self._caller.origin)
        raise refusal

    async def _doubted(self) -> None:
        """The index refused what stands for it. Whether for good (the password was changed) or for
        what was asked, the index alone can tell.

        Raises:
            Refusal: `token_needs_renewal`.
        """
        held, origin = self._parts.token_credentials, self._caller.origin
        held.doubt(self._bearer)
        try:
            await held.of(self._bearer, origin)
        except StoreUnavailable:
            return
        except Refusal as refusal:
            if refusal.slug is Slug.TOKEN_NEEDS_RENEWAL:
                await self._record(refusal, origin)
                raise

    def _check(self, policy: Policy) -> None:
        facts, act = self._facts, self._act
        if policy is Policy.LOGIN and (not facts.safe or has_body(facts)):
            raise Refusal(Slug.TOKEN_NO_LOGIN)
        if self._parts.upstream.changes_password(facts):
            raise Refusal(Slug.TOKEN_SCOPE, what=_("anything about accounts"))
        if not act.by_form:
            self._allows(act.action, self._project)
        elif not self._read:
            raise AssertionError("a form goes on that was not read")
        if policy is Policy.SECOND_FACTOR:
            self._allows(Action.MANAGE, self._project)

    async def _record(self, refusal: Refusal, origin: Origin) -> None:
        if refusal.slug.startswith("token_"):
            await self._parts.tokens.refused(self._bearer.token, refusal, origin)

    def _allows_form(self, action: Action, project: str | None) -> None:
        self._read, self._project = True, project
        self._allows(action, project)

    def _allows(self, action: Action, project: str | None) -> None:
        facts = self._facts
        use = Use(action, self._parts.clock(), facts.client, self._act.index, project)
        self._bearer.check(use)

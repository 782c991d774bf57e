"""The emergency stop at requests to the index server: what of them is stopped now.

Reading goes on always, and costs nothing here. What is an upload, a deletion or a change, the
adapter says; where a freeze is in force and that cannot be told for certain, it is stopped.
Logins are stopped where they are carried through (`Freezes.check_login`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.core.audit.events import Event, Happened
from gateway.core.errors import Refusal, Slug
from gateway.core.freezes import Freeze, Freezes, Frozen
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.http.forms import FilePart
from gateway.core.login.models import caller_of
from gateway.core.tokens.projects import is_name, normalised, projects_of
from gateway.core.upstream import Act, Action, Credential, TokenMaking, TokenName
from gateway.core.user_id import user_id
from gateway.gate.context import GateContext
from gateway.gate.push_inspector import Push, PushCheck, pushes
from gateway.gate.token_request import TokenRequest
from gateway.gate.token_upload import ACTION, NAME

_UPLOADS: Final = frozenset({"file_upload", "doc_upload", "submit"})
_DELETIONS: Final = frozenset({"remove_pkg"})
_LOOKS: Final = frozenset({"verify"})
_READS: Final = frozenset({Action.READ, Action.LOOK})


class FrozenGate:
    """One for a process. Methods raise Refusal `frozen`."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._freezes: Final[Freezes] = parts.flow.services.freezes

    def asks(self, facts: Facts) -> bool:
        """Whether the store has to be asked about a request before anything else."""
        if facts.safe:
            return False
        if not self._freezes.known:
            return True
        return self._named(Frozen.USER) and (_has_session(facts) or bool(self._opaque(facts)))

    async def settle(self, facts: Facts) -> None:
        """Ask it: whose session and whose nameless cookies these are."""
        await self._freezes.ensure()
        if not self._named(Frozen.USER):
            return
        freezes, earned = self._freezes, self._parts.flow.earned
        cookie = self._parts.jar.read(facts, cookies.SESSION)
        session = await earned.session(cookie) if cookie else None
        if session is not None:
            freezes.check(freezes.of(Frozen.USER, [session.user_id]))
        for credential in self._opaque(facts):
            known = await earned.verified(credential)
            if known is None:  # the index may know better whose it is
                freezes.check(self._any(Frozen.USER), proven=False)
            else:
                freezes.check(freezes.of(Frozen.USER, [known.user_id]))

    def check(self, facts: Facts, token: TokenRequest | None, *, login: bool) -> FrozenForm | None:
        """Whether a request is stopped, as far as its head tells; what its form must not be.

        Args:
            login: it is one, at the index's own route.
        """
        if facts.safe or not self._freezes.live:
            return None
        if self._parts.upstream.logs_out(facts.method, facts.path):
            return None
        try:
            return self._check(facts, token, login=login)
        except Refusal as refusal:
            if refusal.slug == Slug.FROZEN:
                self._record(facts, token)
            raise

    def push_checks(self, facts: Facts) -> list[PushCheck]:
        """What a push must not be, where what it says decides."""
        if facts.safe or not self._named(Frozen.PROJECT) or not pushes(self._parts.upstream, facts):
            return []
        return [self._check_push]

    def holds_to_xml(self, facts: Facts) -> bool:
        """Whether a body that says it is XML has to be: devpi without devpi-web reads JSON."""
        return (
            bool(self._freezes.live) and not facts.safe and self._parts.upstream.act(facts).by_xml
        )

    def note(self, facts: Facts, token: TokenRequest | None, refusal: Refusal) -> None:
        """A body has turned out to be stopped."""
        if refusal.slug == Slug.FROZEN:
            self._record(facts, token)

    # -- by the head ---------------------------------------------------------------------------

    def _check(self, facts: Facts, token: TokenRequest | None, *, login: bool) -> FrozenForm | None:
        freezes = self._freezes
        if login:
            freezes.check(freezes.first(Frozen.ALL, Frozen.LOGINS))
            return None
        act = self._parts.upstream.act(facts)
        if act.action in _READS and not act.by_xml:
            return None
        self._check_people(facts, token)
        if act.by_form:
            freezes.check(freezes.first(Frozen.ALL))
            return FrozenForm(self, act)
        if act.by_xml:  # a search, once its body has turned out to be XML
            return None
        freezes.check(freezes.first(Frozen.ALL))
        uploads, deletes = self._kinds(facts, act)
        self._check_kinds(uploads=uploads, deletes=deletes)
        if (deletes or uploads) and not pushes(self._parts.upstream, facts):
            self.check_projects([act.named] if act.named else None)
        return None

    def _kinds(self, facts: Facts, act: Act) -> tuple[bool, bool]:
        """Whether it may be an upload, whether a deletion."""
        method = facts.method.upper()
        if act.action is Action.UPLOAD:
            return True, False
        if not self._parts.upstream.indexed and act.unclear and act.action is Action.MANAGE:
            return True, True  # nothing is known of it
        return pushes(self._parts.upstream, facts), method == "DELETE"

    def _check_people(self, facts: Facts, token: TokenRequest | None) -> None:
        freezes = self._freezes
        if token is not None:
            freezes.check(freezes.of(Frozen.TOKEN, [token.id]))
            freezes.check(freezes.of(Frozen.USER, [token.owner]))
            return
        if not (self._named(Frozen.USER) or self._named(Frozen.TOKEN)):
            return
        upstream = self._parts.upstream
        for carrier in upstream.carriers(facts):
            credential = carrier.credential
            found: TokenName | None = None
            if credential is not None and isinstance(upstream, TokenMaking):
                found = upstream.token_name(credential.secret)
            if found is not None:
                freezes.check(freezes.of(Frozen.TOKEN, [found.id]), proven=False)
            named = [credential.user] if credential is not None else []
            named += [found.user] if found is not None else []
            people = [one for name in named for one in _ids(name)]
            freezes.check(freezes.of(Frozen.USER, people), proven=False)
            if not people and (credential is None or credential.user):
                # Nobody can be called that here, and the index may know better.
                freezes.check(self._any(Frozen.USER), proven=False)

    # -- what callers ask ----------------------------------------------------------------------

    def _check_kinds(self, *, uploads: bool, deletes: bool) -> None:
        freezes = self._freezes
        if uploads:
            freezes.check(freezes.first(Frozen.ALL, Frozen.UPLOADS))
        if deletes:
            freezes.check(freezes.first(Frozen.ALL, Frozen.DELETIONS))

    def check_form(self, action: str, name: str, files: Sequence[str]) -> None:
        """A form whose fields are known, with the names of the files that have come."""
        if action in _LOOKS:
            return
        self._check_kinds(uploads=action not in _DELETIONS, deletes=action not in _UPLOADS)
        if self._named(Frozen.PROJECT):
            projects = [normalised(name)] if is_name(name) else None
            self.check_projects(projects)
            self.check_files(files)

    def check_files(self, files: Iterable[str]) -> None:
        """Files whose names say of which project they may be."""
        for file in files:
            filed = self._parts.upstream.file_project(file)
            possible = [*projects_of(file), *([filed] if filed else [])]
            self._freezes.check(self._freezes.of(Frozen.PROJECT, possible))

    def check_projects(self, projects: list[str] | None) -> None:
        """Projects that are certain; None for some that cannot be told."""
        if projects is None:
            self._freezes.check(self._any(Frozen.PROJECT))
        else:
            self._freezes.check(self._freezes.of(Frozen.PROJECT, projects))

    def _check_push(self, push: Push) -> None:
        self.check_projects([normalised(push.name)] if is_name(push.name) else None)

    # -- how -----------------------------------------------------------------------------------

    def _named(self, what: Frozen) -> bool:
        return self._any(what) is not None

    def _any(self, what: Frozen) -> Freeze | None:
        return next((one for one in self._freezes.live if one.what is what), None)

    def _opaque(self, facts: Facts) -> list[Credential]:
        """Its credentials that name nobody."""
        shown = [one.credential for one in self._parts.upstream.carriers(facts)]
        return [one for one in shown if one is not None and not one.user]

    def _record(self, facts: Facts, token: TokenRequest | None) -> None:
        """Behind the answer, and rationed: anybody can cause it."""
        parts = self._parts
        asker = parts.transfers.askers.of(facts, token)
        happened = Happened(
            *(parts.clock(), Event.GUARDED_REFUSED, asker.user, caller_of(facts).origin),
            detail=Slug.FROZEN,
            project=parts.upstream.act(facts).named,
            request=facts.notes.id,
        )

        async def finish() -> Happened:
            return happened

        parts.transfers.late.put(finish)


class FrozenForm:
    """A `FormDemand` (see `gateway.gate.form_inspector`)."""

    names: frozenset[str]

    def __init__(self, gate: FrozenGate, act: Act) -> None:
        self._gate: Final = gate
        self._act: Final = act
        by_name = gate._named(Frozen.PROJECT)
        self._by_name: Final = by_name
        self.names = frozenset({ACTION, NAME} if by_name else {ACTION})

    def settle(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        action = fields.get(ACTION, "")
        name = fields.get(NAME, "")
        self._gate.check_form(action, name, [part.filename for part in files])

    def begins(self, part: FilePart) -> None:
        if self._by_name:
            self._gate.check_files([part.filename])


def _has_session(facts: Facts) -> bool:
    header = facts.first("cookie")
    return header is not None and any(name in header for name in cookies.OWN_NAMES)


def _ids(name: str) -> list[str]:
    """The id of a name; none where nobody can be called that."""
    try:
        return [user_id(name)]
    except Refusal:
        return []

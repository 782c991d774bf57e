"""Documentation that takes a login: how its pages get what they are made of.

A page is opened by the cookies of its reader. Then it is at an address that holds a pass
(`gateway.core.login.reading`), where its styles, scripts and pictures are read in the reader's
name, as the rules say, below this documentation and with GET and HEAD alone. Whoever opens a page
there without those cookies is led to its usual address, where the login is.

A host of documentation's own gets no cookies of ours: it sets one for each pass, for a browser that
has been led there from here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Facts, Field
from gateway.core.http.responses import FRAMED_BY_ITSELF, Response, taken_in
from gateway.core.rules.rules import Matched, Policy, Rule
from gateway.core.urls import READ, base_of
from gateway.gate.context import GateContext
from gateway.gate.documentation import READ_METHODS
from gateway.gate.policies import GUARDED, Guard
from gateway.gate.rights import RightsGate
from gateway.proxy.ports import Answer, Forward, HandOver, Plan

_COOKIE: Final = "ig-reading"
_ENTER: Final = "ig-enter="
# The pass stays between the reader and us.
_UNTOLD: Final[Field] = ("Referrer-Policy", "same-origin")


class Along(NamedTuple):
    """A request with a pass. target, path: what it asks the index for."""

    text: str
    target: str
    path: str


class ReadingAlong:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext, guard: Guard, rights: RightsGate) -> None:
        self._parts: Final = parts
        self._guard: Final = guard
        self._rights: Final = rights

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a canonical path holds a pass."""
        return path.startswith(READ + "/")

    # -- to it ------------------------------------------------------------------------------

    def lead(
        self, facts: Facts, rule: Rule, policy: Policy, base: Forward
    ) -> Awaitable[Plan] | None:
        """Lead a reader to a page by a pass; None for whoever asks in another way."""
        if facts.method != "GET" or policy not in GUARDED or not _opens(facts):
            return None
        held = self._cookies(facts)
        whole = self._parts.documentation.whole(facts.path)
        carriers = self._parts.upstream.carriers(facts)
        if not held or whole is None or not all(_by_cookie(one.place) for one in carriers):
            return None
        return self._leading(facts, rule, policy, base, held, whole)

    async def _leading(
        self, facts: Facts, rule: Rule, policy: Policy, base: Forward, held: str, whole: str
    ) -> Plan:
        plan = await GUARDED[policy](self._guard, facts, rule, base)
        if not isinstance(plan, Forward):
            return plan
        parts = self._parts
        passes = parts.flow.services.reading
        text = await passes.issue(held, whole)
        place, target = f"{READ}/{text}", facts.target
        if not parts.documentation.origin or facts.first("sec-fetch-dest") != "document":
            return parts.replies.see(place + parts.documentation.unframed(target))
        mark = "&" if "?" in target else "?"
        entering = f"{mark}{_ENTER}{passes.entrance(text)}"
        return parts.replies.see(parts.documentation.url + place + target + entering)

    # -- with it ----------------------------------------------------------------------------

    async def plan(self, facts: Facts) -> Plan:
        """What to do with a request that has a pass."""
        if facts.method not in READ_METHODS:
            raise Refusal(Slug.METHOD_NOT_ALLOWED)
        along = _taken_apart(facts)
        documentation, passes = self._parts.documentation, self._parts.flow.services.reading
        whole, elsewhere = documentation.whole(along.path), documentation.hosts(facts)
        # Anybody may have a pass for what they uploaded, and name it in a page of the index.
        if taken_in(facts) and not elsewhere:
            raise Refusal(Slug.NOT_PART_OF_A_PAGE)
        usual = self._usual(along.target, elsewhere=elsewhere)
        if whole is None:
            beside = elsewhere and documentation.beside(along.path)
            return self._beside(facts, along, usual) if beside else usual
        held = await passes.held(along.text, whole)
        if held is None:
            return usual
        if elsewhere:
            moved = self._moved_in(facts, along, usual)
            if moved is not None:
                return moved
        elif _opens(facts) and held != self._cookies(facts):
            return usual
        if _opens(facts) and not passes.current(along.text, held, whole):
            return usual
        return await self._read(facts, along, held, usual)

    async def _read(self, facts: Facts, along: Along, held: str, usual: Answer) -> Plan:
        """As if the reader's cookies had come with it."""
        parts = self._parts
        inner = replace(
            facts,
            target=along.target,
            path=along.path,
            fields=(*self._without_credentials(facts), ("cookie", held)),
        )
        asked = None
        if parts.rules.by_rights(inner.method, inner.path):
            asked = await self._rights.asked(inner, None)
        matched = parts.rules.match(inner, asked=asked)
        looked = parts.ended.look(inner)
        if not _for_readers(matched) or (looked is not None and await looked is not None):
            return usual
        kept = cookies.without_own_cookies(held)
        base = self._way(facts, along, {"cookie": kept or None})
        try:
            plan = await GUARDED[matched.policy](self._guard, inner, matched.rule, base)
        except Refusal:
            return usual
        return usual if isinstance(plan, HandOver) else plan

    def _beside(self, facts: Facts, along: Along, usual: Answer) -> Plan:
        """What the page with the frame needs, and everybody may read."""
        inner = replace(facts, target=along.target, path=along.path)
        inner = replace(inner, fields=self._without_credentials(facts))
        matched = self._parts.rules.match(inner)
        if matched.policy is not Policy.PASS or matched.needs_form:
            return usual
        return self._way(facts, along, {"cookie": None})

    def _way(self, facts: Facts, along: Along, replaced: dict[str, str | None]) -> Forward:
        """The index takes the pass off the path, as the path of its outside address."""
        parts = self._parts
        elsewhere = parts.documentation.hosts(facts)
        home = parts.documentation.url if elsewhere else parts.public_url
        gone = dict.fromkeys((*parts.upstream.carrier_fields(), "referer"))
        base = Forward(
            replace={**gone, **replaced},
            add=parts.upstream.own_fields(f"{home}{READ}/{along.text}", facts.client),
            answer_add=FRAMED_BY_ITSELF if elsewhere else parts.treatments[Response.DOCUMENTATION],
            private=True,
        )
        if not elsewhere:
            inner = replace(facts, path=along.path)
            base = parts.documentation.here(inner, base, shown=True)
        return replace(base, answer_add=(*base.answer_add, _UNTOLD))

    # -- at the other host --------------------------------------------------------------------

    def _moved_in(self, facts: Facts, along: Along, usual: Answer) -> Answer | None:
        """The answer to a browser that is just led there, or was never; None for one that was."""
        parts = self._parts
        passes, base = parts.flow.services.reading, base_of(parts.public_url)
        target, mark, entrance = along.target.rpartition(_ENTER)
        if mark and passes.enters(along.text, entrance):
            place = f"{READ}/{along.text}"
            attributes = f"; Path={base}{place}/; HttpOnly; SameSite=Lax"
            if parts.jar.secure:
                attributes += "; Secure"
            stay = f"{_COOKIE}={passes.stay(along.text)}{attributes}"
            return parts.replies.see(parts.documentation.url + place + target[:-1], stay)
        shown = [value for name, value in cookies.pairs(facts) if name == _COOKIE]
        return None if any(passes.stays(along.text, one) for one in shown) else usual

    # -- how ----------------------------------------------------------------------------------

    def _usual(self, target: str, *, elsewhere: bool) -> Answer:
        """To where documentation is asked for without a pass."""
        clean = target.rpartition(_ENTER)[0][:-1] if _ENTER in target else target
        return self._parts.replies.see(self._parts.public_url * elsewhere + clean)

    def _cookies(self, facts: Facts) -> str:
        """The cookies that let a reader in, in one spelling."""
        jar = self._parts.jar
        session = jar.read(facts, cookies.SESSION)
        found = [(jar.name(cookies.SESSION), session)] if session else []
        theirs = self._parts.upstream.session_cookies
        found += [pair for pair in cookies.pairs(facts) if pair[0] in theirs]
        return "; ".join(f"{name}={value}" for name, value in found)

    def _without_credentials(self, facts: Facts) -> tuple[Field, ...]:
        gone = {"cookie", "x-otp", *self._parts.upstream.carrier_fields()}
        return tuple(field for field in facts.fields if field[0] not in gone)


def _taken_apart(facts: Facts) -> Along:
    """Raises Refusal `not_found` for an address that is not written as we write it: the index cuts
    the pass off what was sent."""
    text, _, rest = facts.path.removeprefix(READ + "/").partition("/")
    place = f"{READ}/{text}/"
    if not rest or not facts.target.startswith(place):
        raise Refusal(Slug.NOT_FOUND)
    return Along(text, facts.target[len(place) - 1 :], f"/{rest}")


def _opens(facts: Facts) -> bool:
    """Whether a person opens it as a page, and not a page as a part of itself, such as a frame.

    What previews addresses asks as a browser that does not say.
    """
    dest = facts.first("sec-fetch-dest")
    if facts.first("sec-fetch-mode") is not None:
        return facts.navigates and dest in (None, "document")
    return "text/html" in facts.joined("accept")


def _by_cookie(place: str) -> bool:
    return place.startswith("cookie:")


def _for_readers(matched: Matched) -> bool:
    rule = matched.rule
    shown = rule is not None and rule.response is Response.DOCUMENTATION
    return shown and matched.policy in GUARDED and not matched.needs_form

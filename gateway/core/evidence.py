"""Is there evidence of a second factor in this request? Pure: facts in, a verdict out.

Knows what credentials and sessions are; knows no store, no upstream and no clock. What is not
plainly evidence is none: an unread carrier, a raw password and a token from elsewhere count alike.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug, credential_detail
from gateway.core.http.facts import Facts
from gateway.core.http.origin import check_own_origin
from gateway.core.login.models import BY_DEVICE, Session, Verified
from gateway.core.typed import header_code, split_code
from gateway.core.upstream import Carrier, Credential
from gateway.core.user_id import user_id
from gateway.core.values import dataclass

# How far a proof may lie in the future: gateways on one store have clocks of their own.
CLOCK_SKEW: Final = 60.0


BASIC: Final = "authorization"
"""Where a name and password travel that a client adds to every request by itself."""


class Site(Enum):
    """Who started a request, as far as a browser tells."""

    OWN = "own"
    UNKNOWN = "unknown"  # no browser, or one that does not say
    FOREIGN = "foreign"


def site_of(facts: Facts, public_url: str) -> Site:
    """Judged by Sec-Fetch-Site and Origin, see `gateway.core.http.origin`."""
    if facts.first("sec-fetch-site") is None and facts.first("origin") is None:
        return Site.UNKNOWN
    try:
        check_own_origin(facts, public_url)
    except Refusal:
        return Site.FOREIGN
    return Site.OWN


def remembered(facts: Facts, site: Site) -> bool:
    """Whether a name and password in the request are what a browser remembers and adds by itself.

    No script may add a field to what a window opens or a page takes in (Fetch standard, "request
    mode"). A foreign page's request without Fetch Metadata (plain http) cannot be told from these.
    """
    mode = facts.first("sec-fetch-mode")
    return mode in ("navigate", "no-cors") or (mode is None and site is Site.FOREIGN)


class Shown(NamedTuple):
    """A carrier of the request with what is known of its credential.

    remembered: see there; what is said of the request holds for a name and password in it.
    """

    carrier: Carrier
    verified: Verified | None
    remembered: bool = False

    @property
    def ambient(self) -> bool:
        """Whether a browser sends it by itself, whoever started the request."""
        place = self.carrier.place
        return place.startswith("cookie:") or (self.remembered and place == BASIC)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything in a request that says who asks.

    safe: the method changes nothing. by_session: what a browser sends by itself is evidence for
    changes, too (`Rule.session`): the pages of the index share our origin and may hold a script of
    whoever uploaded them.
    """

    carriers: tuple[Shown, ...]
    session: Session | None
    site: Site
    safe: bool
    by_session: bool = False

    @property
    def shut(self) -> bool:
        """Whether sessions and cookies do not count."""
        return not (self.safe or self.by_session)

    @property
    def closed(self) -> Slug:
        """The refusal that says so."""
        return Slug.CROSS_SITE if self.site is Site.FOREIGN else Slug.SESSION_NOT_ENOUGH

    @property
    def explicit(self) -> bool:
        """Whether a credential travels in a header that no browser adds by itself."""
        return any(not shown.ambient for shown in self.carriers)


@dataclass(frozen=True, slots=True)
class Verdict:
    """slug: why not; None for "it passes". The rest tells the audit trail who and by what.

    faults: the places of the credentials that the refusal is about; "session" for a session.
    beside: the place of another credential that the first of them stands in the way of.
    """

    slug: Slug | None
    user_id: str = ""
    factor: str = ""
    proof: Verified | Session | None = field(default=None, repr=False)
    faults: tuple[str, ...] = ()
    beside: str = ""

    @property
    def detail(self) -> dict[str, str]:
        """Whose fault it is, for the words of the refusal."""
        return credential_detail(self.faults, self.beside)

    @property
    def reason(self) -> Slug:
        """Why it is refused, if it is."""
        return self.slug or Slug.SECOND_FACTOR_REQUIRED

    @property
    def passes(self) -> bool:
        return not self.slug


def judge(evidence: Evidence, *, max_age: float | None, now: float) -> Verdict:
    """Whether the request may pass a `second_factor` rule.

    Every carrier must be verified, all must name one person, and so must the session; the
    newest proof that may count must be young enough.

    Args:
        max_age: seconds; None for any age.
        now: seconds since the epoch.
    """
    unverified = tuple(one.carrier.place for one in evidence.carriers if one.verified is None)
    if unverified:
        return _in_the_way(evidence) or Verdict(Slug.SECOND_FACTOR_REQUIRED, faults=unverified)
    people = _people(evidence)
    if not people:
        return Verdict(Slug.SECOND_FACTOR_REQUIRED)
    if len(people) > 1:
        return Verdict(Slug.MIXED_CREDENTIALS, faults=places(evidence))
    return _newest(evidence, people.pop(), max_age, now)


def _in_the_way(evidence: Evidence) -> Verdict | None:
    """A name and password beside another credential, as ~/.netrc or the address adds them to every
    request of a client that has logged in: logging in again would not help."""
    others = [one.carrier.place for one in evidence.carriers if one.verified is not None]
    for one in evidence.carriers:
        if one.carrier.place == BASIC and one.verified is None and others:
            return Verdict(Slug.MIXED_CREDENTIALS, faults=(BASIC,), beside=others[0])
    return None


def places(evidence: Evidence) -> tuple[str, ...]:
    """Where the credentials of a request travel."""
    session = ("session",) if evidence.session is not None else ()
    return (*(shown.carrier.place for shown in evidence.carriers), *session)


def _people(evidence: Evidence) -> set[str]:
    people = {shown.verified.user_id for shown in evidence.carriers if shown.verified}
    if evidence.session is not None:
        people.add(evidence.session.user_id)
    return people


def _newest(evidence: Evidence, who: str, max_age: float | None, now: float) -> Verdict:
    """The newest proof decides; one that came in a cookie counts only from our own pages."""
    proofs: list[tuple[bool, Verified | Session]] = [
        (not shown.ambient, shown.verified) for shown in evidence.carriers if shown.verified
    ]
    if evidence.session is not None:
        proofs.append((False, evidence.session))
    faults = places(evidence)
    counting = [(explicit, proof) for explicit, proof in proofs if explicit or not evidence.shut]
    if not counting:
        return Verdict(evidence.closed, who, faults=faults)
    fresh = [entry for entry in counting if _fresh(entry[1], max_age, now)]
    if not fresh:
        known = any(proof.proved_at > 0 for _, proof in counting)
        slug = Slug.SECOND_FACTOR_STALE if known else Slug.SECOND_FACTOR_REQUIRED
        return Verdict(slug, who, faults=faults)
    usable = [proof for explicit, proof in fresh if from_ours(evidence, explicit=explicit)]
    if not usable:
        return Verdict(Slug.CROSS_SITE, who)
    proof = max(usable, key=lambda one: one.proved_at)
    return Verdict(None, who, proof.factor, proof)


def _fresh(proof: Verified | Session, max_age: float | None, now: float) -> bool:
    """A remembered device lets in with the proof of an earlier login: where the age matters, no
    factor has been shown."""
    if proof.proved_at <= 0 or proof.proved_at > now + CLOCK_SKEW:
        return False
    return max_age is None or (proof.factor != BY_DEVICE and now - proof.proved_at <= max_age)


def from_ours(evidence: Evidence, *, explicit: bool) -> bool:
    """Whether the request may act on a proof. explicit: it travels in a header that only who
    knows the secret can send, so a request that no browser marks is fine."""
    if evidence.safe or evidence.site is Site.OWN:
        return True
    return explicit and evidence.site is Site.UNKNOWN


# -- a code in the request ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """A code found in a request, with whose it must be.

    user: the name as the request has it.
    carrier, credential: the carrier whose password is still to be checked, and that password
        without the code; both None where every carrier is verified and the code renews them.
    cut: the code stood in the password and must be taken out before forwarding.
    """

    text: str = field(repr=False)
    user: str
    carrier: Carrier | None = None
    credential: Credential | None = None
    cut: bool = False


def find_code(facts: Facts, evidence: Evidence) -> Code | None:
    """The code in a request to a `second_factor` route.

    With X-OTP the password is never split: a comma may be part of it.

    Raises:
        Refusal: `second_factor_required` when more than the one password it is for is
            unverified, `mixed_credentials` when the others name somebody else, `cross_site`.
    """
    header = header_code(facts)
    unverified = [shown.carrier for shown in evidence.carriers if shown.verified is None]
    code: Code | None = None
    if header:
        code = _for_header(header, evidence, unverified)
    else:
        found = [code for carrier in unverified if (code := _for_password(carrier))]
        code = found[0] if found else None
    if code is None:
        return None
    _check_others(code, evidence, unverified)
    return code


def _for_header(text: str, evidence: Evidence, unverified: list[Carrier]) -> Code | None:
    if unverified:
        carrier = unverified[0]
        credential = carrier.credential
        return Code(text, credential.user, carrier, credential) if credential else None
    for shown in evidence.carriers:
        if shown.verified is not None:
            return Code(text, shown.verified.user_id)
    return None


def _for_password(carrier: Carrier) -> Code | None:
    if carrier.credential is None:
        return None
    parts = split_code(carrier.credential.secret)
    if parts is None:
        return None
    user = carrier.credential.user
    return Code(parts[1], user, carrier, Credential(user, parts[0]), cut=True)


def _check_others(code: Code, evidence: Evidence, unverified: list[Carrier]) -> None:
    others = tuple(carrier.place for carrier in unverified if carrier is not code.carrier)
    if others:
        verdict = _in_the_way(evidence) or Verdict(Slug.SECOND_FACTOR_REQUIRED, faults=others)
        raise Refusal(verdict.reason, retry_after=None, **verdict.detail)
    if _people(evidence) - {user_id(code.user)}:
        raise Refusal(
            Slug.MIXED_CREDENTIALS, retry_after=None, **credential_detail(places(evidence))
        )
    shown = [one for one in evidence.carriers if code.carrier in (None, one.carrier)]
    explicit = any(not one.ambient for one in shown)
    if evidence.shut and not explicit:
        raise Refusal(evidence.closed, retry_after=None, **credential_detail(places(evidence)))
    if not from_ours(evidence, explicit=explicit):
        raise Refusal(Slug.CROSS_SITE)

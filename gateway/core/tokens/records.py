"""One record per token, what it may do, and the stored form of both.

Knows keys of the store and JSON; a token's own text is never stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_network
from typing import Any, Final

from gateway.core.errors import Refusal, Slug
from gateway.core.networks import Network, read_network
from gateway.core.phrases import _
from gateway.core.store import Key, StoreUnavailable
from gateway.core.tokens.caveats import (
    GIVEN,
    Actions,
    Caveat,
    Indexes,
    Networks,
    ProjectPatterns,
    project_names,
    times,
)
from gateway.core.tokens.projects import LONGEST, pattern
from gateway.core.upstream import Action

FORMAT: Final = 1
MOST_PARTS: Final = 50
"""Projects, indexes or networks of one token."""

BY_LOGIN: Final = "login"
"""`Token.made_by` of one that a word in a browser gave to a command line."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may do. Empty lists: all of them.

    projects: normalised names and patterns.
    """

    actions: tuple[Action, ...]
    indexes: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def conditions(self) -> tuple[Caveat, ...]:
        """What has to hold of a use, besides what stands in the token."""
        return (
            Actions(self.actions),
            *((Indexes(self.indexes),) if self.indexes else ()),
            *((ProjectPatterns(self.projects),) if self.projects else ()),
            *((Networks(self.networks),) if self.networks else ()),
        )

    def written(self, *, expires: int, not_before: int) -> tuple[str, ...]:
        """What of it is written into the token: what PyPI's clients know, and no more, or they
        (devpi-client among them) could not narrow it."""
        named = self.projects and not any(set("*?") & set(one) for one in self.projects)
        return (times(expires, not_before), *((project_names(self.projects),) if named else ()))

    def texts(self) -> dict[str, list[str]]:
        """The same for JSON."""
        return {
            "actions": [str(one) for one in self.actions],
            "indexes": list(self.indexes),
            "projects": list(self.projects),
            "networks": [str(one) for one in self.networks],
        }


def scope_of(
    actions: Iterable[str],
    indexes: Iterable[str] = (),
    projects: Iterable[str] = (),
    networks: Iterable[str] = (),
) -> Scope:
    """What somebody asked for, in its one spelling.

    Raises:
        Refusal: `token_request` with what is wrong about it.
    """
    asked = set(actions)
    unknown = sorted(asked - set(GIVEN))
    if unknown or not asked:
        known = ", ".join(GIVEN)
        if not unknown:
            raise refused(_("no scope is named ({known})", known=known))
        raise refused(
            _("{name!r} is nothing a token can be given ({known})", name=unknown[0], known=known)
        )
    found = Scope(
        tuple(one for one in GIVEN if one in asked),
        tuple(dict.fromkeys(map(_index, indexes))),
        tuple(dict.fromkeys(map(_project, projects))),
        tuple(dict.fromkeys(map(_network, networks))),
    )
    for many in (found.indexes, found.projects, found.networks):
        if len(many) > MOST_PARTS:
            raise refused(_("it names more than {most} of one kind", most=MOST_PARTS))
    return found


def refused(why: str) -> Refusal:
    return Refusal(Slug.TOKEN_REQUEST, why=why)


def no_indexes() -> Refusal:
    return refused(_("there is only one index here: leave out which it is for"))


def _index(text: str) -> str:
    user, mark, name = text.strip().strip("/").partition("/")
    plain = all(part.isprintable() and not set(part) & set(' /+"\\') for part in (user, name))
    if not (user and mark and name and plain) or len(text) > LONGEST:
        raise refused(_("{name!r} is not a valid index (USER/INDEX)", name=text))
    return f"{user}/{name}"


def _project(text: str) -> str:
    found = pattern(text)
    if found is None:
        raise refused(_("{name!r} is not a valid project or pattern (acme-*)", name=text))
    return found


def _network(text: str) -> Network:
    try:
        return read_network(text.strip())
    except ValueError:
        raise refused(_("{name!r} is not a valid network (192.0.2.0/24)", name=text)) from None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored.

    id: 16 characters, in its identifier too. owner: a user id. user: the name at the index.
    key, credential: sealed, under a part that only the token has; credential is "" where it
        holds none (a service account stands for it) and for one that was revoked.
    refused: since when the index refuses its credential; 0 for not.
    undecided: since when its owner has to say what becomes of it after a changed password.
    index_token: the name, at the index, of the token of its own that is held; "" for none. Kept
        until the index has deleted it.
    made_by: "" for the owner, "administrator", or what minted it for some hours at most: "login",
        "publisher NAME".
    """

    id: str
    owner: str
    user: str
    name: str
    scope: Scope
    created: float
    expires: float
    key: str = field(default="", repr=False)
    credential: str = field(default="", repr=False)
    revoked: float = 0.0
    refused: float = 0.0
    undecided: float = 0.0
    made_by: str = ""
    index_token: str = ""

    @property
    def minted(self) -> bool:
        """Whether nobody chose it: there may be many, and they end by themselves."""
        return self.made_by not in ("", "administrator")

    def live(self, now: float) -> bool:
        return not self.revoked and now < self.expires

    def ended(self, now: float) -> Token:
        """The same, revoked; what it stood for is gone with the same write."""
        return replace(self, revoked=self.revoked or now, credential="", undecided=0.0)


@dataclass(frozen=True, slots=True)
class LastUse:
    """When and from where a token was last used; at is 0 for never."""

    at: float = 0.0
    address: str = ""
    client: str = ""


def key_of(owner: str, id: str) -> Key:
    return Key("token", owner, id)


def use_key(owner: str, id: str) -> Key:
    return Key("token-use", owner, id)


def dump(token: Token) -> bytes:
    data = asdict(token) | {"format": FORMAT, "scope": token.scope.texts()}
    del data["owner"], data["id"]
    return json.dumps(data, separators=(",", ":")).encode()


def load(owner: str, id: str, value: bytes) -> Token:
    """Raises StoreUnavailable for a record of a later version."""
    data: dict[str, Any] = json.loads(value)
    if data.pop("format") != FORMAT:
        raise StoreUnavailable("a token was stored by a later version of the gateway")
    scope = data.pop("scope")
    return Token(
        owner=owner,
        id=id,
        scope=Scope(
            tuple(Action(one) for one in scope["actions"]),
            tuple(scope["indexes"]),
            tuple(scope["projects"]),
            tuple(ip_network(one) for one in scope["networks"]),
        ),
        **data,
    )


def dump_use(use: LastUse) -> bytes:
    return json.dumps(asdict(use), separators=(",", ":")).encode()


def load_use(value: bytes) -> LastUse:
    return LastUse(**json.loads(value))

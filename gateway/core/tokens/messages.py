"""Requests for tokens and what is told of them, as JSON: for programs and for the command line.

Knows JSON and its schema; knows no request that carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from gateway.core.phrases import _
from gateway.core.tokens.caveats import GIVEN
from gateway.core.tokens.models import Listed, NewToken
from gateway.core.tokens.records import MOST_PARTS, LastUse, Scope, Token, refused, scope_of

_DAY: Final = 86400
_TEXTS: Final = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_PARTS}
_SCOPE: Final[dict[str, Any]] = {
    "actions": {"type": "array", "items": {"enum": [str(one) for one in GIVEN]}, "minItems": 1},
    "indexes": _TEXTS,
    "projects": _TEXTS,
    "networks": _TEXTS,
}
_MOMENT: Final = {"type": "string", "format": "date-time"}

REQUEST: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "user": {"type": "string", "description": "The name at the index."},
            "password": {"type": "string", "description": "What the token will stand for."},
            "code": {"type": "string", "description": "A one-time or recovery code."},
            "name": {"type": "string", "minLength": 1, "maxLength": 60},
            "days": {"type": "number", "exclusiveMinimum": 0, "description": "How long it lives."},
            **_SCOPE,
        },
        "required": ["user", "password", "name", "actions", "days"],
        "additionalProperties": False,
    }
)
"""The body of `POST /+auth/api/tokens`."""

TOKEN: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "user": {"type": "string"},
            "name": {"type": "string"},
            "state": {"enum": ["live", "expired", "revoked", "renew"]},
            "created": _MOMENT,
            "expires": _MOMENT,
            "revoked": {**_MOMENT, "type": ["string", "null"]},
            "undecided": {"type": "boolean", "description": "Left by a changed password."},
            "made_by": {
                "type": "string",
                "description": "owner, administrator, login, or publisher NAME.",
            },
            "last_used": {
                "type": ["object", "null"],
                "properties": {
                    "at": _MOMENT,
                    "address": {"type": "string"},
                    "client": {"type": "string"},
                },
                "required": ["at", "address", "client"],
            },
            "token": {"type": "string", "description": "Itself; only where it was just made."},
            **_SCOPE,
        },
        "required": ["id", "user", "name", "state", "created", "expires", *_SCOPE],
    }
)
"""What is told of a token."""


@dataclass(frozen=True, slots=True)
class TokenWish:
    """A request for a token. code: "" for none. lifetime: seconds."""

    user: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    name: str
    scope: Scope
    lifetime: float


def read_wish(data: object) -> TokenWish:
    """Read the body of a request for a token.

    Raises:
        Refusal: `token_request`.
    """
    if not isinstance(data, dict):
        raise refused(_("it is no JSON object"))
    known = REQUEST["properties"]
    for name in data:
        if name not in known:
            raise refused(
                _("it has {name!r}, which is none of {known}", name=name, known=", ".join(known))
            )
    for name in REQUEST["required"]:
        if name not in data:
            raise refused(_("{name!r} is missing", name=name))
    days = data["days"]
    if type(days) not in (int, float) or not 0 < days < 1e6:
        raise refused(_("'days' is no number of days"))
    return TokenWish(
        user=_text(data, "user"),
        password=_text(data, "password"),
        code=_text(data, "code"),
        name=_text(data, "name"),
        scope=scope_of(
            *(_texts(data, name) for name in ("actions", "indexes", "projects", "networks"))
        ),
        lifetime=days * _DAY,
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise refused(_("{name!r} is no text", name=name))
    return value


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    value = data.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise refused(_("{name!r} is no list of texts", name=name))
    return value


def state_of(token: Token, now: float) -> str:
    """ "live", "renew" (the index refuses what it stands for), "expired" or "revoked"."""
    if token.revoked:
        return "revoked"
    if now >= token.expires:
        return "expired"
    return "renew" if token.refused else "live"


def told(listed: Listed, now: float) -> dict[str, Any]:
    """What is told of a token."""
    token, use = listed.token, listed.use
    last = {"at": _moment(use.at), "address": use.address, "client": use.client}
    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "state": state_of(token, now),
        **token.scope.texts(),
        "created": _moment(token.created),
        "expires": _moment(token.expires),
        "revoked": _moment(token.revoked) if token.revoked else None,
        "undecided": bool(token.undecided),
        "made_by": token.made_by or "owner",
        "last_used": last if use.at else None,
    }


def told_new(made: NewToken, now: float) -> dict[str, Any]:
    """The same with the token itself, which is shown once."""
    return {"token": made.text, **told(Listed(made.token, LastUse()), now)}


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

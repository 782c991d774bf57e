"""Reading what a browser answers (JSON of the Credential Management API), before it is judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gateway.core.accounts.factor import WrongAnswer
from gateway.core.accounts.records import Account, WebauthnKey

if TYPE_CHECKING:
    from webauthn.helpers.structs import AuthenticatorTransport

_LONGEST: Final = 20_000  # characters of an answer


def parse(answer: str) -> dict[str, Any]:
    if len(answer) > _LONGEST:
        raise WrongAnswer
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        raise WrongAnswer from None
    if not isinstance(data, dict):
        raise WrongAnswer
    return data


def not_framed(data: dict[str, Any]) -> None:
    """Refuse an answer given inside another site's page (sections 7.1 and 7.2, crossOrigin).

    The library does not look; our pages are never framed.
    """
    from webauthn.helpers import base64url_to_bytes

    try:
        client = json.loads(base64url_to_bytes(data["response"]["clientDataJSON"]))
        framed = client.get("crossOrigin", False) is not False or "topOrigin" in client
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WrongAnswer from None
    if framed:
        raise WrongAnswer


def used_key(account: Account, data: dict[str, Any]) -> WebauthnKey:
    for key in account.webauthn:
        if key.id == data.get("id"):
            return key
    raise WrongAnswer


def known_transports(names: tuple[str, ...]) -> list[AuthenticatorTransport]:
    from webauthn.helpers.structs import AuthenticatorTransport

    known = {one.value: one for one in AuthenticatorTransport}
    return [known[name] for name in names if name in known]


def transports(data: dict[str, Any]) -> tuple[str, ...]:
    """What the browser says about ways to reach the key; hints only."""
    response = data.get("response")
    found = response.get("transports") if isinstance(response, dict) else None
    names = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return tuple(one.value for one in known_transports(tuple(names)))


def discoverable(data: dict[str, Any]) -> bool:
    results = data.get("clientExtensionResults")
    props = results.get("credProps") if isinstance(results, dict) else None
    return isinstance(props, dict) and props.get("rk") is True

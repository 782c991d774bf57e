"""Form tokens against cross-site request forgery: signed, short-lived, bound to a cookie.

A token is good for one form address and one browser: what it is bound to is the cookie that
the change relies on, so a token of another person's login is worth nothing.
"""

from __future__ import annotations

import hashlib
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal, Slug

FIELD: Final = "form_token"
LIFETIME: Final = 12 * 3600  # seconds; as long as a page may stand open


class _Signer(TimestampSigner):
    def __init__(self, keys: list[bytes], clock: Clock) -> None:
        super().__init__(keys, salt="gateway form token", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class FormTokens:
    """Makes and checks form tokens."""

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def make(self, bound_to: str, action: str) -> str:
        """A token for the form at `action` (a path).

        Args:
            bound_to: the value of the cookie the change relies on; never "".
        """
        return self._signer().sign(_binding(bound_to, action)).decode().partition(".")[2]

    def check(self, token: str, bound_to: str, action: str) -> None:
        """Raises Refusal `csrf` unless the token was made here for just this."""
        try:
            if not bound_to:
                raise BadSignature("no cookie")
            self._signer().unsign(f"{_binding(bound_to, action)}.{token}", max_age=LIFETIME)
        except BadSignature:
            raise Refusal(Slug.CSRF) from None

    def _signer(self) -> _Signer:
        # Made anew because the keys may have been rotated since.
        return _Signer(self._keys.signing_keys("form token"), self._clock)


def _binding(bound_to: str, action: str) -> str:
    # A digest, because the signed text must hold no "." of a cookie's own.
    return hashlib.sha256(f"{len(bound_to)}:{bound_to}{action}".encode()).hexdigest()

"""What settings mean to the domain: its limits and its keys. `serve` and the commands use it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, time

from gateway.core.keys import KeyRing
from gateway.core.logins import FlowLimits
from gateway.keystore import KeySource
from gateway.settings import Settings


def limits_of(settings: Settings) -> FlowLimits:
    """The limits an administrator chose. `required_from` begins at midnight UTC."""
    wanted = settings.second_factor
    day = wanted.required_from
    return FlowLimits(
        enrolment=wanted.enrolment,
        issuer=wanted.issuer,
        public_url=str(settings.public_url),
        origins=tuple(str(one) for one in wanted.webauthn.origins),
        required_from=datetime.combine(day, time(), UTC).timestamp() if day else None,
        max_age=wanted.max_age,
        step_up=wanted.step_up,
        idle=wanted.session.idle,
        absolute=wanted.session.absolute,
        remember=wanted.remember_device or 0.0,
    )


def ring_of(settings: Settings) -> KeyRing:
    """The gateway's keys, which follow a key file that is rotated.

    Raises:
        KeysUnusable: its text names the command that makes a key file.
    """
    return KeyRing(KeySource(settings.keys.kind, settings.keys.name), secrets.token_bytes)

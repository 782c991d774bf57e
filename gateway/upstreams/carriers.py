"""HTTP Basic and its base64 pairs, read in exactly one way (RFC 7617).

Index servers decode leniently: they skip characters outside the alphabet, fall back to latin-1
and take any white space. Two readers could then see two people. Here a value is read only in the
one spelling that everybody reads alike; all others are `None`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from gateway.core.upstream import Carrier, Credential

_BASIC: Final = re.compile(r"[Bb][Aa][Ss][Ii][Cc] ([A-Za-z0-9+/]++={0,2}+)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode_pair(value: str) -> Credential | None:
    """The user and secret in base64("user:secret"), if there is no doubt about them."""
    try:
        raw = base64.b64decode(value, validate=True)
        text = raw.decode("utf-8", "strict")
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(raw).decode("ascii") != value:  # stray bits behind the last byte
        return None
    return split_pair(text)


def split_pair(text: str) -> Credential | None:
    """The user and secret in "user:secret"; None where one is missing or has control bytes."""
    user, mark, secret = text.partition(":")
    if not mark or not user or not secret or _CONTROL.search(text):
        return None
    return Credential(user, secret)


def encode_pair(credential: Credential) -> str:
    """The base64 of "user:secret"."""
    return base64.b64encode(f"{credential.user}:{credential.secret}".encode()).decode("ascii")


def basic_field(credential: Credential) -> str:
    """The value of an Authorization field."""
    return f"Basic {encode_pair(credential)}"


def read_authorization(value: str) -> Carrier:
    """The Authorization field as a carrier: any scheme counts, only Basic can be read."""
    match = _BASIC.fullmatch(value)
    return Carrier("authorization", decode_pair(match[1]) if match else None)

"""Credentials in a request, read in exactly one way or not at all: HTTP Basic (RFC 7617), cookies.

Index servers decode leniently: they skip characters outside the alphabet of base64, fall back to
latin-1, take any white space, and split the Cookie field differently (WebOb takes quoted values,
spaces around "=" and backslash escapes; RFC 6265 does not). Two readers could then see two people.
Here a value is read only in the one spelling that everybody reads alike. A cookie's name is
searched as plain text: where it occurs other than as exactly one plain `name=value`, the carrier
is there but unreadable.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.http.headers import CREDENTIALS
from gateway.core.tokens.macaroon import PREFIX, looks_like
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


def travels(credential: Credential) -> bool:
    """Whether name and secret come out of a pair as they went in. A colon in the name would end it
    there, and the index would judge the password of another person: `alice:s3` with `cret` is
    alice's `s3:cret`."""
    text = f"{credential.user}:{credential.secret}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return ":" not in credential.user and not _CONTROL.search(text)


def basic_field(credential: Credential) -> str:
    """The value of an Authorization field."""
    return f"Basic {encode_pair(credential)}"


def read_authorization(value: str) -> Carrier:
    """The Authorization field as a carrier: any scheme counts, only Basic can be read."""
    match = _BASIC.fullmatch(value)
    return Carrier("authorization", decode_pair(match[1]) if match else None)


# What every parser reads alike: no quotes, no escapes, no separators, no spaces.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'()*+./:<>?@^_`{|}~=-]++")


def find_cookie(facts: Facts, name: str) -> tuple[bool, str | None]:
    """Whether the request may carry this cookie, and its value if there is no doubt about it.

    Raises:
        Refusal: `mixed_credentials` when it is there twice.
    """
    headers = [value for key, value in facts.fields if key == "cookie"]
    times = sum(header.count(name) for header in headers)
    if not times:
        return False, None
    values = []
    for header in headers:
        for part in header.split(";"):
            key, mark, value = part.strip(" ").partition("=")
            if key == name and mark:
                values.append(value)
    if len(values) > 1:
        raise Refusal(Slug.MIXED_CREDENTIALS)
    if times == 1 and len(values) == 1 and _PLAIN.fullmatch(values[0]):
        return True, values[0]
    return True, None


_MOST: Final = 64
_END: Final = re.compile(r"[;,\s]")
_ESCAPED: Final = re.compile(r"\\([0-3][0-7][0-7]|.)")


def cookie_values(facts: Facts, name: str) -> tuple[str, ...]:
    """Every value that any server might take for that of a cookie: behind each `name =`, in
    quotes or not, with escapes and without.

    Raises:
        Refusal: `mixed_credentials` for more than any browser sends.
    """
    found: dict[str, None] = {}
    for key, header in facts.fields:
        if key != "cookie" or name not in header:
            continue
        for rest in header.split(name)[1:]:
            mark, value = rest.lstrip()[:1], rest.lstrip()[1:].lstrip()
            if mark == "=":
                found |= dict.fromkeys(_readings(value))
    if len(found) > _MOST:
        raise Refusal(Slug.MIXED_CREDENTIALS)
    return tuple(found)


def _readings(value: str) -> tuple[str, ...]:
    plain = value.partition(";")[0].rstrip()
    if not value.startswith('"'):
        return plain, _unescaped(_END.split(value, maxsplit=1)[0])
    end = 1
    while end < len(value) and value[end] != '"':
        end += 2 if value[end] == "\\" else 1
    return plain, _unescaped(value[1:end])


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(
        lambda match: chr(int(match[1], 8)) if len(match[1]) > 1 else match[1], text
    )


def loosely_decoded(value: str) -> str:
    """What base64 stands for, read as servers do that pass over what does not belong there; ""
    where even they give up."""
    try:
        return base64.b64decode(value.encode("utf-8", "replace")).decode("latin-1")
    except ValueError:
        return ""


def replace_cookie(facts: Facts, name: str, value: str) -> str:
    """The Cookie field with another value for a cookie that `find_cookie` could read."""
    parts = []
    for part in (facts.first("cookie") or "").split(";"):
        key, mark, _ = part.strip(" ").partition("=")
        parts.append(f"{name}={value}" if key == name and mark else part.strip(" "))
    return "; ".join(parts)


# -- API tokens of the gateway's own ---------------------------------------------------------

TOKEN_USER: Final = "__token__"  # noqa: S105 - the name that PyPI's clients send
_TOKEN_SCHEME: Final = re.compile(r"(?:bearer|token) +(.+)", re.IGNORECASE)
_AROUND: Final = " \t\r\n\"'"
_ANY_BASIC: Final = re.compile(r"basic +([A-Za-z0-9+/=_-]+)", re.IGNORECASE)


class TokenField(NamedTuple):
    """A header field that carries what is meant for an API token.

    user: the name that came with it, "" for none.
    """

    place: str
    user: str
    text: str


def token_fields(facts: Facts) -> tuple[TokenField, ...]:
    """Every field in which a token travels: Basic and X-Devpi-Auth with any name, with the token
    as the name or with no colon at all; Bearer; and PyPI's `token`."""
    found = []
    for name, value in facts.fields:
        if name not in CREDENTIALS:
            continue
        pair = _pair(name, value)
        if pair is not None and _ours(*pair):
            found.append(TokenField(name, pair[0], pair[1].strip()))
    return tuple(found)


def _ours(user: str, secret: str) -> bool:
    """Whether it is meant for one of ours: whatever comes by the name of all tokens is, but for
    what devpi-tokens makes; and without a name (Bearer, say) what begins like one, be it cut off
    or in quotes. By a person's name only a whole one is: anything else may be a password."""
    if looks_like(secret):
        return True
    if user == TOKEN_USER:
        return not secret.startswith("devpi-")
    return not user and secret.strip(_AROUND).startswith(PREFIX)


def _pair(name: str, value: str) -> tuple[str, str] | None:
    """The name and the secret in a field, a token always as the secret."""
    if name == "authorization":
        plain = _TOKEN_SCHEME.fullmatch(value)
        if plain:
            return "", plain[1]
        basic = _ANY_BASIC.fullmatch(value)
        if basic is None:
            return None
        value = basic[1]
    try:
        # However it is written: what holds a token must not go on as something else.
        text = base64.urlsafe_b64decode(_url_safe(value)).decode("utf-8", "replace")
    except ValueError:
        return None
    user, _, secret = text.partition(":")
    return ("", user) if looks_like(user) and not secret.strip() else (user, secret)


def _url_safe(value: str) -> str:
    stripped = value.rstrip("=").replace("+", "-").replace("/", "_")
    return stripped + "=" * (-len(stripped) % 4)

"""A session cookie in a request, found wherever any server might see it.

Servers split the Cookie field differently (WebOb takes quoted values, spaces around "=" and
backslash escapes; RFC 6265 does not). The name is searched as plain text: where it occurs other
than as exactly one plain `name=value`, the carrier is there but unreadable.
"""

from __future__ import annotations

import re

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts

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
        raise Refusal("mixed_credentials")
    if times == 1 and len(values) == 1 and _PLAIN.fullmatch(values[0]):
        return True, values[0]
    return True, None


def replace_cookie(facts: Facts, name: str, value: str) -> str:
    """The Cookie field with another value for a cookie that `find_cookie` could read."""
    parts = []
    for part in (facts.first("cookie") or "").split(";"):
        key, mark, _ = part.strip(" ").partition("=")
        parts.append(f"{name}={value}" if key == name and mark else part.strip(" "))
    return "; ".join(parts)

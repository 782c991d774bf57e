"""One id per person, however the name is written (CVE-2025-24806)."""

from __future__ import annotations

import unicodedata

from gateway.core.errors import Refusal, Slug


def user_id(name: str) -> str:
    """The id that keys records, throttle and audit: NFKC, case-folded, stripped.

    Raises:
        Refusal: `unusable_name` for an empty name, one over 200 characters, or one with
            control, format, surrogate or private-use characters in it.
    """
    if len(name) > 200:
        raise Refusal(Slug.UNUSABLE_NAME)
    if name.isascii() and name.isprintable():  # nothing to compose, and no character to refuse
        folded = name.lower().strip()
        if not folded:
            raise Refusal(Slug.UNUSABLE_NAME)
        return folded
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
    if not folded or any(unicodedata.category(char) in _REFUSED for char in folded):
        raise Refusal(Slug.UNUSABLE_NAME)
    return folded


_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

"""Names people give to their devices."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from gateway.core.accounts.records import Device
from gateway.core.errors import Refusal

LONGEST: Final = 60
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def usable_label(name: str, taken: Iterable[Device]) -> str:
    """A name as it is kept: NFC, one plain blank where it has any.

    Raises:
        Refusal: `unusable_label`, `name_taken` (whatever the case of its letters).
    """
    label = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(label) <= LONGEST or any(unicodedata.category(c) in _REFUSED for c in label):
        raise Refusal("unusable_label")
    if any(one.name.casefold() == label.casefold() for one in taken):
        raise Refusal("name_taken")
    return label

"""Dataclasses of which every request makes many.

A frozen dataclass sets each field of a new instance by `object.__setattr__`, which takes several
times as long as an assignment; over a guarded request that is 4 % of its time. So only the type
checker, which all code has to pass, sees that these are frozen.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen, slots):
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)

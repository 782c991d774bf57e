"""What the trail says of files that went to the index server or came from it.

Knows words only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TransferredFile:
    """size: bytes, None where nobody counted them. sha256: of what passed, in hex; "" where not all
    of it was seen (the kernel moved it, or it broke off)."""

    name: str
    size: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One upload or download.

    action: what kind of upload: the `:action` of its form, `push`, `test_result`; "download".
    index: "user/name" at devpi, else "". version: as the form or the file's name says, else "".
    status: of the index's answer, 0 where none came. token: the id of the token it came with.
    """

    action: str
    index: str
    version: str
    status: int
    token: str
    files: tuple[TransferredFile, ...]


def read_transfer(fields: Mapping[str, Any]) -> Transfer:
    """From what is stored. Raises ValueError, KeyError, TypeError."""
    files = tuple(TransferredFile(**one) for one in fields["files"])
    return Transfer(**{**fields, "files": files})

"""Who may report leaked tokens, as the configuration writes it: names and public keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from gateway.core.crypto.signatures import public_key
from gateway.core.tokens.leaks import Reporter
from gateway.settings.fields import Section, Written, setting
from gateway.settings.files import path_in
from gateway.settings.problems import show

_BEGIN: Final = "-----BEGIN"
_SAYS: Final = "a public key in PEM, or file:PATH with one"
_LARGEST: Final = 16 * 1024


def _key(text: str, base: Path) -> str:
    pem, where = text, ""
    if text.startswith("file:"):
        path = path_in(text, "file:", base)
        where = f"{path} holds "
        try:
            with path.open("rb") as file:
                pem = file.read(_LARGEST).decode("ascii", "replace")
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); {_SAYS}") from None
    elif not text.lstrip().startswith(_BEGIN):
        raise ValueError(f"{show(text)}; {_SAYS}")
    try:
        public_key(pem)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None
    return pem


ReporterName: TypeAlias = Annotated[
    str, Written(r"^[^\x00-\x1f]{1,60}$(?![\s\S])", "1 to 60 characters, one line")
]
KeyName: TypeAlias = Annotated[
    str, Written(r"^[!-~]{1,200}$(?![\s\S])", "the name that reports give the key, without blanks")
]
PublicKey: TypeAlias = Annotated[str, Written(r"^\s*(file:|-----BEGIN)", _SAYS, _key, based=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterModel(Section):
    """A reporter as the file has it."""

    name: ReporterName = setting("How notices and the audit trail call it.")
    keys: dict[KeyName, PublicKey] = setting(
        "Its public keys (ECDSA, P-256) by the name that stands in GitHub-Public-Key-Identifier: "
        "PEM, or file:PATH, read at the start.",
        min_length=1,
    )

    def reporter(self) -> Reporter:
        return Reporter(self.name, tuple((id, public_key(pem)) for id, pem in self.keys.items()))

"""What a login got, kept: the token in the system's keyring, the rest in a file beside it.

The token stands under the host (and port) and the name `__token__`, which is where pip and uv look
by themselves. The file holds no secret: which hosts are gateways, and until when a token lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.client.login import LoginFailed

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

USER: Final = "__token__"
KEYRING: Final = "INDEX_GATEWAY_KEYRING"
"""The environment variable that names a backend to keep tokens in, as keyring writes them."""


@dataclass(frozen=True, slots=True)
class Login:
    """expires: seconds since the epoch."""

    url: str
    actions: tuple[str, ...]
    hours: float
    user: str
    expires: float


def find(host: str) -> Login | None:
    data: Any = _all().get(host)
    try:
        return Login(**{**data, "actions": tuple(data["actions"])}) if data else None
    except (TypeError, KeyError):
        return None


def token(host: str) -> str | None:
    return system().get_password(host, USER)


def keep(host: str, login: Login, text: str) -> None:
    """Raises LoginFailed where there is no keyring."""
    system().set_password(host, USER, text)
    _write({**_all(), host: asdict(login)})


def forget(host: str) -> bool:
    """Whether there was something."""
    known = _all()
    if host not in known:
        return False
    from keyring.errors import PasswordDeleteError

    with contextlib.suppress(PasswordDeleteError):
        system().delete_password(host, USER)
    del known[host]
    _write(known)
    return True


def system() -> KeyringBackend:
    """The keyring of this machine.

    Raises:
        LoginFailed: it has none that keeps secrets well, and none was named.
    """
    try:
        from keyring import backend, core
    except ImportError:
        raise LoginFailed(
            "There is no keyring here: pip install 'index-gateway[keyring]', or --print."
        ) from None
    named = os.environ.get(KEYRING)
    if named:
        return core.load_keyring(named)
    chosen = core.get_keyring()
    if _keeps(chosen):
        return chosen
    found = [one for one in backend.get_all_keyring() if _keeps(one)]
    if not found:
        raise LoginFailed(
            f"This machine has no keyring that keeps secrets. Name one by {KEYRING}, or --print."
        )
    return max(found, key=lambda one: float(one.priority))


def _keeps(backend: KeyringBackend) -> bool:
    """Whether it keeps secrets well, and does not only ask others (keyring's own, and ours)."""
    place = type(backend).__module__
    return backend.priority >= 1 and place not in (
        "keyring.backends.chainer",
        "gateway.client.backend",
    )


def _file() -> Path:
    if sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        place = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return place / "index-gateway" / "logins.json"


def _all() -> dict[str, dict[str, object]]:
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(known: dict[str, dict[str, object]]) -> None:
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(known, out, indent=2)
    Path(name).replace(file)

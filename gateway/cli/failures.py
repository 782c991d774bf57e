"""Which exceptions are expected failures of a command, and the words for them.

Everything not named here is a defect and keeps its traceback. Imported only once something has
failed.
"""

from __future__ import annotations

import errno

from gateway.cli.output import CommandFailed
from gateway.core.crypto.keyring import SealBroken
from gateway.core.errors import Refusal
from gateway.core.store import StoreUnavailable
from gateway.keystore import KeysUnusable
from gateway.serving.sockets import ListenError
from gateway.settings import ConfigError
from gateway.stores import BadStoreAddress


def words(failed: Exception) -> CommandFailed | None:
    """What to tell a person about an expected failure, None for a defect."""
    if isinstance(failed, CommandFailed):
        return failed
    if isinstance(failed, ConfigError):
        return CommandFailed(str(failed))
    if isinstance(failed, KeysUnusable):
        return CommandFailed(failed.text, failed.hint)
    if isinstance(failed, ListenError):
        said = str(failed)
        return CommandFailed(f"{said[:1].upper()}{said[1:]}.", "Look at 'listen:' and 'tls:'.")
    if isinstance(failed, BadStoreAddress):
        return CommandFailed(f"store: {failed}")
    if isinstance(failed, Refusal):
        return CommandFailed(failed.text)
    if isinstance(failed, StoreUnavailable):
        return CommandFailed(
            f"The store cannot be reached: {failed}."
            if str(failed)
            else "The store cannot be reached.",
            "See that it runs, and that 'store:' names it.",
        )
    if isinstance(failed, SealBroken):
        return CommandFailed(
            "The store holds something that none of the keys opens.",
            "Put the key file back that this store was used with.",
        )
    if isinstance(failed, OSError):
        return _os_words(failed)
    return None


def _os_words(failed: OSError) -> CommandFailed | None:
    reason = failed.strerror or str(failed)
    if failed.errno == errno.EADDRINUSE:
        return CommandFailed(
            f"The address to listen on is in use: {reason}.",
            "Stop what listens there, or take another.",
        )
    if failed.filename is not None:
        return CommandFailed(f"{failed.filename}: {reason}.")
    return None

"""A configuration read again, in a process of its own: `python -m gateway.app.reread FILE`.

It checks what `serve` checks at its start and writes the settings to its output, or the lines that
say why they cannot be used.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.app.logs import install

if TYPE_CHECKING:
    from gateway.settings import Settings


def reread(file: Path) -> Settings | tuple[str, ...]:
    from gateway.app.domain import reading_of, ring_of
    from gateway.keystore import KeysUnusable
    from gateway.serving.sockets import ListenError, tls_context
    from gateway.settings import ConfigError, run_tests
    from gateway.settings.files import unwritable_store
    from gateway.settings.reader import load

    try:
        settings = load(file)
        failed = run_tests(settings, reading_of(settings))
        if failed:
            raise ConfigError(tuple(failed))
        ring_of(settings)
        if settings.tls is not None:
            tls_context(str(settings.tls.certificate), str(settings.tls.key))
    except ConfigError as error:
        return tuple(map(str, error.problems))
    except (KeysUnusable, ListenError) as error:
        return (str(error),)
    why = unwritable_store(settings.store)
    return (f"{settings.file}: store: {why}",) if why else settings


if __name__ == "__main__":
    answer = os.dup(1)
    install()
    os.dup2(2, 1)  # nothing else may be said where the answer goes
    with os.fdopen(answer, "wb") as output:
        output.write(pickle.dumps(reread(Path(sys.argv[1]))))

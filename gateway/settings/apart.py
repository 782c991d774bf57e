"""Settings read in a process of its own: what reads them takes 12 MB that a gateway would keep.

Before any thread and any socket: the process is a copy of this one.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from gateway.settings.model import Settings
from gateway.settings.problems import ConfigError, Problem
from gateway.settings.reader import load


def load_apart(path: Path) -> Settings:
    """What `load` gives or raises."""
    ours, its = os.pipe()
    child = os.fork()
    if not child:
        _answer(path, its)
    os.close(its)
    with os.fdopen(ours, "rb") as answer:
        said = answer.read()
    try:
        _, status = os.waitpid(child, 0)
    except ChildProcessError:  # who started us ignores SIGCHLD, and so do we: it is gone already
        status = 0 if said else 1
    if status:  # nobody foresaw why: whatever it was is to be seen here
        return load(path)
    found: Settings | tuple[Problem, ...] = pickle.loads(said)  # noqa: S301 - our own child's
    if isinstance(found, Settings):
        return found
    raise ConfigError(found)


def _answer(path: Path, where: int) -> None:
    """Read the settings, write them, and end this process: nothing of its parent's is cleaned up
    or flushed by it."""
    status = 1
    try:
        answer: Settings | tuple[Problem, ...]
        try:
            answer = load(path)
        except ConfigError as error:
            answer = error.problems
        with os.fdopen(where, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        status = 0
    finally:
        os._exit(status)

"""Adapters, one file per kind of index server, behind `gateway.core.upstream.Upstream`.

A new kind is one file and one line in `UPSTREAMS`; the contract suite then runs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.core.upstream import Upstream
from gateway.upstreams.devpi import Devpi
from gateway.upstreams.form import Form, FormOptions
from gateway.upstreams.pypiserver import Pypiserver

__all__ = ["UPSTREAMS", "FormOptions"]

UPSTREAMS: Final[dict[str, Callable[[FormOptions], Upstream]]] = {
    "devpi": lambda _: Devpi(),
    "form": Form,
    "pypiserver": lambda _: Pypiserver(),
}
"""By `upstream.kind` of the configuration; the options are for kinds that need some."""

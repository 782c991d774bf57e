"""What is told of peers that say whose request they bring: whoever runs this has to know where
such a peer is not believed, since all people behind it are then one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gateway.core.http.facts import IPAddress, Networks, is_trusted

_TELL_AGAIN: Final = 3600.0  # seconds
_STRANGERS: Final = 20  # peers told of in that time: any client can send the field
_LOG: Final = logging.getLogger("gateway.proxy")


class Peers:
    """What was told, so that it is not told for each request.

    Args:
        trusted: networks of proxies whose X-Forwarded-For is believed.
        stranger: told of peers that send X-Forwarded-For and are no trusted proxies.
    """

    __slots__ = ("_stranger", "_strangers", "_told", "_trusted")

    def __init__(self, trusted: Networks, stranger: Callable[[IPAddress], None]) -> None:
        self._trusted: Final = trusted
        self._stranger: Final = stranger
        self._strangers: dict[IPAddress, float] = {}
        self._told: set[str] = set()

    def unknown(self, what: str) -> None:
        """A trusted proxy named a client by what is no address: said once, not for each."""
        if what not in self._told:
            self._told.add(what)
            _LOG.warning(
                "a trusted proxy sends %s in X-Forwarded-For; such clients count as unknown: "
                "outside of all networks, and all as one when tries are counted",
                what,
            )

    def proxied(self, peer: IPAddress | None, now: float, *, by_name: bool) -> None:
        """A peer said whose request it brings and was not believed: once an hour for each.

        Args:
            now: in the forwarder's time.
            by_name: it did so in X-Forwarded-For, the field that is read.
        """
        trusted = peer is not None and is_trusted(peer, self._trusted)
        if peer is None or (trusted and by_name):
            return
        recent = {one: at for one, at in self._strangers.items() if now - at < _TELL_AGAIN}
        if peer in recent or len(recent) >= _STRANGERS:
            return
        self._strangers = {**recent, peer: now}
        if trusted:
            _LOG.warning(
                "%s is in trusted_proxies but sends Forwarded only, which is not read: all people "
                "behind it are one network; let it send X-Forwarded-For",
                peer,
            )
            return
        _LOG.warning(
            "%s sends %s but is not in trusted_proxies: if it is a proxy of yours, all people "
            "behind it are one network and are held back together; set trusted_proxies: [%s]",
            peer,
            "X-Forwarded-For" if by_name else "Forwarded",
            peer,
        )
        self._stranger(peer)

"""A mail address that changes at the index: whoever had the old one hears of it.

Notices go to the address the index knows, so a thief in somebody's session would change that
first. The gateway asks for it before and after a change of an account that passes by here, and
sends one notice to the old one. A change made at the index directly is not seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from gateway.core.errors import Refusal
from gateway.core.login.models import Caller
from gateway.core.notices.events import Notice, Notifier
from gateway.core.user_id import user_id

AddressOf: TypeAlias = Callable[[str], Awaitable[str | None]]


class Mailboxes:
    """Args: address_of: asks the index; None where no mail goes to an address of the index's."""

    def __init__(self, address_of: AddressOf | None, notifier: Notifier) -> None:
        self._address_of: Final = address_of
        self._notifier: Final = notifier

    async def before(self, user: str) -> str | None:
        """The address a person has before a change; None where there is none to tell.

        Raises:
            Refusal: the index does not say; the change would fail, too.
        """
        return None if self._address_of is None else await self._address_of(user)

    async def after(self, user: str, old: str, caller: Caller) -> None:
        """Tell the old address if the person has another one now.

        Raises:
            StoreUnavailable
        """
        assert self._address_of is not None
        try:
            if await self._address_of(user) == old:
                return
        except Refusal:
            pass  # a notice too many is better than one too few
        await self._notifier.notify(
            Notice.ADDRESS_CHANGED, user_id(user), caller.origin, address=old
        )

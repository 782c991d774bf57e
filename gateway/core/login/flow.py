"""The services of logins by name, as the pages (`web`) and the gate are given them.

Together they know the store, the keys, the factors and the clock; they know no HTTP library.
Order is always: password first (judged by the upstream, before anything here is called), then
the factor, then the act.
"""

from __future__ import annotations

from typing import Final

from gateway.core.login.approving import Approving
from gateway.core.login.browser import Entering, Passkeys
from gateway.core.login.earned import Earned
from gateway.core.login.enrolment import Enrolling
from gateway.core.login.grants import Granting
from gateway.core.login.in_request import AtOnce
from gateway.core.login.self_service import Manage
from gateway.core.login.services import Services
from gateway.core.login.unfinished import Unfinished
from gateway.core.store import Key

SWEEP_EVERY: Final = 300.0
"""Seconds between two looks for sessions and devices whose time is over."""


class Flow:
    """Every method of a service may raise `StoreUnavailable`; refusals are `Refusal`s.

    limits: what was decided about logins. guessing, proofs: passwords and factors on trial.
    entering, passkeys: logins in a browser. at_once: proofs that come with the act.
    earned: what a login leaves behind, sessions and verified credentials.
    enrolling: setting up factors, before or after a login is complete.
    unfinished: what of that waits to go on.
    manage: everything on the security pages. approving: command-line logins that wait for a word
    in the browser. tokens: API tokens.
    """

    def __init__(self, services: Services) -> None:
        self.services: Final = services
        self.limits: Final = services.limits
        self.guessing: Final = services.guessing
        self.proofs: Final = services.proofs
        self.entering: Final = Entering(services)
        self.passkeys: Final = Passkeys(services)
        self.at_once: Final = AtOnce(services)
        self.earned: Final = Earned(services)
        self.enrolling: Final = Enrolling(services, self.entering)
        self.unfinished: Final = Unfinished(services, self.entering)
        self.manage: Final = Manage(services)
        self.approving: Final = Approving(services)
        self.granting: Final = Granting(services)
        self.tokens: Final = services.tokens

    async def sweep(self) -> None:
        """End, and record, every session and remembered device whose time is over.

        Done every few minutes, by one of the gateways on a store.
        """
        turn = Key("told", "", "sweep")
        if await self.services.store.claim(turn, expires=self.services.clock() + SWEEP_EVERY - 1):
            await self.services.sweep_due()

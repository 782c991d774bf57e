"""Every page by its canonical path: who may ask, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.core import addresses
from gateway.core.facts import Facts
from gateway.core.flow import Step
from gateway.web import (
    account,
    activity,
    approve,
    enrol,
    factor_form,
    health,
    keys,
    login,
    step_up,
    verify,
)
from gateway.web.routes import SEEN, SENT, ForPending, ForSession, Open, Route

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        # -- logging in ---------------------------------------------------------------------
        addresses.LOGIN: Open(get=login.show, post=login.submit),
        login.PASSKEY: Open(post=keys.passkey),
        addresses.VERIFY: ForPending(Step.VERIFY, get=verify.show, post=verify.submit),
        verify.CANCEL: ForPending(None, post=verify.cancel),
        addresses.LOGOUT: ForSession(
            get=account.logout_form, post=account.logout, nobody=account.logged_out
        ),
        # -- setting up factors, within a login or on a session -----------------------------
        **{
            f"{addresses.ENROL}{end}": ForPending(Step.ENROL, get=get, post=post)
            for end, get, post in enrol.STEPS
        },
        # What was begun with a recent factor may be finished when that is no longer recent: to
        # scan a picture and to save codes takes its time.
        **{
            f"{enrol.ADD}{end}": ForSession(get=get, post=post, fresh=enrol.FRESH[end])
            for end, get, post in enrol.STEPS
        },
        f"{addresses.ENROL}/key": ForPending(Step.ENROL, get=keys.add_form, post=keys.add),
        f"{enrol.ADD}/key": ForSession(get=keys.add_form, post=keys.add, fresh=SEEN),
        # -- what the WebAuthn script asks for, as JSON -------------------------------------
        login.PASSKEY_OPTIONS: Open(post=keys.passkey_options),
        factor_form.VERIFY_OPTIONS: ForPending(Step.VERIFY, post=keys.ask_options),
        factor_form.STEP_UP_OPTIONS: ForSession(post=keys.ask_options),
        keys.ENROL_OPTIONS: ForPending(Step.ENROL, post=keys.create_options),
        keys.ADD_OPTIONS: ForSession(post=keys.create_options, fresh=SENT),
        # -- a person's own account ---------------------------------------------------------
        addresses.PREFIX: ForSession(get=account.overview),
        account.ACTIVITY: ForSession(get=activity.show),
        addresses.STEP_UP: ForSession(get=step_up.show, post=step_up.submit),
        account.RENAME: ForSession(post=account.rename, fresh=SENT),
        account.REMOVE: ForSession(post=account.remove, fresh=SENT),
        enrol.RECOVERY: ForSession(get=account.recovery_form, post=account.recovery),
        account.END_SESSION: ForSession(post=account.end_session),
        account.END_OTHERS: ForSession(post=account.end_others),
        account.FORGET: ForSession(post=account.forget),
        account.REMEMBER: ForSession(post=account.remember, fresh=SENT),
        # -- machines -----------------------------------------------------------------------
        addresses.HEALTH: Open(get=health.show),
    }
)
"""Pages of one address."""

WITH_TAIL: Final[Mapping[str, Route]] = MappingProxyType(
    {
        addresses.INVITE: Open(get=login.show, post=login.submit),
        addresses.APPROVE: ForSession(get=approve.show, post=approve.submit, fresh=SEEN | SENT),
        account.FACTOR: ForSession(get=account.factor, fresh=SEEN),
    }
)
"""Pages whose address ends in one more segment."""


def find(path: str) -> tuple[Route | None, str]:
    """The route of a canonical path and its last segment where the route has one."""
    if path in ROUTES:
        return ROUTES[path], ""
    folder, _, tail = path.rpartition("/")
    return WITH_TAIL.get(folder), tail


def answers_script(facts: Facts) -> bool:
    """Whether the WebAuthn script reads the answer, so that it has to be JSON."""
    return facts.path.startswith(keys.OPTIONS + "/")

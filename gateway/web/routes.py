"""Every page by its canonical path: who may ask, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.core import urls
from gateway.core.http.facts import Facts
from gateway.core.login.models import Step
from gateway.web.context import SEEN, SENT, ForPending, ForSession, Open, Route
from gateway.web.handlers import (
    account,
    activity,
    approval,
    enrolment,
    health,
    language,
    login,
    second_factor,
    step_up,
    webauthn,
)

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        # -- logging in ---------------------------------------------------------------------
        urls.LOGIN: Open(get=login.show, post=login.submit),
        login.PASSKEY: Open(post=webauthn.passkey),
        urls.VERIFY: ForPending(Step.VERIFY, get=second_factor.show, post=second_factor.submit),
        second_factor.CANCEL: ForPending(None, post=second_factor.cancel),
        urls.LOGOUT: ForSession(
            get=account.logout_form, post=account.logout, nobody=account.logged_out
        ),
        # -- setting up factors, within a login or on a session -----------------------------
        **{
            f"{urls.ENROL}{end}": ForPending(Step.ENROL, get=get, post=post)
            for end, get, post in enrolment.STEPS
        },
        # What was begun with a recent factor may be finished when that is no longer recent: to
        # scan a picture and to save codes takes its time.
        **{
            f"{enrolment.ADD}{end}": ForSession(get=get, post=post, fresh=enrolment.FRESH[end])
            for end, get, post in enrolment.STEPS
        },
        f"{urls.ENROL}/key": ForPending(Step.ENROL, get=webauthn.add_form, post=webauthn.add),
        f"{enrolment.ADD}/key": ForSession(get=webauthn.add_form, post=webauthn.add, fresh=SEEN),
        # -- what the WebAuthn script asks for, as JSON -------------------------------------
        login.PASSKEY_OPTIONS: Open(post=webauthn.passkey_options),
        second_factor.VERIFY_OPTIONS: ForPending(Step.VERIFY, post=webauthn.ask_options),
        second_factor.STEP_UP_OPTIONS: ForSession(post=webauthn.ask_options),
        webauthn.ENROL_OPTIONS: ForPending(Step.ENROL, post=webauthn.create_options),
        webauthn.ADD_OPTIONS: ForSession(post=webauthn.create_options, fresh=SENT),
        # -- a person's own account ---------------------------------------------------------
        urls.PREFIX: ForSession(get=account.overview),
        account.ACTIVITY: ForSession(get=activity.show),
        urls.STEP_UP: ForSession(get=step_up.show, post=step_up.submit),
        account.RENAME: ForSession(post=account.rename, fresh=SENT),
        account.REMOVE: ForSession(post=account.remove, fresh=SENT),
        enrolment.RECOVERY: ForSession(get=account.recovery_form, post=account.recovery),
        account.END_SESSION: ForSession(post=account.end_session),
        account.END_OTHERS: ForSession(post=account.end_others),
        account.FORGET: ForSession(post=account.forget),
        account.REMEMBER: ForSession(post=account.remember, fresh=SENT),
        # -- machines -----------------------------------------------------------------------
        urls.HEALTH: Open(get=health.show),
    }
)
"""Pages of one address."""

WITH_TAIL: Final[Mapping[str, Route]] = MappingProxyType(
    {
        urls.INVITE: Open(get=login.show, post=login.submit),
        urls.LANGUAGE: Open(get=language.choose),
        urls.APPROVE: ForSession(get=approval.show, post=approval.submit, fresh=SEEN | SENT),
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
    return facts.path.startswith(webauthn.OPTIONS + "/")

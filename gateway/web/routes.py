"""Every page by its canonical path: who may ask, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.core import urls
from gateway.core.http.facts import Facts
from gateway.core.login.models import Step
from gateway.web.context import SEEN, SENT, Ask, ForAdmin, ForPending, ForSession, Open, Route
from gateway.web.handlers import (
    account,
    activity,
    admin,
    admin_acts,
    admin_audit,
    approval,
    connect,
    enrolment,
    front,
    health,
    language,
    login,
    password,
    second_factor,
    sessions,
    step_up,
    token_new,
    tokens,
    webauthn,
)

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        urls.FRONT: Open(get=front.show),
        # -- logging in ---------------------------------------------------------------------
        urls.LOGIN: Open(get=login.show, post=login.submit, back=login.back),
        login.PASSKEY: Open(post=webauthn.passkey, back=login.back),
        urls.VERIFY: ForPending(
            Step.VERIFY,
            get=second_factor.show,
            post=second_factor.submit,
            back=second_factor.back,
        ),
        urls.CANCEL: ForPending(None, post=second_factor.cancel, back=second_factor.back),
        urls.LOGOUT: ForSession(
            get=account.logout_form, post=account.logout, nobody=account.logged_out, stops=True
        ),
        # -- setting up factors, within a login or on a session -----------------------------
        **{
            f"{urls.ENROL}{end}": ForPending(Step.ENROL, get=get, post=post, back=enrolment.back)
            for end, get, post in enrolment.STEPS
        },
        # What was begun with a recent factor may be finished when that is no longer recent: to
        # scan a picture and to save codes takes its time.
        **{
            f"{enrolment.ADD}{end}": ForSession(
                get=get, post=post, fresh=enrolment.FRESH[end], back=enrolment.back
            )
            for end, get, post in enrolment.STEPS
        },
        enrolment.CANCEL: ForSession(post=enrolment.cancel, stops=True),
        f"{urls.ENROL}/key": ForPending(
            Step.ENROL, get=webauthn.add_form, post=webauthn.add, back=enrolment.back
        ),
        f"{enrolment.ADD}/key": ForSession(
            get=webauthn.add_form, post=webauthn.add, fresh=SEEN, back=enrolment.back
        ),
        # -- what the WebAuthn script asks for, as JSON -------------------------------------
        login.PASSKEY_OPTIONS: Open(post=webauthn.passkey_options),
        second_factor.VERIFY_OPTIONS: ForPending(Step.VERIFY, post=webauthn.ask_options),
        second_factor.STEP_UP_OPTIONS: ForSession(post=webauthn.ask_options),
        webauthn.ENROL_OPTIONS: ForPending(Step.ENROL, post=webauthn.create_options),
        webauthn.ADD_OPTIONS: ForSession(
            post=webauthn.create_options, fresh=SENT, back=webauthn.back
        ),
        # -- a person's own account ---------------------------------------------------------
        urls.PREFIX: ForSession(get=account.overview),
        activity.ACTIVITY: ForSession(get=activity.show),
        **{
            f"{activity.ACTIVITY}.{name}": ForSession(get=activity.saved(name))
            for name in activity.FILES
        },
        sessions.SESSIONS: ForSession(get=sessions.show),
        urls.STEP_UP: ForSession(get=step_up.show, post=step_up.submit),
        account.RENAME: ForSession(post=account.rename, fresh=SENT, back=account.back),
        account.REMOVE: ForSession(post=account.remove, fresh=SENT, back=account.back),
        enrolment.RECOVERY: ForSession(get=account.recovery_form, post=account.recovery),
        urls.PASSWORD: ForSession(get=password.show, post=password.submit),
        sessions.END_SESSION: ForSession(post=sessions.end_session, stops=True),
        sessions.END_OTHERS: ForSession(post=sessions.end_others, stops=True),
        account.FORGET: ForSession(post=account.forget, stops=True),
        account.REMEMBER: ForSession(post=account.remember, fresh=SENT),
        # -- API tokens ---------------------------------------------------------------------
        urls.TOKENS: ForSession(get=tokens.show),
        # Its POST takes a proof that was recent when the form was opened.
        tokens.NEW: ForSession(
            get=token_new.show, post=token_new.make, fresh=SEEN, back=token_new.back
        ),
        tokens.REVOKE: ForSession(post=tokens.revoke, back=tokens.back, stops=True),
        tokens.REVOKE_ALL: ForSession(
            get=tokens.revoke_all_form, post=tokens.revoke_all, stops=True
        ),
        tokens.KEEP: ForSession(post=tokens.keep, back=tokens.back),
        tokens.KEEP_LEFT: ForSession(post=tokens.keep_left, back=tokens.back),
        tokens.REVOKE_LEFT: ForSession(post=tokens.revoke_left, back=tokens.back, stops=True),
        # -- administrators -----------------------------------------------------------------
        urls.ADMIN: ForAdmin(get=admin.people),
        admin.PERSON: ForAdmin(get=admin.person),
        **{act.path: admin_acts.route(act) for act in admin_acts.ACTS},
        admin.AUDIT: ForAdmin(get=admin_audit.show),
        **{
            f"{admin.AUDIT}.{name}": ForAdmin(get=admin_audit.saved(name))
            for name in admin_audit.FILES
        },
        admin.STATS: ForAdmin(get=admin_audit.stats),
        # -- machines -----------------------------------------------------------------------
        urls.HEALTH: Open(get=health.show),
        urls.READY: Open(get=health.ready),
    }
)
"""Pages of one address."""

WITH_TAIL: Final[Mapping[str, Route]] = MappingProxyType(
    {
        urls.INVITE: Open(get=login.show, post=login.submit, back=login.back),
        urls.LANGUAGE: Open(get=language.choose),
        urls.CONNECT: ForSession(get=connect.show, post=connect.submit, fresh=SEEN | SENT),
        urls.APPROVE: ForSession(get=approval.show, post=approval.submit, fresh=SEEN | SENT),
        tokens.TOKEN: ForSession(get=tokens.one),
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


def back(route: Route, ask: Ask) -> str:
    """Where to lead a person back to: the page asked for, or the one its form was on."""
    if ask.facts.path == urls.STEP_UP:  # what it was for; a login is as good
        return ask.next() or urls.OVERVIEW
    if ask.facts.safe:
        return ask.facts.target
    if route.back is not None:
        return route.back(ask)
    return ask.facts.path if route.get is not None else urls.OVERVIEW


def answers_script(facts: Facts) -> bool:
    """Whether the WebAuthn script reads the answer, so that it has to be JSON."""
    return facts.path.startswith(webauthn.OPTIONS + "/")

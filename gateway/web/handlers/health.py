"""For load balancers and container runtimes: whether the process lives, and whether it is ready."""

from __future__ import annotations

from gateway import NAME
from gateway.core.crypto.liveness import NONCE, PARAMETER, PURPOSE
from gateway.core.store import StoreUnavailable
from gateway.web.context import Ask, Kit
from gateway.web.responses import PageResponse, as_json


async def show(kit: Kit, ask: Ask) -> PageResponse:
    """200 in any case while this process answers: without its store it still forwards what
    the rules let pass, so taking it out of rotation would only make things worse.

    The name tells clients what they talk to (`plugins/devpi-client-otp`)."""
    try:
        await kit.flow.services.reachable()
        store = "ok"
    except StoreUnavailable:
        store = "failed"
    answer = {"name": NAME, "status": "ok", "store": store}
    nonce = ask.asked(PARAMETER)
    if NONCE.fullmatch(nonce):
        answer["proof"] = kit.prove(PURPOSE, nonce)
    return as_json(200, answer)


async def ready(kit: Kit, ask: Ask) -> PageResponse:
    """503 while a part does not work that logins and changes need, with what it is."""
    found = dict(await kit.ready())
    fine = all(said == "ok" for said in found.values())
    answer = {"name": NAME, "status": "ready" if fine else "not ready", **found}
    return as_json(200 if fine else 503, answer)

"""Whether what a configuration names really works: the index server, the store, the keys, the
public address. For `check --live`, for `serve` at its start, and for the demo.

Each look is bounded in time, follows no redirect and leaves nothing behind. Knows what to look
at and the words for what it finds; judges no request.
"""

from __future__ import annotations

import asyncio
import getpass
import hmac
import json
import os
import secrets
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.app.domain import form_of, limits_of, ring_of, upstream_address
from gateway.app.probe import WITHIN, exchange, reason, tls
from gateway.core.accounts.repository import Accounts
from gateway.core.crypto.keyring import SealBroken
from gateway.core.crypto.liveness import PARAMETER, PURPOSE
from gateway.core.errors import Refusal
from gateway.core.publishing.identity import ALGORITHMS
from gateway.core.store import Key, StoreUnavailable
from gateway.core.upstream import Call, Credential, Listing, UpstreamResponse
from gateway.core.urls import HEALTH
from gateway.factors import make_factors
from gateway.issuers.discovery import Discovery, IssuerFault
from gateway.issuers.keys import usable
from gateway.keystore import KeysUnusable
from gateway.proxy.http1.body import BadChunk
from gateway.proxy.http1.response import AnswerHead, BadAnswer
from gateway.proxy.upstream_pool import UpstreamAddress
from gateway.settings.files import unmade_store, unwritable_store
from gateway.stores import BadStoreAddress, open_store
from gateway.upstreams import UPSTREAMS
from gateway.upstreams.bodies import read_object

if TYPE_CHECKING:
    from gateway.core.upstream import Upstream
    from gateway.settings import Settings

_ACCOUNTS: Final = 100
"""Accounts whose secrets are opened at most."""
_UNTIL: Final = 60.0
"""Seconds that the record of a tried write lives, where it could not be removed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. what: the part looked at. ok: it works. said: what was found; fix: what to do
    where it does not work."""

    what: str
    ok: bool
    said: str
    fix: str = ""


class _Fault(Exception):
    """Something does not work: what was found, and what to do."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__(said)
        self.said: Final = said
        self.fix: Final = fix


async def look(settings: Settings) -> list[Finding]:
    """Look at everything, side by side."""
    looks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "index": _index,
        "passwords": _passwords,
        "store": _store,
        "keys": _keys,
        "public_url": _public_url,
        **({"publishers": _publishers} if settings.publishers else {}),
        **({"admins": _admins} if _names_admins(settings) else {}),
        **({"devpi_tokens": _devpi_tokens} if settings.upstream.devpi_tokens else {}),
    }
    return await asyncio.gather(*(_looked(settings, *each) for each in looks.items()))


async def _looked(
    settings: Settings, what: str, at: Callable[[Settings], Awaitable[str]]
) -> Finding:
    try:
        async with asyncio.timeout(2 * WITHIN):
            return Finding(what, True, await at(settings))
    except _Fault as wrong:
        return Finding(what, False, wrong.said, wrong.fix)
    except TimeoutError:
        return Finding(what, False, f"no end within {2 * WITHIN:.0f} seconds", "Try again later.")


# -- the index server -------------------------------------------------------------------------


async def _index(settings: Settings) -> str:
    url = str(settings.upstream.url)
    began = time.monotonic()
    head, _ = await _asked(settings, Call("GET", "/"))
    took = time.monotonic() - began
    if head.status >= 500:
        raise _Fault(
            f"{url} answers {head.status}", f"Look into the log of {settings.upstream.kind}."
        )
    return f"{url} answers {head.status} in {took * 1000:.0f} ms"


async def _passwords(settings: Settings) -> str:
    kind = settings.upstream.kind
    nobody = Credential(f"check-{secrets.token_hex(4)}", secrets.token_hex(16))
    status, taken = await _judged(settings, nobody)
    if taken:
        raise _Fault(f"{kind} takes a wrong password for a right one", _ASKS_NOT[kind])
    if kind == "devpi" and (await _judged(settings, Credential("root", "")))[1]:
        # So devpi-init leaves it, and the gateway lets nobody log in with an empty password.
        raise _Fault(
            "devpi's root has no password", f"Give it one, at {settings.upstream.url} itself."
        )
    return f"{kind} refuses a wrong one ({status})"


async def _judged(settings: Settings, credential: Credential) -> tuple[int, bool]:
    """The status that the index answers to a login, and whether it took the password."""
    upstream = _upstream(settings)
    call = upstream.password_check(credential)
    if call is None:
        return 0, False
    head, body = await _asked(settings, call)
    reply = UpstreamResponse(
        head.status, tuple((name.lower(), value) for name, value in head.fields), body
    )
    try:
        return head.status, upstream.password_answer(credential, reply) is not None
    except Refusal:
        raise _Fault(
            f"{settings.upstream.kind} answers {head.status} to a login, which means neither yes "
            "nor no",
            f"See that upstream.kind is right, and that {settings.upstream.url} is that server.",
        ) from None


_ASKS_NOT: Final = {
    "pypiserver": "Start pypiserver with a password file (-P) and `update` in its -a.",
    "devpi": "See that upstream.url leads to devpi-server itself.",
    "form": "See that upstream.form names its login form, its fields and its session cookie.",
}


async def _devpi_tokens(settings: Settings) -> str:
    call = Call("GET", "/+status", (("accept", "application/json"),))
    head, body = await _asked(settings, call)
    result = (read_object(body) or {}).get("result")
    versions = result.get("versioninfo") if isinstance(result, dict) else None
    version = versions.get("devpi-tokens") if isinstance(versions, dict) else None
    if head.status != 200 or not isinstance(version, str):
        raise _Fault(
            "devpi has no plugin devpi-tokens, so nobody can make an API token",
            "Install devpi-tokens beside devpi-server, or leave upstream.devpi_tokens out.",
        )
    return f"devpi has devpi-tokens {version}"


def _names_admins(settings: Settings) -> bool:
    return bool(settings.admins) and isinstance(_upstream(settings), Listing)


async def _admins(settings: Settings) -> str:
    """Whether everybody in `admins` has an account: who takes such a name is an administrator."""
    upstream = _upstream(settings)
    assert isinstance(upstream, Listing)
    head, body = await _asked(settings, upstream.users_call())
    try:
        users = upstream.users_answer(UpstreamResponse(head.status, (), body))
    except Refusal:
        return f"{settings.upstream.kind} does not say who its users are"
    known = {name.lower() for name in users}
    missing = [name for name in settings.admins if name.lower() not in known]
    if missing:
        raise _Fault(
            f"{settings.upstream.kind} has no user {', '.join(missing)}: whoever takes that name "
            "is an administrator here",
            "Make the account, or take the name out of admins.",
        )
    return f"{settings.upstream.kind} has an account for each"


def _upstream(settings: Settings) -> Upstream:
    return UPSTREAMS[settings.upstream.kind](form_of(settings))


async def _asked(settings: Settings, call: Call) -> tuple[AnswerHead, bytes]:
    """Ask the index server, and read its answer as the gateway reads all of them."""
    url = str(settings.upstream.url)
    fields = (*call.fields, *_upstream(settings).own_fields(str(settings.public_url), None))
    try:
        return await exchange(
            upstream_address(settings), Call(call.method, call.target, fields, call.body)
        )
    except ssl.SSLError as error:
        raise _Fault(
            f"{url}: {tls(error)}", "Give it a certificate that this machine trusts."
        ) from None
    except TimeoutError:
        raise _Fault(
            f"{url} does not answer within {WITHIN:.0f} seconds",
            "See whether it runs and is not overloaded.",
        ) from None
    except OSError as error:
        raise _Fault(
            f"{url} cannot be reached ({reason(error)})",
            f"Start {settings.upstream.kind}, or correct upstream.url.",
        ) from None
    except (BadAnswer, BadChunk) as error:
        raise _Fault(
            f"{url} answers what cannot be read in exactly one way: {error}",
            "See that it speaks HTTP/1.1 and that no other proxy stands in between.",
        ) from None


# -- what is kept here ------------------------------------------------------------------------


async def _store(settings: Settings) -> str:
    user = getpass.getuser()
    why = unwritable_store(settings.store)
    if why:
        raise _Fault(f"{why} (as {user})", _OTHER_STORE)
    unmade = unmade_store(settings.store)
    if unmade is not None:  # `serve` makes it, so that it belongs to the user that `serve` runs as
        return await asyncio.to_thread(_try_directory, unmade.parent, user)
    name = secrets.token_hex(8)
    key = Key("check", "", name)
    try:
        store = await open_store(settings.store, time.time)
        try:
            if not await store.claim(key, expires=time.time() + _UNTIL):
                raise StoreUnavailable("a record that nobody wrote is there")
            await store.delete(key)
        finally:
            await store.close()
    except (BadStoreAddress, StoreUnavailable) as error:
        raise _Fault(
            f"it cannot be written as {user} ({error or 'no answer'})", _OTHER_STORE
        ) from None
    return f"written and read as {user}"


_OTHER_STORE: Final = (
    "See that it runs and that 'store:' names it, and that this user may write there (chown)."
)


def _try_directory(place: Path, user: str) -> str:
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"tried")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _Fault(
            f"{place} cannot be written as {user} ({reason(error)})", _OTHER_STORE
        ) from None
    return f"not made yet; {place} can be written as {user}"


async def _keys(settings: Settings) -> str:
    try:
        ring = ring_of(settings)
        ring.digest(PURPOSE, "")
    except KeysUnusable as error:
        raise _Fault(error.text.rstrip("."), error.hint) from None
    if unwritable_store(settings.store) or unmade_store(settings.store) is not None:
        return f"{settings.keys} can be read; nothing is sealed yet"
    factors = make_factors(ring, limits_of(settings)).values()
    try:
        store = await open_store(settings.store, time.time)
        try:
            opened = await Accounts(store).opened(factors, _ACCOUNTS)
        finally:
            await store.close()
    except SealBroken:
        raise _Fault(
            f"{settings.keys} does not open what is in the store",
            "Put the key file back that this store was used with.",
        ) from None
    except (BadStoreAddress, StoreUnavailable):
        return f"{settings.keys} can be read; the store cannot"
    return f"{settings.keys} opens what is sealed ({opened} looked at)"


# -- who uploads without a secret -------------------------------------------------------------


async def _publishers(settings: Settings) -> str:
    issuers = list(dict.fromkeys(one.its_issuer for one in settings.publishers))
    discovery = Discovery()
    try:
        found = await asyncio.gather(*map(discovery.ask, issuers), return_exceptions=True)
    finally:
        await discovery.close()
    said = []
    for issuer, published in zip(issuers, found, strict=True):
        if isinstance(published, IssuerFault):
            raise _Fault(f"{issuer}: {published}", _ISSUER)
        if isinstance(published, BaseException):
            raise published
        keys = usable(published)
        if not keys:
            raise _Fault(f"{issuer} has no key for {', '.join(ALGORITHMS)}", _ISSUER)
        said.append(f"{issuer} has {keys} key{'s' if keys > 1 else ''}")
    return "; ".join(said)


_ISSUER: Final = "See that the issuer is written exactly so, and can be reached from here."


# -- the way in -------------------------------------------------------------------------------


async def _public_url(settings: Settings) -> str:
    url = str(settings.public_url)
    nonce = secrets.token_hex(16)
    public = settings.public_url
    endpoint = UpstreamAddress.at(public.host, public.port, secure=public.secure)
    target = f"{public.path}{HEALTH}?{PARAMETER}={nonce}"
    try:
        head, body = await exchange(endpoint, Call("GET", target))
    except ssl.SSLError as error:
        raise _Fault(
            f"{url}: {tls(error)}", "Clients will say the same: renew or replace the certificate."
        ) from None
    except TimeoutError:
        raise _Fault(f"{url} does not answer within {WITHIN:.0f} seconds", _LEAD_HERE) from None
    except OSError as error:
        raise _Fault(f"{url} cannot be reached from here ({reason(error)})", _LEAD_HERE) from None
    except (BadAnswer, BadChunk):
        raise _Fault(f"{url} answers, but not as a gateway does", _LEAD_HERE) from None
    if 300 <= head.status < 400:
        raise _Fault(
            f"{url} sends elsewhere ({head.status})",
            "Write the address that it leads to into public_url.",
        )
    try:
        proof = json.loads(body)["proof"]
    except (ValueError, LookupError, TypeError):
        raise _Fault(f"{url} leads to something else ({head.status})", _LEAD_HERE) from None
    try:
        own = ring_of(settings).digests(PURPOSE, nonce)
    except KeysUnusable:
        raise _Fault(
            f"{url} leads to a gateway, but the keys cannot be read", "See the line of the keys."
        ) from None
    if not isinstance(proof, str) or not any(
        hmac.compare_digest(proof.encode(), each.encode()) for each in own
    ):
        raise _Fault(
            f"{url} leads to another gateway, which has other keys",
            "Let public_url and the proxy in front lead to the gateway of this configuration.",
        )
    return f"{url} leads here"


_LEAD_HERE: Final = "Start the gateway, and let the name and the proxy in front of it lead there."

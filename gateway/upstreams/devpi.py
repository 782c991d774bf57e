"""devpi-server, with or without devpi-lockdown and devpi-tokens.

One credential check serves every route there, and three carriers reach it: Basic, X-Devpi-Auth
and devpi-lockdown's cookie; devpi-tokens adds Bearer. Each may hold a login token, a raw password
or an access token.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from gateway.core.errors import Refusal, Slug
from gateway.core.http.cookies import clearing, read_set_cookie
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.http.path import local_path
from gateway.core.tokens.macaroon import identifier_of
from gateway.core.tokens.projects import is_name, normalised, projects_of
from gateway.core.upstream import (
    Act,
    Action,
    Addresses,
    Attempt,
    Call,
    Carrier,
    Credential,
    Issued,
    TokenGrant,
    TokenName,
    UpstreamResponse,
)
from gateway.upstreams.bodies import FORM, query_value, read_form, read_object, text_of, write_form
from gateway.upstreams.carriers import (
    TOKEN_USER,
    basic_field,
    cookie_values,
    decode_pair,
    encode_pair,
    find_cookie,
    loosely_decoded,
    read_authorization,
    replace_cookie,
    split_pair,
    travels,
)

COOKIE: Final = "auth_tkt"
LOGIN: Final = "/+login"
_ACCEPT_JSON: Final = (("accept", "application/json"),)
_JSON: Final = (*_ACCEPT_JSON, ("content-type", "application/json"))
_HTML: Final = (("accept", "text/html"), ("content-type", FORM))
# A login token: name and groups in JSON, a moment, 160 bits of signature (itsdangerous).
_TOKEN: Final = re.compile(r'\[".*\]\.[\w-]{4,16}\.[\w-]{27}', re.ASCII)
_BASIC: Final = re.compile(r"[Bb]asic ([A-Za-z0-9+/]+=*)")
_BEARER: Final = re.compile(r"[Bb]earer (devpi-[A-Za-z0-9_-]+)")
_ACCESS_TOKEN: Final = re.compile(r"devpi-[A-Za-z0-9_-]+", re.ASCII)
# Below an index: what is about none of its projects in particular.
_LISTINGS: Final[tuple[list[str], ...]] = ([], ["+simple"])
_FILE_PARTS: Final = 4  # in "/user/index/+f/…".split("/"), before the file
_FRAME: Final = 5  # where "+d" stands in "/user/index/project/version/+d/…".split("/")
# Styles and scripts of its pages, and its login page.
_LOOKED_AT: Final = ("+static-", "+theme-static-", "+login", "favicon.ico")
_REMEMBERED: Final = 256  # characters of a path
# devpi's permissions behind what an API token may do.
_RIGHTS: Final = {
    Action.READ: ("pkg_read",),
    Action.UPLOAD: ("upload", "toxresult_upload"),
    Action.MANAGE: (
        *("del_entry", "del_project", "del_verdata", "index_create", "index_delete"),
        *("index_modify", "pkg_read", "upload"),  # the last two: a push
    ),
}
_API_VERSION: Final = (("X-Devpi-Api-Version", "2"),)


class Devpi:
    """The adapter; it keeps nothing."""

    kind: str = "devpi"
    cuts_base: bool = True
    tells_anyway: bool = True
    takes_tokens: bool = True
    logs_in: bool = True
    indexed: bool = True
    session_cookies: frozenset[str] = frozenset({COOKIE})

    def carriers(self, facts: Facts) -> tuple[Carrier, ...]:
        found = []
        for name, value in facts.fields:
            if name == "authorization":
                found.append(_by_token(value) or read_authorization(value))
            elif name == "x-devpi-auth":
                found.append(_by_token(f"Basic {value}", name) or Carrier(name, decode_pair(value)))
        there, cookie = find_cookie(facts, COOKIE)
        if there:
            found.append(Carrier(f"cookie:{COOKIE}", _ticket(cookie)))
        if len({carrier.place for carrier in found}) != len(found):
            raise Refusal(Slug.MIXED_CREDENTIALS)
        return tuple(found)

    def carrier_fields(self) -> frozenset[str]:
        return frozenset({"authorization", "x-devpi-auth"})

    def present(self, credential: Credential) -> tuple[Field, ...]:
        return (("X-Devpi-Auth", encode_pair(credential)),)

    def renamed(self, facts: Facts) -> Mapping[str, str]:
        # devpi-tokens refuses the name that PyPI's clients send.
        value = facts.first("authorization")
        found = _by_token(value) if value else None
        if found is None or found.credential is None or not _basic_pair(value or "")[0]:
            return {}
        return {"authorization": basic_field(found.credential)}

    def with_secret(self, facts: Facts, carrier: Carrier, secret: str) -> Mapping[str, str]:
        assert carrier.credential is not None
        changed = Credential(carrier.credential.user, secret)
        if carrier.place == "authorization":
            return {"authorization": basic_field(changed)}
        if carrier.place == "x-devpi-auth":
            return {"x-devpi-auth": encode_pair(changed)}
        return {"cookie": replace_cookie(facts, COOKIE, quote(f"{changed.user}:{secret}"))}

    def own_fields(self, public_url: str, client: IPAddress | None) -> tuple[Field, ...]:
        # devpi strips the path of this address from the request's (OutsideURLMiddleware), so
        # it must never be the client's.
        return (("X-Outside-URL", public_url.rstrip("/")),)

    def password_check(self, credential: Credential) -> Call | None:
        if not _possible(credential):
            return None
        body = json.dumps({"user": credential.user, "password": credential.secret})
        return Call("POST", LOGIN, _JSON, body.encode("ascii"))

    def password_answer(self, credential: Credential, reply: UpstreamResponse) -> Issued | None:
        if reply.status == 401:
            return None
        issued = _proxy_auth(credential.user, reply, "proxyauth")
        if reply.status != 200 or issued is None:
            raise Refusal(Slug.UPSTREAM_BROKEN)
        return issued

    def acceptance_check(self, credential: Credential) -> Call | None:
        if not _possible(credential):
            return None
        return Call("GET", "/+api", (("accept", "application/json"), *self.present(credential)))

    def signed(self, secret: str) -> bool:
        return _TOKEN.fullmatch(secret) is not None

    def hands_over(self, secret: str) -> bool:
        return self.signed(secret) or _ACCESS_TOKEN.fullmatch(secret) is not None

    def acceptance_answer(self, credential: Credential, reply: UpstreamResponse) -> bool:
        if reply.status in (401, 403):
            return False
        result = (read_object(reply.body) or {}).get("result")
        status = result.get("authstatus") if isinstance(result, dict) else None
        if reply.status != 200 or not isinstance(status, list) or len(status) < 2:
            raise Refusal(Slug.UPSTREAM_BROKEN)
        return bool(status[0] == "ok" and status[1] == credential.user)

    def read_login(self, facts: Facts, body: bytes) -> Attempt | None:
        """JSON of devpi-client or the form of devpi-lockdown.

        At devpi Accept decides between them, and how depends on the order its plugins were
        loaded in. The body tells them apart without doubt, so it decides here; `login_call`
        then sends the one Accept that means the same.
        """
        fields = read_object(body)
        if fields is not None:
            user, password = text_of(fields.get("user")), text_of(fields.get("password"))
            return _attempt(user, password, False, "")
        form = read_form(facts, body)
        if form is None:
            return None
        named = dict(form)
        goto = local_path(query_value(facts.query, "goto_url")) or ""
        return _attempt(named.get("username", ""), named.get("password", ""), True, goto)

    def login_call(self, facts: Facts, attempt: Attempt) -> Call:
        user, secret = attempt.credential.user, attempt.credential.secret
        if not attempt.interactive:
            body = json.dumps({"user": user, "password": secret}).encode("ascii")
            return Call("POST", facts.target, _JSON, body)
        form = (("username", user), ("password", secret), ("submit", ""))
        return Call("POST", facts.target, _HTML, write_form(form))

    def login_answer(
        self, facts: Facts, attempt: Attempt, reply: UpstreamResponse
    ) -> tuple[Issued, ...]:
        user = attempt.credential.user
        issued = []
        if reply.status == 200 and (token := _proxy_auth(user, reply, "proxyauth")):
            issued.append(token)
        for header in reply.all("set-cookie"):
            cookie = read_set_cookie(header)
            if cookie.name != COOKIE or cookie.ends:
                continue
            handed = self.cookie_issued(header)
            if handed is None or handed.credential.user != user:
                raise Refusal(Slug.UPSTREAM_BROKEN)
            issued.append(handed)
        return tuple(issued)

    def handed_out(self, facts: Facts) -> tuple[str, ...]:
        texts = [unquote(value, "latin-1") for value in cookie_values(facts, COOKIE)]
        for name, value in facts.fields:
            if name == "x-devpi-auth":
                texts.append(loosely_decoded(value))
            elif name == "authorization":
                texts += [loosely_decoded(part) for part in value.split(maxsplit=1)[1:]]
        traces = (_trace(text.partition(":")[2]) for text in texts)
        return tuple(dict.fromkeys(trace for trace in traces if trace))

    def cookie_issued(self, set_cookie: str) -> Issued | None:
        cookie = read_set_cookie(set_cookie)
        credential = _ticket(cookie.value)
        if credential is None:
            return None
        return Issued(credential, cookie.max_age, _trace(credential.secret), clearing(set_cookie))

    def changes_password(self, facts: Facts) -> str | None:
        name = facts.path[1:]
        if not name or "/" in name or name.startswith("+"):
            return None
        return name if facts.method.upper() in ("PATCH", "DELETE") else None

    def fresh_credential(self, facts: Facts, reply: UpstreamResponse) -> tuple[bool, Issued | None]:
        user = self.changes_password(facts)
        if user is None or reply.status != 200:
            return False, None
        if facts.method.upper() == "DELETE":
            return True, None
        answer = read_object(reply.body)
        changed = answer is None or answer.get("type") == "userpassword"
        return changed, _proxy_auth(user, reply, "userpassword")

    def password_change(self, credential: Credential, new: str) -> Call:
        body = json.dumps({"password": new}).encode("ascii")
        fields = (*_JSON, *self.present(credential))
        return Call("PATCH", f"/{quote(credential.user, safe='')}", fields, body)

    def password_taken(self, reply: UpstreamResponse) -> bool:
        if reply.status == 400:
            return False
        if reply.status != 200 or (read_object(reply.body) or {}).get("type") != "userpassword":
            raise Refusal(Slug.UPSTREAM_BROKEN)
        return True

    def logs_out(self, method: str, path: str) -> bool:
        return method.upper() == "POST" and path == "/+logout"

    def makes_token(self, facts: Facts) -> bool:
        """`POST /alice/+token-create` of devpi-tokens."""
        parts = facts.path.strip("/").split("/")
        return facts.method.upper() == "POST" and len(parts) == 2 and parts[1] == "+token-create"

    def token_made(self, reply: UpstreamResponse) -> TokenName | None:
        answer = read_object(reply.body) or {}
        result = answer.get("result")
        if reply.status != 200 or answer.get("type") != "token-info":
            return None
        return self.token_name(text_of(result.get("token"))) if isinstance(result, dict) else None

    def token_name(self, secret: str) -> TokenName | None:
        return _token_name(secret, exact=True)

    def making_call(self, credential: Credential, grant: TokenGrant) -> Call:
        allowed = {right for action in grant.actions for right in _RIGHTS.get(action, ())}
        wanted: dict[str, object] = {
            "allowed": sorted(allowed),
            "expires": grant.expires,
        }
        for name, limits in (("indexes", grant.indexes), ("projects", grant.projects)):
            if limits:
                wanted[name] = list(limits)
        target = f"/{quote(credential.user, safe='')}/+token-create"
        fields = (*_JSON, *self.present(credential))
        return Call("POST", target, fields, json.dumps(wanted).encode("ascii"))

    def making_answer(self, reply: UpstreamResponse) -> str | None:
        if self.token_made(reply) is None:
            return None
        result = (read_object(reply.body) or {}).get("result")
        return text_of(result.get("token")) if isinstance(result, dict) else None

    def ending_call(self, credential: Credential, id: str) -> Call:
        target = f"/{quote(credential.user, safe='')}/+tokens/{quote(id, safe='')}"
        return Call("DELETE", target, (*_ACCEPT_JSON, *self.present(credential)))

    def ending_answer(self, reply: UpstreamResponse) -> bool:
        return reply.status in (200, 404)

    def unframed(self, target: str) -> str | None:
        """`…/{version}/+d/FILE` frames `…/{version}/+doc/FILE` (devpi-web)."""
        raw, mark, query = target.partition("?")
        segments = raw.split("/")
        if len(segments) < _FRAME + 2 or unquote_to_bytes(segments[_FRAME]) != b"+d":
            return None
        segments[_FRAME] = "+doc"
        return "/".join(segments) + mark + query

    def documentation_of(self, path: str) -> str | None:
        segments = path.split("/")
        if len(segments) < _FRAME + 2 or segments[_FRAME] != "+doc":
            return None
        return "/".join(segments[: _FRAME + 1])

    def beside_documentation(self, path: str) -> bool:
        first = path[1:].partition("/")[0]
        return path == "/favicon.ico" or first.startswith(("+static-", "+theme-static-"))

    def address_call(self, user: str) -> Call:
        return Call("GET", f"/{quote(user, safe='')}", _ACCEPT_JSON)

    def address_answer(self, reply: UpstreamResponse) -> str:
        """`{"type": "userconfig", "result": {"username": "alice", "email": "…"}}`."""
        if reply.status >= 500:
            raise Refusal(Slug.UPSTREAM_BROKEN)  # no answer is no absence: it is asked again
        result = (read_object(reply.body) or {}).get("result")
        if reply.status != 200 or not isinstance(result, dict):
            return ""
        return text_of(result.get("email"))

    def users_call(self) -> Call:
        return Call("GET", "/", _ACCEPT_JSON)

    def users_answer(self, reply: UpstreamResponse) -> tuple[str, ...]:
        answer = read_object(reply.body) or {}
        result = answer.get("result")
        listed = reply.status == 200 and answer.get("type") == "list:userconfig"
        if not listed or not isinstance(result, dict):
            raise Refusal(Slug.UPSTREAM_BROKEN)
        return tuple(result)

    def upload_address(self, facts: Facts) -> str:
        user, _, rest = facts.path[1:].partition("/")
        index, _, page = rest.partition("/")
        if user.startswith("+") or index.startswith("+"):  # a plugin's, for all we know
            return ""
        if not index:  # "/legacy/" and "/simple/" of other indexes are a user's page here
            named = [one.credential.user for one in self.carriers(facts) if one.credential]
            return f"/{quote(named[0], safe='')}/INDEX/" if named else "/USER/INDEX/"
        return f"/{quote(user)}/{quote(index)}/" if page == "+simple" else ""  # pip's address

    def act(self, facts: Facts) -> Act:
        method, path = facts.method.upper(), facts.path
        posts = method in ("POST", "PUSH")
        known = _act if len(path) <= _REMEMBERED else _act.__wrapped__
        return known(method, path, facts.content_type if posts else "")

    def project_check(self, index: str | None, project: str) -> Call:
        return Call("GET", f"/{index}/{project}?ignore_bases=", _ACCEPT_JSON)

    def project_answer(self, index: str | None, project: str, reply: UpstreamResponse) -> bool:
        """Before it knew `ignore_bases`, it told of what it inherits, too: only its own releases
        link to files of its own."""
        result = (read_object(reply.body) or {}).get("result")
        if reply.status != 200 or not index or not isinstance(result, dict):
            return False
        releases = [each for each in result.values() if isinstance(each, dict)]
        links = [link for each in releases for link in each.get("+links") or ()]
        addresses = [text_of(link.get("href")) for link in links if isinstance(link, dict)]
        return any(f"/{index}/+f/" in address for address in addresses)

    def file_project(self, filename: str) -> str | None:
        return None

    def file_at(self, path: str) -> str:
        parts = path.split("/")
        there = len(parts) > _FILE_PARTS and parts[3] in ("+f", "+e")
        return "" if not there or parts[-1].endswith(".metadata") else parts[-1]

    def addresses(self, index: str) -> Addresses:
        place = f"/{quote(index)}/"
        return Addresses(place, f"{place}+simple/")

    def refusal_fields(self) -> tuple[Field, ...]:
        # devpi-client warns of a reply without it.
        return _API_VERSION


@lru_cache(maxsize=8192)
def _act(method: str, path: str, content_type: str) -> Act:
    parts = path.strip("/").split("/")
    owned = len(parts) > 1 and not parts[0].startswith("+") and not parts[1].startswith("+")
    index = "/".join(parts[:2]) if owned else None
    if method in ("GET", "HEAD", "OPTIONS"):
        if parts[-1] == "+api" or parts[0].startswith(_LOOKED_AT):
            return Act(Action.LOOK, index)
        project = _project_read(parts[2:]) if owned else None
        unclear = owned and project is None and parts[2:] not in _LISTINGS
        return Act(Action.READ, index, project, unclear=unclear)
    if owned and method in ("POST", "PUSH") and len(parts) == 2:
        if content_type in ("multipart/form-data", FORM):
            return Act(Action.UPLOAD, index, by_form=True)
        if content_type == "text/xml":  # a search
            return Act(Action.READ, index, by_xml=True)
        return Act(Action.MANAGE, index, unclear=True)  # a push: its JSON names the project
    project = _project_read(parts[2:]) if owned else None
    if owned and method == "POST" and parts[2] == "+f":  # test results
        return Act(Action.UPLOAD, index, project, unclear=project is None)
    if not owned:
        return Act(Action.ACCOUNT, index, unclear=True)
    return Act(Action.MANAGE, index, unclear=project is None, managed=project)


def _possible(credential: Credential) -> bool:
    """Whether somebody may be called that: of a name with a slash it makes a path, and fails."""
    return travels(credential) and "/" not in credential.user


def _by_token(value: str, place: str = "authorization") -> Carrier | None:
    """A token of devpi-tokens that comes without the name of its owner: as Bearer, in the place
    of the name, or with the name that PyPI's clients send. It says itself whose it is."""
    bearer = _BEARER.fullmatch(value)
    user, secret = ("", bearer[1]) if bearer else _basic_pair(value)
    if user and not secret:
        user, secret = "", user
    if user not in ("", TOKEN_USER) or not _ACCESS_TOKEN.fullmatch(secret):
        return None
    name = _token_name(secret)
    return Carrier(place, Credential(name.user, secret)) if name else None


def _token_name(secret: str, *, exact: bool = False) -> TokenName | None:
    if not _ACCESS_TOKEN.fullmatch(secret):
        return None
    identifier = identifier_of(secret.removeprefix("devpi-"), exact=exact) or ""
    owner, mark, id = identifier.rpartition("-")
    return TokenName(owner, id) if mark and owner else None


def _basic_pair(value: str) -> tuple[str, str]:
    """The name and the secret in HTTP Basic, one of which may be missing."""
    match = _BASIC.fullmatch(value)
    try:
        text = base64.b64decode(match[1], validate=True).decode() if match else ""
    except ValueError:
        return "", ""
    user, _, secret = text.partition(":")
    return user, secret


def _project_read(parts: list[str]) -> str | None:
    """The project that an address below an index is about."""
    if parts[:1] == ["+simple"]:
        parts = parts[1:]
    if not parts:
        return None
    if parts[0] in ("+f", "+e"):
        found = projects_of(parts[-1])
        return found[0] if len(found) == 1 else None
    return normalised(parts[0]) if is_name(parts[0]) else None


def _attempt(user: str, password: str, interactive: bool, goto: str) -> Attempt | None:
    if not user or not password:
        return None
    return Attempt(Credential(user, password), interactive, goto)


def _proxy_auth(user: str, reply: UpstreamResponse, kind: str) -> Issued | None:
    """The login token in an answer of devpi, with its life in seconds."""
    answer = read_object(reply.body) or {}
    result = answer.get("result")
    if answer.get("type") != kind or not isinstance(result, dict):
        return None
    token, life = text_of(result.get("password")), result.get("expiration")
    if not token:
        return None
    lifetime = float(life) if isinstance(life, int) else None
    return Issued(Credential(user, token), lifetime, _trace(token))


def _trace(secret: str) -> str:
    """The signed part of a login token, "" for anything else: the signature behind it can be
    written in several ways (stray bits, characters that base64 passes over)."""
    return secret.rpartition(".")[0] if secret.startswith('["') else ""


def _ticket(cookie: str | None) -> Credential | None:
    """The credential in a value of devpi-lockdown's cookie: quote("user:token")."""
    if cookie is None:
        return None
    try:
        return split_pair(unquote_to_bytes(cookie).decode("utf-8", "strict"))
    except ValueError:
        return None

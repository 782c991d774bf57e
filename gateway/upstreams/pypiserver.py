"""pypiserver: Basic on each request, no login page, no session, no token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.tokens.projects import is_name, normalised, wheel_project
from gateway.core.upstream import (
    Act,
    Action,
    Addresses,
    Attempt,
    Call,
    Carrier,
    Credential,
    Issued,
    UpstreamResponse,
)
from gateway.upstreams.bodies import FORM, write_form
from gateway.upstreams.carriers import basic_field, read_authorization, travels

# Does nothing at pypiserver but is authenticated as an upload is; needs `update` in its -a.
_VERIFY: Final = write_form(((":action", "verify"),))

_LONGEST_NAME: Final = 255  # bytes, of a name in a htpasswd file

# As its pkg_helpers has them: what ends the name of a file, and where a version begins.
_SUFFIX: Final = re.compile(
    r"(\.zip|\.tar\.gz|\.tgz|\.tar\.bz2|\.tar\.xz|-py[23]\.\d-.*|"
    r"\.win-amd64-py[23]\.\d\..*|\.win32-py[23]\.\d\..*|\.egg)$",
    re.IGNORECASE,
)
_VERSION: Final = re.compile(r"-\d+[a-z_.!+]", re.IGNORECASE)


class Pypiserver:
    """The adapter; it keeps nothing."""

    kind: str = "pypiserver"
    cuts_base: bool = False
    tells_anyway: bool = False
    takes_tokens: bool = True
    logs_in: bool = False
    indexed: bool = False
    session_cookies: frozenset[str] = frozenset()

    def carriers(self, facts: Facts) -> tuple[Carrier, ...]:
        found = [read_authorization(v) for name, v in facts.fields if name == "authorization"]
        if len(found) > 1:
            raise Refusal(Slug.MIXED_CREDENTIALS)
        return tuple(found)

    def carrier_fields(self) -> frozenset[str]:
        return frozenset({"authorization"})

    def present(self, credential: Credential) -> tuple[Field, ...]:
        return (("Authorization", basic_field(credential)),)

    def renamed(self, facts: Facts) -> Mapping[str, str]:
        return {}

    def with_secret(self, facts: Facts, carrier: Carrier, secret: str) -> Mapping[str, str]:
        assert carrier.credential is not None
        return {"authorization": basic_field(Credential(carrier.credential.user, secret))}

    def own_fields(self, public_url: str, client: IPAddress | None) -> tuple[Field, ...]:
        # It builds absolute links from Host, which passes unchanged, and from these; the path of
        # its own address it knows from the end of X-Forwarded-Host alone. Waitress, its usual
        # server, drops this field; then pypiserver reads Host in the same way.
        scheme, _, rest = public_url.partition("://")
        fields = [("X-Forwarded-Proto", scheme)]
        if "/" in rest:
            fields += [("X-Forwarded-Host", rest), ("Host", rest)]
        return tuple(fields)

    def password_check(self, credential: Credential) -> Call | None:
        # passlib raises on a longer name, and pypiserver then answers 500.
        if not travels(credential) or len(credential.user.encode()) > _LONGEST_NAME:
            return None
        return Call("POST", "/", (("content-type", FORM), *self.present(credential)), _VERIFY)

    def password_answer(self, credential: Credential, reply: UpstreamResponse) -> Issued | None:
        if reply.status == 200:
            return Issued(credential, None)
        if reply.status in (401, 403):
            return None
        raise Refusal(Slug.UPSTREAM_BROKEN)

    def acceptance_check(self, credential: Credential) -> Call | None:
        return self.password_check(credential)

    def signed(self, secret: str) -> bool:
        return False

    def hands_over(self, secret: str) -> bool:
        return False

    def acceptance_answer(self, credential: Credential, reply: UpstreamResponse) -> bool:
        return self.password_answer(credential, reply) is not None

    def read_login(self, facts: Facts, body: bytes) -> Attempt | None:
        return None

    def login_call(self, facts: Facts, attempt: Attempt) -> Call:
        raise Refusal(Slug.UNREADABLE_LOGIN)

    def login_answer(
        self, facts: Facts, attempt: Attempt, reply: UpstreamResponse
    ) -> tuple[Issued, ...]:
        return ()

    def handed_out(self, facts: Facts) -> tuple[str, ...]:
        return ()

    def cookie_issued(self, set_cookie: str) -> Issued | None:
        return None

    def changes_password(self, facts: Facts) -> str | None:
        return None

    def fresh_credential(self, facts: Facts, reply: UpstreamResponse) -> tuple[bool, Issued | None]:
        return False, None

    def logs_out(self, method: str, path: str) -> bool:
        return False

    def upload_address(self, facts: Facts) -> str:
        return "" if facts.path.upper() in ("/", "/RPC2") else "/"

    def act(self, facts: Facts) -> Act:
        method, parts = facts.method.upper(), facts.path.strip("/").split("/")
        if method == "POST":
            if parts == [""]:
                return Act(Action.UPLOAD, "", by_form=True)
            search = parts == ["RPC2"]
            return Act(Action.READ if search else Action.MANAGE, "", unclear=not search)
        if method not in ("GET", "HEAD", "OPTIONS"):
            return Act(Action.MANAGE, "", unclear=True)
        if parts[0] == "packages" and len(parts) > 1:
            project = self.file_project(parts[-1])
            return Act(Action.READ, "", project, unclear=project is None)
        named = parts[1] if parts[0] == "simple" and len(parts) > 1 else parts[0]
        listing = named in ("", "simple", "packages")
        project = normalised(named) if is_name(named) and not listing else None
        return Act(Action.READ, "", project, unclear=project is None and not listing)

    def project_check(self, index: str | None, project: str) -> Call:
        return Call("GET", f"/simple/{project}/")

    def project_answer(self, index: str | None, project: str, reply: UpstreamResponse) -> bool:
        return reply.status == 200

    def file_project(self, filename: str) -> str | None:
        """What its `guess_pkgname_and_version` says of a file's name, whether a project can be
        called that or not; None for what it takes for no package, and for a wheel that PEP 427
        would name otherwise."""
        if "/" in filename or "\\" in filename:
            return None
        if filename.endswith(".asc"):
            filename = filename.rstrip(".asc")  # so does pypiserver, be it meant or not
        if filename.endswith(".whl"):
            return wheel_project(filename)
        stem = _SUFFIX.sub("", filename)
        if stem == filename:
            return None
        if stem.count("-") <= 1:
            name = stem.split("-")[0]
        elif "." not in stem:
            name = stem.rsplit("-", 1)[0]
        else:
            name = _VERSION.split(stem)[0]
        return normalised(name)

    def file_at(self, path: str) -> str:
        return path.rpartition("/")[2] if path.startswith("/packages/") else ""

    def addresses(self, index: str) -> Addresses:
        return Addresses("/", "/simple/")

    def refusal_fields(self) -> tuple[Field, ...]:
        return ()

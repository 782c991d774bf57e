"""The port to one kind of index server: where credentials sit and how a login looks.

An adapter reads and builds messages. It does no I/O and knows no factors: it is a translator
between the upstream's habits and the words of `gateway.core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Credential:
    """What the upstream accepts as proof of a person: a name with a password or a token.

    user: as the upstream writes it; "" for an opaque session cookie that names nobody.
    """

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A header or cookie of a request in which an upstream credential travels.

    place: the lower-case header name, or "cookie:" and the cookie's name.
    credential: None when it cannot be read (a foreign scheme, an empty user name); such a
        carrier is never verified.
    """

    place: str
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential the upstream handed out, with the time it lives in seconds (None: unknown).

    trace: what all spellings of it have in common that the upstream takes, so that it is found
        again when it has ended; "" for what is never looked for (a password).
    clear: the Set-Cookie value that takes it out of a browser, "" where it came in no cookie.
    """

    credential: Credential
    lifetime: float | None
    trace: str = field(default="", repr=False)
    clear: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A small request of the gateway's own to the upstream."""

    method: str
    target: str
    fields: tuple[Field, ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A whole small answer of the upstream."""

    status: int
    fields: tuple[Field, ...]
    body: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Asking(Protocol):
    """Who carries calls to the upstream."""

    async def ask(self, call: Call, fields: tuple[Field, ...] = ()) -> UpstreamResponse:
        """Send a call and read the whole answer. Never follows a redirect.

        Args:
            fields: more header fields; one that the call names itself is left out.

        Raises:
            Refusal: `upstream_unreachable`, `upstream_timeout`, `upstream_broken`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login as the client sent it to the upstream's own login route.

    interactive: a form in a browser (the answer may lead to pages); False for JSON.
    goto: where the upstream would send the browser afterwards, "" if nowhere.
    extra: what else the form held, in order (a CSRF token of the upstream's, say).
    """

    credential: Credential
    interactive: bool
    goto: str = ""
    extra: tuple[Field, ...] = field(default=(), repr=False)


class Action(StrEnum):
    """What a request does.

    LOOK: what a program asks before it does anything, and what tells nothing of projects.
    MANAGE: index settings, deletions, and whatever is none of the others.
    ACCOUNT: a person's account, password and tokens.
    """

    LOOK = "look"
    READ = "read"
    UPLOAD = "upload"
    MANAGE = "manage"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Act:
    """What a request is about, as far as its head tells.

    index: "user/name"; "" where the server is one index; None for none in particular.
    project: normalised; None for none in particular, and where it cannot be told for certain.
    unclear: it is about a project, or may be, and which one cannot be told.
    managed: the project that a change is made to which is no upload; normalised.
    by_form: the form in its body tells the project, and whether it is an upload at all.
    by_xml: it is this only if its body is XML, as its Content-Type says.
    """

    action: Action
    index: str | None = None
    project: str | None = None
    by_form: bool = False
    by_xml: bool = False
    unclear: bool = False
    managed: str | None = None

    @property
    def named(self) -> str:
        """The project that its head names, "" for none."""
        return self.project or self.managed or ""


class Addresses(NamedTuple):
    """Addresses of one index, as paths below the public one."""

    upload: str
    simple: str


class Upstream(Protocol):
    """One kind of index server."""

    kind: str
    cuts_base: bool
    """It takes the path of the public address off requests itself, so that they are sent with it:
    taken off twice it would be another path."""
    tells_anyway: bool
    """Where it asks for no password, its answers tell a right one from a wrong one all the same."""
    takes_tokens: bool
    """Whether a name and password in each request are all it needs, so that an API token can
    stand for them."""
    logs_in: bool
    """Whether anybody logs in there, so that a request may carry what a login has handed out; else
    each has the password itself."""
    indexed: bool
    """Whether it holds many indexes, each "user/name"."""
    session_cookies: frozenset[str]
    """Cookies whose setting, by any answer, counts as a login."""

    def carriers(self, facts: Facts) -> tuple[Carrier, ...]:
        """Every credential carrier of the request.

        Whatever the upstream might take for a credential is a carrier. One that can be read in
        more than one way has no credential, so it is never verified.

        Raises:
            Refusal: `mixed_credentials` when one carrier appears twice.
        """
        ...

    def carrier_fields(self) -> frozenset[str]:
        """Lower-case names of the header fields that carry credentials (cookies aside)."""
        ...

    def present(self, credential: Credential) -> tuple[Field, ...]:
        """The header fields in which the gateway itself presents a credential."""
        ...

    def renamed(self, facts: Facts) -> Mapping[str, str]:
        """Header fields to replace so that it takes a token of its own that came by another name
        than it wants; nothing for most requests."""
        ...

    def with_secret(self, facts: Facts, carrier: Carrier, secret: str) -> Mapping[str, str]:
        """Header fields to replace so that `carrier` carries `secret` instead (a code cut off).

        Only for a carrier whose credential was read.
        """
        ...

    def own_fields(self, public_url: str, client: IPAddress | None) -> tuple[Field, ...]:
        """Header fields the gateway sets on every request (X-Outside-URL, X-Forwarded-…)."""
        ...

    def password_check(self, credential: Credential) -> Call | None:
        """A harmless call whose answer tells whether a password is right; None for a name or a
        password that cannot be sent as it is, or that nobody can have there."""
        ...

    def password_answer(self, credential: Credential, reply: UpstreamResponse) -> Issued | None:
        """Read that answer: the credential to use from now on, or None when refused.

        Raises:
            Refusal: `upstream_broken` for an answer that is neither.
        """
        ...

    def acceptance_check(self, credential: Credential) -> Call | None:
        """A harmless call whose answer tells whether the upstream accepts a credential of any
        sort (a token too); None where this kind has no such call, and as above."""
        ...

    def signed(self, secret: str) -> bool:
        """Whether it can only be a token that the upstream has signed, and never a password:
        one that has ended, which a client still sends, is no guess."""
        ...

    def hands_over(self, secret: str) -> bool:
        """Whether it is a token that the upstream hands out, however it is made, so that it is
        asked whether it accepts it and not whether it is a password."""
        ...

    def acceptance_answer(self, credential: Credential, reply: UpstreamResponse) -> bool:
        """Read that answer.

        Raises:
            Refusal: `upstream_broken` for an answer that is neither.
        """
        ...

    def read_login(self, facts: Facts, body: bytes) -> Attempt | None:
        """Read a request to the upstream's own login route; None if it is no login that can
        be read in exactly one way."""
        ...

    def login_call(self, facts: Facts, attempt: Attempt) -> Call:
        """The login written anew from what was read of it, so that the upstream can read
        nothing else. Client fields that do not matter to it are the caller's to add."""
        ...

    def login_answer(
        self, facts: Facts, attempt: Attempt, reply: UpstreamResponse
    ) -> tuple[Issued, ...]:
        """Every credential in the upstream's answer to a login; empty when it refused."""
        ...

    def handed_out(self, facts: Facts) -> tuple[str, ...]:
        """The traces (`Issued.trace`) of everything in a request that one of its logins may have
        handed out, however it is spelled. Nothing for a password.

        It may find what is none: a trace that nobody knows means nothing.

        Raises:
            Refusal: `mixed_credentials` for more of them than anybody sends.
        """
        ...

    def cookie_issued(self, set_cookie: str) -> Issued | None:
        """What a Set-Cookie of a session cookie hands out; None if it cannot be read."""
        ...

    def changes_password(self, facts: Facts) -> str | None:
        """The user whose password this request may change (or whose account it may end),
        None if it cannot."""
        ...

    def fresh_credential(self, facts: Facts, reply: UpstreamResponse) -> tuple[bool, Issued | None]:
        """Whether the answer says so, and the credential it handed out."""
        ...

    def logs_out(self, method: str, path: str) -> bool:
        """Whether a request to a canonical path ends the upstream's own browser session."""
        ...

    def upload_address(self, facts: Facts) -> str:
        """Where an upload belongs that was sent to a path at which this kind certainly takes none;
        "" where it may take one or do something else. As a path, with USER and INDEX for what
        nobody has said."""
        ...

    def act(self, facts: Facts) -> Act:
        """What a request is about; what is not plainly less is MANAGE."""
        ...

    def project_check(self, index: str | None, project: str) -> Call:
        """A harmless call whose answer tells whether an index has a (normalised) project."""
        ...

    def project_answer(self, index: str | None, project: str, reply: UpstreamResponse) -> bool:
        """Read that answer: whether it certainly has it, of its own and not from another."""
        ...

    def file_project(self, filename: str) -> str | None:
        """The (normalised) project it would file an uploaded file under, None where it takes that
        from the form."""
        ...

    def addresses(self, index: str) -> Addresses:
        """Where programs upload to an index, and where installers look.

        Args:
            index: "user/name"; "" where `indexed` is false.
        """
        ...

    def refusal_fields(self) -> tuple[Field, ...]:
        """Fields its command-line client expects on the gateway's own JSON replies."""
        ...


@runtime_checkable
class Listing(Protocol):
    """A kind of index server that tells who its users are."""

    def users_call(self) -> Call:
        """A harmless call that lists them."""
        ...

    def users_answer(self, reply: UpstreamResponse) -> tuple[str, ...]:
        """Read that answer.

        Raises:
            Refusal: `upstream_broken` for one that is no list of users.
        """
        ...


class TokenName(NamedTuple):
    """What a token of an index server's own says of itself; nothing of it is proven."""

    user: str
    id: str


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What such a token is to be good for. Empty: everywhere, for all of them.

    projects: names, no patterns. expires: seconds since the epoch.
    """

    actions: tuple[Action, ...]
    indexes: tuple[str, ...]
    projects: tuple[str, ...]
    expires: int


@runtime_checkable
class TokenMaking(Protocol):
    """A kind of index server that makes API tokens of its own."""

    def makes_token(self, facts: Facts) -> bool:
        """Whether a request asks for one."""
        ...

    def token_made(self, reply: UpstreamResponse) -> TokenName | None:
        """Read the answer to that; None where none was made."""
        ...

    def token_name(self, secret: str) -> TokenName | None:
        """Which of them a secret says it is, narrowed or not; None for what is none."""
        ...

    def making_call(self, credential: Credential, grant: TokenGrant) -> Call:
        """The call that makes one for the owner of a credential."""
        ...

    def making_answer(self, reply: UpstreamResponse) -> str | None:
        """Read that answer: the token; None where none was made."""
        ...

    def ending_call(self, credential: Credential, id: str) -> Call:
        """The call that deletes one of the owner of a credential."""
        ...

    def ending_answer(self, reply: UpstreamResponse) -> bool:
        """Whether it is gone now."""
        ...


@runtime_checkable
class Addressing(Protocol):
    """A kind of index server that knows where mail to its users goes."""

    def address_call(self, user: str) -> Call:
        """A harmless call whose answer has the address of a user."""
        ...

    def address_answer(self, reply: UpstreamResponse) -> str:
        """Read that answer: what the user wrote there, "" for nothing.

        Raises:
            Refusal: `upstream_broken` for a failure, which says nothing of the address.
        """
        ...


@runtime_checkable
class ChangingPasswords(Protocol):
    """A kind of index server at which people change their own passwords."""

    def password_change(self, credential: Credential, new: str) -> Call:
        """The call that gives the owner of a credential a new password."""
        ...

    def password_taken(self, reply: UpstreamResponse) -> bool:
        """Whether it has the new password; False where it does not like it.

        Raises:
            Refusal: `upstream_broken` for an answer that says neither.
        """
        ...


@runtime_checkable
class Filing(Protocol):
    """A kind of index server at whose addresses files can be told from pages."""

    def file_at(self, path: str) -> str:
        """The name of the file at a canonical path, "" where none is."""
        ...


@runtime_checkable
class Documenting(Protocol):
    """A kind of index server that serves uploaded documentation, in a frame of its own page."""

    def unframed(self, target: str) -> str | None:
        """The target of what a page with a frame shows in it, None for other targets."""
        ...

    def documentation_of(self, path: str) -> str | None:
        """Which documentation a canonical path is a file of: the path all its files are below."""
        ...

    def beside_documentation(self, path: str) -> bool:
        """Whether its page with the frame needs what is at a canonical path (scripts, styles)."""
        ...

"""What is known of one request, made once. Nothing later looks at the raw request to decide."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
Field: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """One request as the gateway understands it.

    method: as sent, case-sensitive (RFC 9110 section 9.1).
    target: the raw request target, forwarded untouched.
    path: the canonical path, see `gateway.core.http.path`.
    query: what follows the first "?", raw.
    fields: every header field in order, name lower-cased, value latin-1 decoded and stripped.
    client: the address of the client; None for a peer without one (a unix socket with no
        trusted proxy in front).
    """

    method: str
    target: str
    path: str
    query: str
    fields: tuple[Field, ...]
    client: IPAddress | None

    def first(self, name: str) -> str | None:
        """The value of the first field of that lower-case name."""
        for key, value in self.fields:
            if key == name:
                return value
        return None

    def joined(self, name: str) -> str:
        """A list that may be spread over several fields of that lower-case name, in their order
        (RFC 9110 section 5.3); "" when there is none."""
        return ", ".join(value for key, value in self.fields if key == name)

    @property
    def content_type(self) -> str:
        """The media type, lower-cased, without parameters; "" when there is none."""
        return (self.first("content-type") or "").partition(";")[0].strip().lower()

    @property
    def plain_media_type(self) -> bool:
        """Whether the media type is spelled as everybody spells it.

        devpi (webob) takes a form in `Text/Plain` or `text/plain ;` for none, and reads JSON.
        """
        return (self.first("content-type") or "").partition(";")[0] == self.content_type

    @property
    def navigates(self) -> bool:
        """Whether a person looks at the answer in a browser (Fetch Metadata).

        Accept does not tell: pip's contains text/html.
        """
        return self.first("sec-fetch-mode") == "navigate"

    @property
    def safe(self) -> bool:
        """Whether the method is safe (RFC 9110 section 9.2.1)."""
        return self.method in ("GET", "HEAD", "OPTIONS")

    @property
    def user_agent(self) -> str:
        return (self.first("user-agent") or "")[:300]

"""What is wrong with a head that the grammar does not take, in words; asked after the grammar.

Names the fault and where it stands, never a value: that may be a credential.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _
from gateway.proxy.http1.syntax import TCHAR, VALUE

_NAME: Final = re.compile(TCHAR + rb"++")
_VALUE: Final = re.compile(VALUE)
_BLANKS: Final = b" \t"
_LONGEST_NAME: Final = 40
_LINE: Final = re.compile(rb"[^ ]* [^ ]* HTTP/[0-9]+(?:\.[0-9]+)?")


def refuse(why: str, fix: str = "") -> Refusal:
    """A `bad_request` of which `why` is said, and `fix` instead of the usual hint."""
    return (
        Refusal(Slug.BAD_REQUEST, why=why, fix=fix) if fix else Refusal(Slug.BAD_REQUEST, why=why)
    )


def doubled(name: bytes) -> str:
    """What to do about a field that may be there only once."""
    if name == b"cookie":
        return _(
            "Send one; a proxy in front has to join several with '; ' (RFC 9113 section 8.2.3)."
        )
    return _("Send just one: servers do not agree on which of several counts.")


def field_fault(block: bytes) -> str:
    """Why the fields of a head do not follow the grammar (RFC 9112 section 5).

    Args:
        block: each field "\\n", name, ":", value, "\\r", but for what is wrong with it.
    """
    for number, line in enumerate(block[1:-1].split(b"\r\n"), 1):
        fault = _line_fault(line)
        if fault:
            return _("field {number} {fault}", number=number, fault=fault)
    return _("its header fields do not follow the grammar")


def _line_fault(line: bytes) -> str:
    if b"\n" in line:
        return _("ends in a bare line feed")
    if b"\r" in line:
        return _("has a bare carriage return")
    if line[:1] in (b" ", b"\t"):
        return _("is folded onto a second line")
    name, mark, value = line.partition(b":")
    if not mark:
        return _("has no colon")
    if name.rstrip(_BLANKS) != name:
        return _("has a blank before its colon")
    if not _NAME.fullmatch(name):
        return _("has no name that can be one")
    if not _VALUE.fullmatch(value):
        return _(
            "({name}) has a control character in its value", name=name[:_LONGEST_NAME].decode()
        )
    return ""


def line_fault(line: bytes) -> tuple[str, str]:
    """Why a first line does not follow the grammar, and what to do (RFC 9112 section 3)."""
    if line[:1] == b"\x16":
        return _("it speaks TLS, and this address does not"), _(
            "Use http:// here, or the https address."
        )
    if line == b"PRI * HTTP/2.0":
        return _("it speaks HTTP/2 without having asked"), _("Use HTTP/1.1.")
    if b"\n" in line:
        return _("its first line ends in a bare line feed"), ""
    if line.count(b" ") == 1:
        return _("its first line names no version"), ""
    if line.count(b" ") > 2 or b"\t" in line:
        return _("its first line has blanks that do not belong there"), ""
    if _LINE.fullmatch(line) and not line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return _("its version of HTTP is not spoken here"), _("Use HTTP/1.1.")
    if not _NAME.fullmatch(line.partition(b" ")[0]):
        return _("its method is not a word"), ""
    return _("its first line does not follow the grammar"), ""

"""Templates to bytes. Jinja2 is imported when the first page is made, not at start-up."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core import urls
from gateway.core.errors import Refusal
from gateway.web import assets, words

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = Path(__file__).parent / "templates"
_LOCAL: Final = re.compile(r' (?:href|src|action|data-options)="(?=/)')


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        asset=assets.address,
        at=urls,
        factor_names=words.FACTORS,
        sentence=lambda slug: Refusal(slug).text,
    )
    found.filters.update(
        moment=words.moment, moment_iso=words.moment_iso, groups=words.groups, many=words.many
    )
    return found


def render(template: str, public_path: str, /, **values: object) -> bytes:
    """One page. Every name a template uses must be given (StrictUndefined).

    Args:
        public_path: what stands in front of every local address. Text cannot look like an
            attribute: autoescape leaves no quotation mark in it.
    """
    page = _environment().get_template(template).render(**values)
    return (_LOCAL.sub(rf"\g<0>{public_path}", page) if public_path else page).encode()

"""Templates to bytes. Jinja2 is imported when the first page is made, not at start-up."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core import addresses
from gateway.core.errors import Refusal
from gateway.web import assets, words

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = Path(__file__).parent / "templates"


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
        at=addresses,
        factor_names=words.FACTORS,
        sentence=lambda slug: Refusal(slug).text,
    )
    found.filters.update(
        moment=words.moment, moment_iso=words.moment_iso, groups=words.groups, many=words.many
    )
    return found


def render(template: str, **values: object) -> bytes:
    """One page. Every name a template uses must be given (StrictUndefined)."""
    return _environment().get_template(template).render(**values).encode()

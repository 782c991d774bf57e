"""A QR code as inline SVG, so the page needs no image and no script."""

from __future__ import annotations

from html import escape
from io import BytesIO


def svg(text: str, label: str) -> str:
    """The markup, safe to insert: segno writes only numbers and the (escaped) label.

    Black on white whatever the colour scheme: many cameras do not read inverted codes
    (ISO/IEC 18004 leaves reflectance reversal optional).
    """
    import segno

    out = BytesIO()
    segno.make(text, error="m", micro=False).save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        svgclass="qr",
        lineclass=None,
        light="#fff",
        dark="#000",
        border=4,
        omitsize=True,
        nl=False,
    )
    markup = out.getvalue().decode()
    return markup.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)

"""Pictures as small as they may be: charts as SVG without what says nothing, PNG with a palette."""

from __future__ import annotations

import base64
import binascii
import io
import re

from opsnb.view.compact_svg import compacted

SMALL = 8_000
"""Bytes of a PNG that are not worth making fewer."""
LARGEST = 400_000
"""Bytes of a picture that a page shows."""
_WIDEST = 1600
_MOST_PIXELS = 25_000_000
_COLOURS = 64

_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_OF_MATPLOTLIB = '<g id="figure_'
"""In a drawing as matplotlib writes it; opsnb records its own charts compacted."""


def small_drawings(html: str) -> str:
    """Return HTML in which drawings of matplotlib look the same and are smaller."""
    if _OF_MATPLOTLIB not in html:
        return html
    return _DRAWING.sub(lambda drawing: compacted(drawing[0]), html)


def embedded(mime: str, data: str) -> str:
    """Return a picture of a notebook, in base64, as the address of an image; empty if too large.

    A PNG that cannot be read stays as it is.
    """
    try:
        content = base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        return ""
    if mime == "image/png" and len(content) > SMALL:
        content = _with_palette(content)
    if not content or len(content) > LARGEST:
        return ""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _with_palette(content: bytes) -> bytes:
    """Return a PNG with few colours, at most as wide as a page needs; empty if it is damaged."""
    from PIL import Image  # noqa: PLC0415 - late: charts of opsnb are SVG

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return b""
            picture.thumbnail((_WIDEST, 4 * _WIDEST))
            few = picture.convert("RGBA").quantize(_COLOURS, Image.Quantize.FASTOCTREE)
            written = io.BytesIO()
            few.save(written, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""
    return min(written.getvalue(), content, key=len)

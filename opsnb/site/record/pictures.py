"""Pictures as small as they may be: charts as SVG without what says nothing, PNG with a palette."""

from __future__ import annotations

import base64
import binascii
import io
import re

SMALL = 8_000
"""Bytes of a PNG that are not worth making fewer."""
LARGEST = 400_000
"""Bytes of a picture that a page shows."""
_WIDEST = 1600
_MOST_PIXELS = 25_000_000
_COLOURS = 64

_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
# matplotlib groups and names everything, and repeats its fonts on every word.
_STYLE = re.compile(r"<defs>\s*<style[^>]*>\*\{[a-z:; -]*\}</style>\s*</defs>")
_FONTS = re.compile(r"font-family: [^;\"]*;? ?")
_INVISIBLE = re.compile(r'<path d="[^"]*" style="fill: none"/>')
_UNTURNED = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
_NAME = re.compile(r' id="([^"]*)"')
_USED = re.compile(r'(?:href="|url\()#([^")]*)')
_NESTED = 12  # groups within each other
_GROUP = re.compile(r"<g>\s*((?:<(?!/?g\b)[^>]*>|[^<])*?)\s*</g>")
_COORDINATES = re.compile(r' (?:d|x|y|x1|x2|y1|y2|width|height|transform|points)="[^"]*"')
_DECIMALS = re.compile(r"(-?\d+)\.(\d)(\d+)")
_BETWEEN = re.compile(r">\s+<")
_BESIDE = re.compile(r" ?([A-Za-z]) (?=[-\d])| (?=\")")
_SPACES = re.compile(r"\s+")


def small_drawings(html: str) -> str:
    """Return HTML whose SVG looks the same and is smaller."""
    return _DRAWING.sub(_small, html)


def _small(match: re.Match[str]) -> str:
    svg = _INVISIBLE.sub("", _UNTURNED.sub("", _STYLE.sub("", match[0])))
    used = set(_USED.findall(svg))
    svg = _NAME.sub(lambda name: name[0] if name[1] in used else "", svg)
    svg = _BETWEEN.sub("><", _COORDINATES.sub(_rounded, _FONTS.sub("", svg)))
    for _ in range(_NESTED):
        before, svg = svg, _GROUP.sub(r"\1", svg)
        if svg == before:
            break
    return svg


def _rounded(match: re.Match[str]) -> str:
    rounded = _SPACES.sub(" ", _DECIMALS.sub(_to_a_tenth, match[0]))
    return " " + _BESIDE.sub(r"\1", rounded[1:])


def _to_a_tenth(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.1f}"
    return text.removesuffix(".0")


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

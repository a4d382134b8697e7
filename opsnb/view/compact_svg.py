"""SVG that looks the same and is smaller."""

from __future__ import annotations

import re

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


def compacted(svg: str) -> str:
    """Return an SVG of matplotlib without what draws nothing, and to a tenth of a point."""
    svg = _INVISIBLE.sub("", _UNTURNED.sub("", _STYLE.sub("", svg)))
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

"""Inline styles that a page repeats, such as those of a chart's every line, as classes."""

from __future__ import annotations

import re
from collections import Counter

from markupsafe import Markup

_OFTEN = 3
_STYLED = re.compile(r' style="([^"]*)"')
# In a style sheet, other characters could end a rule. A tag with a class keeps its style.
_TAG = re.compile(
    r'<([a-z]+)((?: (?!class=|style=)[a-z][a-z:-]*="[^"]*")*) style="([a-zA-Z0-9#.,:;%() -]*)"'
    r'((?: (?!class=)[a-z][a-z:-]*="[^"]*")*)(/?>)'
)
_SPACES = re.compile(r"(?<=[:;,]) | (?=[:;,])")


def shared(html: str) -> tuple[Markup, Markup]:
    """Return the rules for styles that `html`, which is safe, repeats, and `html` with classes."""
    counts = Counter(_STYLED.findall(html))
    names = {
        style: f"style{place}"
        for place, (style, n) in enumerate(counts.most_common())
        if n >= _OFTEN
    }
    used: dict[str, str] = {}

    def classed(match: re.Match[str]) -> str:
        tag, before, style, after, end = match.groups()
        name = names.get(style)
        if name is None:
            return match[0]
        used[name] = style
        return f'<{tag} class="{name}"{before}{after}{end}'

    html = _TAG.sub(classed, html)
    rules = (f".{name}{{{_SPACES.sub('', style)}}}" for name, style in used.items())
    return Markup("".join(rules)), Markup(html)

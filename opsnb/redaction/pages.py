"""What of HTML is markup, and what a reader of the page reads."""

from __future__ import annotations

import re

from opsnb.redaction.readings import ENTITY, Reading, entity, read
from opsnb.redaction.spans import Span, merged

_TAG = re.compile(r"<(?:[a-zA-Z/!?](?:[^<>\"']|\"[^\"]*\"|'[^']*')*+)>")
_VALUE = re.compile(r"(?<!\sstyle)(?<!\sclass)=\s*+(?:\"([^\"]*)\"|'([^']*)')")
_WORDS = re.compile(rf"(?P<tag>{_TAG.pattern})|{ENTITY}")
# Within a line; any other tag ends one, or the cell of a table.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|bdi|code|em|font|i|ins|kbd|mark|s|samp|small|span|strong|u|wbr)\b"
)


def markup(html: str) -> list[Span]:
    """Return where tags stand in `html`, but for the values of their attributes."""
    spans = []
    for tag in _TAG.finditer(html):
        at = tag.start()
        for value in _VALUE.finditer(html, tag.start(), tag.end()):
            start, end = value.span(value.lastindex or 0)
            spans.append((at, start))
            at = end
        spans.append((at, tag.end()))
    return merged(spans)


def words_of(html: str) -> Reading | None:
    """Return `html` as it reads, without tags and entities; None when it has neither."""
    return read(html, _WORDS, _meaning)


def _meaning(token: re.Match[str]) -> str:
    if token["tag"] is None:
        return entity(token)
    return "" if _INLINE.match(token["tag"]) else "\n"

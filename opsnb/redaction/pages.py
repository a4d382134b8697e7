"""Separate the markup of HTML from the text that a reader sees."""

from __future__ import annotations

import re

from opsnb.redaction.readings import ENTITY, Reading, entity, read
from opsnb.redaction.spans import Span, merged

_TAG = re.compile(r"<(?:[a-zA-Z/!?](?:[^<>\"']|\"[^\"]*\"|'[^']*')*+)>")
_VALUE = re.compile(r"(?<!\sstyle)(?<!\sclass)=\s*+(?:\"([^\"]*)\"|'([^']*)')")
_WORDS = re.compile(rf"(?P<tag>{_TAG.pattern})|{ENTITY}")
_STYLE = re.compile(r"\s(?:style|class)=(?:\"[^\"]*\"|'[^']*')")
# Inline tags; any other tag ends a line or a cell.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|bdi|code|em|font|i|ins|kbd|mark|s|samp|small|span|strong|u|wbr)\b"
)


def markup(html: str) -> list[Span]:
    """Return the spans of tags in `html`, without the values of their attributes."""
    spans = []
    for tag in _TAG.finditer(html):
        at = tag.start()
        for value in _VALUE.finditer(html, tag.start(), tag.end()):
            start, end = value.span(value.lastindex or 0)
            spans.append((at, start))
            at = end
        spans.append((at, tag.end()))
    return merged(spans)


def styleless(html: str) -> Reading:
    """Return `html` without styles and classes: they are half of it, and markup that stays."""
    return read(html, _STYLE, lambda _: "") or Reading(html, lambda: [(0, 0, len(html))])


def words_of(html: str) -> Reading | None:
    """Return the text of `html`, without tags and entities; None if it has neither."""
    return read(html, _WORDS, _meaning)


def _meaning(token: re.Match[str]) -> str:
    if token["tag"] is None:
        return entity(token)
    return "" if _INLINE.match(token["tag"]) else "\n"

"""Separate the markup of HTML from the text that a reader sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.readings import ENTITY, Reading, entity, read
from opsnb.redaction.spans import Span, merged

_TAG = re.compile(r"<(?:[a-zA-Z/](?:[^<>\"']|\"[^\"]*\"|'[^']*')*+)>")
# What may hold text from outside in a tag: values with and without quotes, odd names.
_PART = re.compile(
    r"\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|=\s*+(?P<bare>[^\s\"'>]+)"
    r"|(?:(?<=[\s\"'/])|(?<=<))(?P<name>[^\s=/>\"'<]+)"
)
_PLAIN = re.compile(r"[a-zA-Z]+\d?(?:[:-][a-zA-Z]+\d?)*")
_STYLED = re.compile(r"\s(?:style|class)\s*=\s*[\"']$", re.IGNORECASE)
# Words, numbers and colours of CSS, between which a style may hold something else.
_CSS = re.compile(
    r"[a-z-]+\d?(?![\w-])|(?<!\w)-?[\d.]+[a-z%]*(?!\w)|#[0-9a-f]{3,8}(?!\w)|[\s;:,()]+"
)
_LONGEST_STYLED = 32
_WORDS = re.compile(rf"(?P<tag>{_TAG.pattern})|{ENTITY}")
_STYLE = re.compile(r"\s(?:style|class)=(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')")
# Inline tags; any other tag ends a line or a cell.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|bdi|code|em|font|i|ins|kbd|mark|s|samp|small|span|strong|u|wbr)\b"
)


def markup(html: str) -> list[Span]:
    """Return the spans of tags in `html`, without what may hold text from outside.

    That is the values of attributes, and in styles and classes whatever is no word of CSS.
    Comments are text.
    """
    return merged(span for tag in _TAG.finditer(html) for span in _kept(html, *tag.span()))


def _kept(html: str, start: int, end: int) -> Iterator[Span]:
    at = start
    for part in _PART.finditer(html, start, end):
        opens, closes = part.span(part.lastgroup or 0)
        if part["name"] and _PLAIN.fullmatch(part["name"]):
            continue
        yield at, opens
        at = closes
        if _STYLED.search(html, max(start, opens - _LONGEST_STYLED), opens):
            yield from (word.span() for word in _CSS.finditer(html, opens, closes))
    yield at, end


def styles(html: str) -> Iterator[tuple[int, str]]:
    """Yield the values of styles and classes in `html`, each with its place."""
    for style in _STYLE.finditer(html):
        group = style.lastgroup or ""
        yield style.start(group), style[group]


def styleless(html: str) -> Reading:
    """Return `html` without styles and classes: they are half of it, and repeat themselves."""
    return read(html, _STYLE, lambda _: "") or Reading(html, lambda: [(0, 0, len(html))])


def words_of(html: str) -> Reading | None:
    """Return the text of `html`, without tags and entities; None if it has neither."""
    return read(html, _WORDS, _meaning)


def _meaning(token: re.Match[str]) -> str:
    if token["tag"] is None:
        return entity(token)
    return "" if _INLINE.match(token["tag"]) else "\n"

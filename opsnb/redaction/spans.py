"""Spans of secrets in a text, and the text without them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from opsnb.redaction.mask import MASK

Span = tuple[int, int]
"""From a character of a text up to, but not including, another."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return `spans` in order, merged where they overlap or touch."""
    whole: list[Span] = []
    for start, end in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        elif start < end:
            whole.append((start, end))
    return whole


def apart(spans: Iterable[Span], kept: Sequence[Span]) -> Iterator[list[Span]]:
    """Yield the parts of `spans` outside of `kept`; spans inside are left out.

    `kept` are in order.
    """
    starts = [start for start, _ in kept]
    for start, end in spans:
        parts, at = [], start
        for here in range(max(bisect_right(starts, start) - 1, 0), len(kept)):
            kept_start, kept_end = kept[here]
            if kept_start >= end:
                break
            if at < kept_start:
                parts.append((at, kept_start))
            at = max(at, kept_end)
        if at < end:
            parts.append((at, end))
        if parts:
            yield parts


def within(span: Span, others: Sequence[Span]) -> bool:
    """Whether `span` lies inside one of the `others`, which are in order."""
    at = bisect_right(others, (span[0], float("inf"))) - 1
    return at >= 0 and span[1] <= others[at][1]


def cut(text: str, spans: Iterable[Span]) -> str:
    """Return `text` with `spans`, which are in order, masked."""
    return cut_pieces([text], spans)[0]


def cut_around(text: str, spans: Iterable[Span], kept: Sequence[Span]) -> str:
    """Return `text` with `spans` masked, except inside of `kept`."""
    parts, at = [], 0
    for fragments in apart(spans, kept):
        for number, (start, end) in enumerate(fragments):
            parts += [text[at:start], "" if number else MASK]
            at = end
    return "".join([*parts, text[at:]])


def cut_pieces(pieces: Sequence[str], spans: Iterable[Span]) -> list[str]:
    """Return the `pieces` of a text without the `spans` of the whole, which are in order.

    The mask stands in the piece in which a secret begins.
    """
    rest = iter(spans)
    span = next(rest, None)
    masked, offset = [], 0
    for piece in pieces:
        parts, at, limit = [], 0, offset + len(piece)
        while span and span[0] < limit:
            start, end = span
            parts.append(piece[at : max(start - offset, at)])
            if start >= offset:
                parts.append(MASK)
            at = min(end, limit) - offset
            if end > limit:
                break
            span = next(rest, None)
        masked.append("".join([*parts, piece[at:]]))
        offset = limit
    return masked


def places(text: str, words: Iterable[str]) -> list[Span]:
    """Return the spans of `words` in `text`."""
    spans = []
    for word in filter(None, words):
        at = text.find(word)
        while at >= 0:
            spans.append((at, at + len(word)))
            at = text.find(word, at + len(word))
    return merged(spans)

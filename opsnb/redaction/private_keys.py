# ruff: noqa: E501 - a pattern is read best on one line
"""Private keys in PEM and similar formats, whose body is secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.spans import Span

_BEGIN = re.compile(
    r"(?:-{4,5} ?BEGIN (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?) ?-{4,5}|PuTTY-User-Key-File-\d:[^\n]{0,80})"
)
_END = re.compile(
    r"(?:-{4,5} ?END (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?) ?-{4,5}|Private-MAC:[^\n]{0,128})"
)
# Without an end: lines of base64, and what may be between them.
_BODY = re.compile(
    r"(?:\s|\\+[nr]|[\"',>|+]|(?:Proc-Type|DEK-Info|Version|Comment|Hash): [^\n\\]{0,80}|[A-Za-z0-9+/=]{16,}+)*+"
)


def key_spans(text: str) -> Iterator[Span]:
    """Yield the spans of the bodies of private keys in `text`."""
    at = 0
    while begin := _BEGIN.search(text, at):
        at = begin.end()
        following = _BEGIN.search(text, at)
        end = _END.search(text, at, following.start() if following else len(text))
        if end:
            yield begin.end(), end.start()
            at = end.end()
        elif (body := _BODY.match(text, at)) and len(body[0].strip()) >= _LEAST:
            yield body.span()
            at = body.end()


_LEAST = 16

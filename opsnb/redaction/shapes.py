"""Shapes that are always secret, and values whose names call them secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.commands import COMMANDS
from opsnb.redaction.detectors import token_spans
from opsnb.redaction.headers import header_spans
from opsnb.redaction.links import link_spans
from opsnb.redaction.named import named_spans
from opsnb.redaction.private_keys import key_spans
from opsnb.redaction.readings import read
from opsnb.redaction.spans import Span

# What hides a shape: colours, as in IPython's tracebacks, and escaped quotes, as in messages that
# quote messages.
_NOISE = re.compile(
    r"\x1b\[[\d;]{0,16}m|(?<!\\)\\++(?:(?=[\"'`])|u00(?:(?P<quote>22)|(?P<single>27)|(?P<and>26)"
    r"|(?P<is>3[dD])))|(?P<quote_>&quot;|&#34;|%22)|(?P<single_>&#x27;|&#39;)|(?P<and_>&amp;)"
)
# A command as a list of words, as programs log it: ["redis-cli", "-a", "..."].
_WORDS = re.compile(r"[\"'],[ \t]{0,4}[\"']")
_ENCODED = re.compile(r"%(?:[2-7][0-9a-fA-F]|0[aAdD])")
_MEANINGS = {"quote": '"', "single": "'", "and": "&", "is": "="}


def shape_spans(text: str) -> Iterator[Span]:
    """Yield the spans of secrets with a well-known shape in `text`."""
    yield from _spans(text)
    if plain := read(
        text, _NOISE, lambda token: _MEANINGS.get((token.lastgroup or "").rstrip("_"), "")
    ):
        for span in _spans(plain.text):
            yield plain.span(*span)
    if "-" in text and (listed := read(text, _WORDS, lambda _: " ")):
        for span in COMMANDS.spans(listed.text, listed.text.lower()):
            yield listed.span(*span)
    if _TELLING.search(text) and (decoded := read(text, _ENCODED, _character)):
        for span in _spans(decoded.text):
            yield decoded.span(*span)


# URL-encoded text has codes for special characters.
_TELLING = re.compile(r"%(?:3[aAdD]|22|20PRIVATE)")


def _character(code: re.Match[str]) -> str:
    return chr(int(code[0][1:], 16))


def _spans(text: str) -> Iterator[Span]:
    folded = text.lower()
    if len(folded) != len(text):  # a few capitals have two characters in lower case
        folded = text.translate(_SMALL)
    yield from link_spans(text, folded)
    yield from token_spans(text, folded)
    for spans in (named_spans(text, folded), header_spans(text, folded)):
        yield from (span for span in spans if not _is_lock_token(text, *span))
    yield from COMMANDS.spans(text, folded)
    if "BEGIN" in text or "PuTTY-User-Key" in text:
        yield from key_spans(text)


def _is_lock_token(text: str, start: int, end: int) -> bool:
    """Whether it is the uuid by which BullMQ knows which worker has locked a job."""
    before = text[max(0, start - 24) : start]
    return bool(_UUID.fullmatch(text, start, end) and _WORKER.search(before))


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORKER = re.compile(r"worker[ _-]?token[^\w\n]{0,5}$", re.IGNORECASE)
_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

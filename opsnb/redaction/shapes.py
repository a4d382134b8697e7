"""Shapes that are secret wherever they stand, and values that their names call secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.spans import Span
from opsnb.redaction.urls import QUERY_SECRET, URL_PASSWORD

_ANSI = r"(?:\x1b\[[\d;]{0,16}m)*"  # IPython colours the tokens of a traceback
_GAP = rf"\s{{0,8}}{_ANSI}\s{{0,8}}{_ANSI}"
_NAMED_SECRET = re.compile(
    r"(?P<head>(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|secret[_-]?key|REDISCLI_AUTH)\b\\{0,4}[\"']?"
    rf"{_GAP}(?P<sign>[=:]){_GAP})"
    r"(?:(?P<quote>\\{0,4}[\"'])(?P<quoted>[^\"'\\\n\x1b][^\"'\n\x1b]{0,511}?)(?P=quote)"
    r"|(?P<bare>(?!None\b|null\b|true\b|false\b)[^\s\"',;&<>{}()\[\]\\\x1b]{4,512}))",
    re.IGNORECASE,
)
# With each shape, what a text must hold to have it: most texts hold nothing, and are long.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (needles, re.compile(pattern))
    for needles, pattern in (
        (
            ("private key",),
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\s\S]*?"
            r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
        ),
        (("akia", "asia"), r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b"),
        (("gh",), r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
        (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,}\b"),
        (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
        (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        (("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b"),
        (("sk-",), r"\bsk-[A-Za-z0-9_-]{20,}"),
        (("aiza",), r"\bAIza[0-9A-Za-z_-]{35}\b"),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
        (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]*"),
        # In prose "bearer" and "basic" are words; a credential has a digit, or a header before it.
        (
            ("bearer ",),
            r"(?i)(?<=\bbearer )(?=[a-z._~+/=-]{0,256}\d)[a-z0-9._~+/=-]{8,}",
        ),
        (("bearer ",), r"(?i)(?<=authorization: bearer )[a-z0-9._~+/=-]{8,}"),
        (("basic ",), r"(?i)(?<=authorization: basic )[a-z0-9+/]{4,}={0,2}"),
        (("basic ",), r"(?i)(?<=authorization': 'basic )[a-z0-9+/]{4,}={0,2}"),
        (("basic ",), r"(?i)(?<=authorization\": \"basic )[a-z0-9+/]{4,}={0,2}"),
    )
)
# What a text must hold to name a secret, in a query or in words.
_NAMES = ("pass", "secret", "token", "api", "access", "private", "auth")


def shape_spans(text: str) -> Iterator[Span]:
    """Yield where secrets of a well-known shape stand in `text`."""
    folded = text.casefold()
    if "://" in text:
        for match in URL_PASSWORD.finditer(text):
            yield match.end("head") + 1, match.end() - 1
    for needles, shape in _SHAPES:
        if any(needle in folded for needle in needles):
            for match in shape.finditer(text):
                yield match.span()
    if any(name in folded for name in _NAMES):
        for match in QUERY_SECRET.finditer(text):
            yield match.span("value")
        for match in _NAMED_SECRET.finditer(text):
            if match["quoted"]:
                yield match.span("quoted")
            elif not (match["sign"] == ":" and match["bare"].isalpha()):  # prose
                yield match.span("bare")

"""Known secrets, in every encoding in which they turn up."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator
from html.entities import codepoint2name

from opsnb.redaction.spans import Span

_SHORTEST = 6  # a shorter value would blot out ordinary words


class Known:
    """The secrets that are known."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = {secret for secret in map(str.strip, secrets) if len(secret) >= _SHORTEST}
        # The longest first, so that a secret inside another leaves no remainder of it.
        known = [
            form
            for secret in sorted(self._secrets, key=len, reverse=True)
            for form in forms(secret)
        ]
        self._pattern = re.compile("|".join(dict.fromkeys(known))) if known else None

    def spans(self, text: str) -> list[Span]:
        """Return where they stand in `text`."""
        return [match.span() for match in self._pattern.finditer(text)] if self._pattern else []

    def is_number(self, number: float) -> bool:
        """Whether one of them is that number."""
        return repr(number).removesuffix(".0") in self._secrets


def forms(secret: str) -> Iterator[str]:
    """Yield patterns of `secret` as it stands in URLs, JSON, HTML, literals, base64 and hex."""
    yield "".join(map(_run, re.findall(r"\\+|[^\\]", secret))).removeprefix(_ESCAPES)
    raw = secret.encode(errors="surrogateescape")
    yield f"(?i:{raw.hex()})"
    for shift in range(3):
        # In base64 of a longer text a secret has three alignments; its characters but the first
        # and the last do not depend on their neighbours.
        coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = coded[(0, 2, 3)[shift] : -1 if (len(raw) + shift) % 3 else None]
        yield "".join(_BASE64.get(character, character) for character in inner)


_BASE64 = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff])"}
_SHORT_ESCAPES = {
    " ": r"|\+",
    "\n": r"|n|<br ?/?>",
    "\t": r"|t",
    "\r": r"|r",
    "\b": "|b",
    "\f": "|f",
}
# Possessive: a run of backslashes is read once, never tried in another way.
_ESCAPES = r"\\{0,8}+"


def _run(run: str) -> str:
    """Return a pattern of one character, or of a run of backslashes, escaped in any usual way.

    Escapes of escapes are seen too, since messages quote messages. Shells, regular expressions
    and Markdown put a backslash before any character.
    """
    if run.startswith("\\"):
        often = len(run)
        return rf"(?:\\{{{often},{often * 8}}}+|(?:{_ESCAPES}(?i:{_escaped(run[0])})){{{often}}})"
    if run.isascii() and run.isalnum():
        return _ESCAPES + run
    return rf"{_ESCAPES}(?:{re.escape(run)}|(?i:{_escaped(run)}){_SHORT_ESCAPES.get(run, '')})"


def _escaped(character: str) -> str:
    """Return a pattern of `character` in URLs, HTML, JSON and Python, less any backslash."""
    code = ord(character)
    utf8 = character.encode(errors="surrogateescape")
    utf16 = character.encode("utf-16-be", errors="surrogatepass").hex()
    name = codepoint2name.get(code) or html.escape(character)[1:-1]
    ways = [
        "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in utf8),
        _ESCAPES.join(f"x{byte:02x}" for byte in utf8),
        _ESCAPES.join(f"u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        f"U{code:08x}",
        f"x{code:02x}",
        f"&(?:amp;){{0,3}}(?:#0{{0,4}}(?:{code}|x{code:x}){f'|{name}' if name else ''});",
    ]
    return "|".join(ways)

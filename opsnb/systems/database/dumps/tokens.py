"""The tokens of a dump's SQL, as PostgreSQL itself reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "name", "string", "number", "sign", "command"]


@dataclass(frozen=True)
class Token:
    """A token outside of comments."""

    kind: Kind
    text: str
    """As written; a word in lower case, a quoted name without its quotes."""
    offset: int


NAME = rb'(?:"(?:[^"]++|"")*+"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)'
ESCAPES = rb"'(?:[^'\\]++|\\.|'')*+'"
STANDARD = rb"'(?:[^']++|'')*+'"
# An E'' string that goes on in the next line keeps its escapes.
_GAP = rb"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:\s|--[^\n\r]*+[\n\r])*+"
_ESCAPED = rb"[eE]" + ESCAPES + rb"(?:" + _GAP + ESCAPES + rb")*+"


def _pattern(plain: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb"(?P<space>[ \t\n\r\f\v]++|--[^\n\r]*+)"
        rb"|(?P<block>/\*)"
        rb"|(?P<string>" + _ESCAPED + rb"|[nN]?" + plain + rb"|(?:[uU]&|[bBxX])" + STANDARD + rb")"
        rb'|(?P<name>(?:[uU]&)?"(?:[^"]++|"")*+")'
        rb"|(?P<open>(?:[eEbBxXnN]|[uU]&)?'|(?:[uU]&)?\")"
        rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)"
        rb"|(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)"
        rb"|(?P<number>[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?)"
        rb"|(?P<command>\\[^\s\\;]*+)"
        rb"|(?P<end>;)"
        rb"|(?P<sign>.)",
        re.DOTALL,
    )


TOKEN = {True: _pattern(STANDARD), False: _pattern(ESCAPES)}
"""The pattern of a token, by whether backslashes in plain strings are ordinary characters."""
_BLOCK = re.compile(rb"/\*|\*/")


def tokens(text: bytes, has_standard_strings: bool) -> Iterator[Token]:
    """Yield the tokens of one whole statement."""
    pattern, position = TOKEN[has_standard_strings], 0
    while match := pattern.match(text, position):
        kind, position = match.lastgroup, match.end()
        written = match[0]
        match kind:
            case "space":
                continue
            case "block":
                position = block_end(text, match.start())
            case "dollar":
                position = text.find(written, position) + len(written)
                written = text[match.start() : position]
                yield Token("string", written.decode(errors="replace"), match.start())
            case "word":
                yield Token("word", written.decode(errors="replace").lower(), match.start())
            case "name":
                name = written[written.index(b'"') + 1 : -1].replace(b'""', b'"')
                yield Token("name", name.decode(errors="replace"), match.start())
            case "string" | "number" | "command":
                yield Token(kind, written.decode(errors="replace"), match.start())
            case _:
                yield Token("sign", written.decode(errors="replace"), match.start())


def block_end(text: bytes, position: int) -> int:
    """Return where a comment ends, which may hold others; -1 when it does not."""
    depth = 0
    for found in _BLOCK.finditer(text, position):
        depth += 1 if found[0] == b"/*" else -1
        if depth == 0:
            return found.end()
    return -1

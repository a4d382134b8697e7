r"""Readings of a text, so that a secret is found in any encoding.

A reading is the text with its escapes decoded and without what only interrupts it: colours, line
breaks, quotes that are doubled. A secret and a text that are read in the same way agree wherever
the text holds the secret, whatever encoded it, be it several times over. Every character of a
reading knows which part of the text it stands for.

There are two, as a backslash has two meanings: `\n` is a line break in JSON, and an `n` to a shell.
"""

from __future__ import annotations

import html
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from html.entities import name2codepoint
from itertools import count

from opsnb.redaction.spans import Span

Meaning = Callable[[re.Match[str]], str]
_MOST_PASSES = 4  # escapes of escapes: JSON in a URL in HTML


Piece = tuple[int, int, int]
"""A part of a reading: its start there, and its start and end in the original."""


class Reading:
    """A decoded text, and where its characters come from."""

    def __init__(
        self, text: str, pieces: Callable[[], list[Piece]], below: Reading | None = None
    ) -> None:
        """Take the text, how to find its pieces, and the reading that it was decoded from, if any.

        A piece that is longer or shorter than what it was made of stands for all of that. Most
        texts hold no secret, and nobody asks for their pieces.
        """
        self.text = text
        self._found = pieces
        self._below = below

    @cached_property
    def _pieces(self) -> list[Piece]:
        return self._found()

    @cached_property
    def _at(self) -> list[int]:
        return [at for at, _, _ in self._pieces]

    def span(self, start: int, end: int) -> Span:
        """Return the span in the original text of the characters from `start` to `end`."""
        begins, _ = self._character(start)
        _, ends = self._character(end - 1)
        return self._below.span(begins, ends) if self._below else (begins, ends)

    def _character(self, at: int) -> Span:
        number = bisect_right(self._at, at) - 1
        here, start, end = self._pieces[number]
        following = self._at[number + 1] if number + 1 < len(self._at) else len(self.text)
        if following - here != end - start:
            return start, end
        return start + at - here, start + at - here + 1


def read(
    text: str, tokens: re.Pattern[str], meaning: Meaning, below: Reading | None = None
) -> Reading | None:
    """Return `text` with each of its `tokens` decoded; None if it has none."""
    decoded, count = tokens.subn(meaning, text)
    return Reading(decoded, lambda: _pieces(text, tokens, meaning), below) if count else None


def _pieces(text: str, tokens: re.Pattern[str], meaning: Meaning) -> list[Piece]:
    """Return the pieces of `text` with each of its `tokens` decoded."""
    pieces: list[Piece] = []
    length = last = 0
    for token in tokens.finditer(text):
        start, end = token.span()
        if start > last:
            pieces.append((length, last, start))
            length += start - last
        if means := meaning(token):
            pieces.append((length, start, end))
            length += len(means)
        last = end
    if last < len(text):
        pieces.append((length, last, len(text)))
    return pieces


def readings(text: str, *, folded: bool = False) -> Iterator[Reading]:
    """Yield the readings of `text` that differ from it.

    With `folded` also with a space for each line break, as YAML folds long values.
    """
    for escapes in (False, True) if "\\" in text else (False,):
        if reading := _read(text, escapes=escapes, line_break=""):
            yield reading
    if "\\" in text and _UNICODE_LITERAL.search(text):
        yield from filter(None, [read(text, _UNICODE, _code_of_sql)])
    if "\n" in text and _FRAME.search(text):
        yield from filter(None, [read(text, _FRAMED, lambda _: "")])
    if folded and ("\n" in text or "\\n" in text):
        for escapes in (False, True) if "\\" in text else (False,):
            if reading := _read(text, escapes=escapes, line_break=" "):
                yield reading


def plain(text: str) -> set[str]:
    """Return the readings of `text`."""
    return {text} | {reading.text for reading in readings(text)}


def _read(text: str, *, escapes: bool, line_break: str) -> Reading | None:
    def meaning(token: re.Match[str]) -> str:
        kind = _kind(token)
        return line_break if kind == "line" else _MEANINGS[kind](token)

    reading, here = None, text
    for _ in range(_MOST_PASSES):
        tokens = _tokens(_triggers(here), escapes)
        further = read(here, tokens, meaning, reading) if tokens else None
        if further is None:
            break
        reading, here = further, further.text
    if reading:
        # The + of a form, which is a space in every reading.
        reading.text = reading.text.replace("+", " ")
    elif "+" in text:
        reading = Reading(text.replace("+", " "), lambda: [(0, 0, len(text))])
    return reading


_HEX = "[0-9a-fA-F]"
_HIGH = f"[c-fC-F]{_HEX}"  # the first byte of a character in UTF-8
_LOW = f"[89abAB]{_HEX}"
_NAMES = "|".join(sorted([*name2codepoint, "apos"], key=len, reverse=True))
_PERCENT = "%(?:25){0,3}"
ENTITY = rf"&(?:amp;){{0,3}}(?:#0{{0,4}}(?:\d{{1,7}}|[xX]{_HEX}{{1,6}})|{_NAMES});"
"""The pattern of an HTML entity, or of one that is escaped again."""

# The patterns of tokens by how they begin; the name of the only group is the kind of the token.
# Every pattern takes linear time: repetitions are possessive.
_COLOUR = (
    r"(?P<nothing>\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)"
    r"|[@-Z\\^_]|)|\x9b[0-?]{0,64}[@-~])"
)
_PATTERNS: dict[str, str] = {
    "\x1b": _COLOUR,
    "^[[": r"(?P<nothing>\^\[\[[0-?]{0,64}[@-~])",  # as shown by a terminal
    "#033[": r"(?P<nothing>#033\[[0-?]{0,64}[@-~])",  # as written by rsyslog
    "\n": r"(?P<line>(?:(?<![ \t])[ \t]++)?(?:\r?\n[ \t]*+)++)",
    "<br": r"(?P<line><br ?/?>[ \t]*+)",
    "%": rf"(?P<bytes>{_PERCENT}{_HIGH}(?:{_PERCENT}{_LOW}){{1,3}})"
    rf"|(?P<byte>{_PERCENT}{_HEX}{{2}})",
    "&": rf"(?P<entity>{ENTITY})",
    "M-": r"(?P<metas>(?:M-\^?[ -~]){2,4})",  # as shown by cat -A, also the ends of lines
    "$\n": r"(?P<line>\$\n)",
    "''": r"(?P<single>'(?:\\*+')++)",
    '""': r'(?P<double>"(?:\\*+")++)',
    "'\"'": r"(?P<single>'\"'\"')",
    "=": rf"(?P<nothing>=\r?\n)|(?P<byte>=3D)|(?P<bytes>=[C-F]{_HEX}(?:={_LOW}){{1,3}})",
    "\0": r"(?P<nothing>[\0\xad\u200b-\u200d\u2060\ufeff]+)",
}
_ESCAPES = "|".join(
    (
        rf"(?P<pair>\\++u[dD][89abAB]{_HEX}{{2}}\\++u[dD][c-fC-F]{_HEX}{{2}})",
        rf"(?P<code>\\++(?:u{_HEX}{{4}}|U{_HEX}{{8}}|u\{{{_HEX}{{1,6}}\}}))",
        rf"(?P<bytes>\\++x{_HIGH}(?:\\++x{_LOW}){{1,3}})",
        rf"(?P<code>\\++x{_HEX}{{2}})",
        r"(?P<octals>(?:\\++3[0-7]{2}(?:\\++2[0-7]{2}){1,3}))",
        r"(?P<octal>\\++[0-3][0-7]{2})",
        r"(?P<line>\\++[rn][ \t]*+)",
        r"(?P<control>\\++[tbf])",
    )
)


# SQL literals with character codes: U&'d\0061t\+000061'.
_UNICODE_LITERAL = re.compile(r"[uU]&['\"]")
_UNICODE = re.compile(
    rf"\\++(?:\+(?P<long>{_HEX}{{6}})|(?P<short>{_HEX}{{4}}))|(?P<quote>'')|\\(?P<backslash>\\)"
)
# Text in columns, quoted mail, or lines with a prefix: `| text |`, `text+` of psql, `> text`,
# `0|api  | text`.
_FRAME = re.compile(r"[|│+]\r?\n|\n[ \t]*(?:[|│>#+]|--|[\w.-]{1,40} *\|)")
_FRAMED = re.compile(
    r"[ \t]*+[|│+]?\r?\n[ \t]*+(?:\d{1,4}\|[\w.-]{1,40} *\||[\w.-]{1,40} +\||[|│>#+]|--)?[ \t]*+"
)


def _code_of_sql(token: re.Match[str]) -> str:
    if token["quote"]:
        return "'"
    if token["backslash"]:
        return "\\"
    code = int(token["long"] or token["short"], 16)
    return chr(code) if code <= sys.maxunicode else token[0]


def _triggers(text: str) -> tuple[str, ...]:
    """Return which tokens `text` may contain; most texts contain none."""
    triggers = [trigger for trigger in _PATTERNS if trigger not in _OTHERWISE and trigger in text]
    return (*triggers, *(trigger for trigger, has in _OTHERWISE.items() if has(text)))


# Those that need more than a simple search.
_ZERO_WIDTH = re.compile(r"[\0\xad\u200b-\u200d\u2060\ufeff]")
_CODE = re.compile(f"%{_HEX}{{2}}")
_OTHERWISE: dict[str, Callable[[str], object]] = {
    "%": lambda text: "%" in text and _CODE.search(text),
    "\x1b": lambda text: "\x1b" in text or "\x9b" in text,
    "''": lambda text: "''" in text or "\\'" in text,
    '""': lambda text: '""' in text or '\\"' in text,
    "=": lambda text: "=3D" in text or "=\n" in text or "=\r\n" in text or "=C3=" in text,
    "\0": lambda text: "\0" in text or (not text.isascii() and _ZERO_WIDTH.search(text)),
    "\\": lambda text: "\\" in text,
    "+": lambda text: "'\n" in text or '"\n' in text or "' +\n" in text or '" +\n' in text,
    " ": lambda text: len(text) > _WRAPPED and max(map(len, text.split(" "))) >= _WRAPPED,
}
_WRAPPED = 60  # columns; base64 lines have 64 or 76, and the breaks may have become spaces


@lru_cache(maxsize=256)
def _tokens(triggers: tuple[str, ...], escapes: bool) -> re.Pattern[str] | None:
    patterns = [_PATTERNS[trigger] for trigger in triggers if trigger in _PATTERNS]
    if " " in triggers:
        patterns.append(rf"(?P<nothing>(?<=[\w+/-]{{{_WRAPPED}}}) (?=[\w+/=-]))")
    if "+" in triggers:  # a long string in source code, or printed by Node
        patterns.insert(0, r"(?P<nothing>(?:'[ ]?\+?\r?\n[ \t]*+'|\"[ ]?\+?\r?\n[ \t]*+\"))")
    if "\\" in triggers:
        patterns.append(rf"{_ESCAPES}|(?P<nothing>\\++)" if escapes else r"(?P<nothing>\\++)")
    if not patterns:
        return None
    # Group names must differ; `_kind` removes their numbers.
    number = count()
    joined = re.sub(r"\(\?P<(\w+)>", lambda at: f"(?P<{at[1]}{next(number)}>", "|".join(patterns))
    return re.compile(joined)


def _kind(token: re.Match[str]) -> str:
    return (token.lastgroup or "").rstrip("0123456789")


def _byte(token: re.Match[str]) -> str:
    code = int(token[0][-2:], 16)
    # As in the environment for bytes that are not UTF-8.
    return chr(code) if code < _ASCII else chr(0xDC00 + code)


def _bytes(token: re.Match[str]) -> str:
    """Return the character of UTF-8 bytes in hex; invalid bytes are kept as such."""
    pairs = re.findall(rf"[%=x](?:25)*({_HEX}{{2}})", token[0])
    return bytes.fromhex("".join(pairs)).decode(errors="surrogateescape")


def _metas(token: re.Match[str]) -> str:
    """Return the characters of bytes as `cat -v` shows them: `M-C`, `M-^I`."""
    signs = re.findall(r"M-(\^?)(.)", token[0])
    codes = (_ASCII | ord(sign) ^ (0x40 if control else 0) for control, sign in signs)
    return bytes(codes).decode(errors="surrogateescape")


def _code(token: re.Match[str]) -> str:
    code = int(token[0].lstrip("\\")[1:].strip("{}"), 16)
    return chr(code) if code <= sys.maxunicode else token[0]


def _pair(token: re.Match[str]) -> str:
    high, low = re.findall(rf"[uU]({_HEX}{{4}})", token[0])
    return bytes.fromhex(high + low).decode("utf-16-be")


def entity(token: re.Match[str]) -> str:
    """Return the character of a match of `ENTITY`."""
    name = token[0][:-1].rpartition("&")[2].rpartition("amp;")[2]
    if not name.startswith("#"):
        return html.unescape(f"&{name};")
    code = int(f"0{name[1:]}", 16) if name[1] in "xX" else int(name[1:])
    return chr(code) if code <= sys.maxunicode else token[0]


_ASCII = 0x80
_MEANINGS: dict[str, Meaning] = {
    "nothing": lambda _: "",
    "single": lambda _: "'",
    "double": lambda _: '"',
    "byte": _byte,
    "bytes": _bytes,
    "metas": _metas,
    "code": _code,
    "pair": _pair,
    "octals": lambda token: bytes(
        int(code, 8) for code in re.findall(r"[23][0-7]{2}", token[0])
    ).decode(errors="surrogateescape"),
    "octal": lambda token: chr(int(token[0][-3:], 8)),
    "control": lambda token: {"t": "\t", "b": "\b", "f": "\f"}[token[0][-1]],
    "entity": entity,
}

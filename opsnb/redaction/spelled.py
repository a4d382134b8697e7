"""Bytes and characters that are written one by one: `6b 56`, `107, 86`, `["k", "V"]`, `k V`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from opsnb.redaction.needles import SHORTEST
from opsnb.redaction.readings import Piece, Reading

_REST = SHORTEST - 1
_PAIR = "[0-9a-fA-F]{2}"
_HEX = re.compile(
    rf"{_PAIR}(?:[^\w\n]{{0,4}}(?:\n[ \t]{{0,8}})?(?:0x|\\x)?{_PAIR}){{{_REST},}}[0-9a-fA-F]?"
)
_DIGITS = re.compile(r"0x|\\x|(?P<unit>[0-9a-fA-F]+)")

# The number of an item, as in {"0":"k","1":"V"} or [0] => k, and the offset of a line of a dump.
_INDEX = r"(?:[\"'\[]?\d{1,5}[\"'\]]?\s?(?::|=>)\s{0,4})?"
_OFFSET = r"(?:\n(?:[0-9a-fA-F]{6,16}:?)?(?=[ \t]))?"

_BETWEEN = rf"{_OFFSET}(?:[^\w.]{{1,16}}|\)\.){_INDEX}(?:(?:chr|char|CHR|CHAR)\()?"


def _numbers(number: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a run of numbers, and of a number or what is between two."""
    run = rf"(?<![\w.#]){number}(?:{_BETWEEN}{number}(?!\d)){{{_REST},}}(?![\d.])"
    return re.compile(run), re.compile(rf"(?<=\d){_BETWEEN}|(?P<unit>{number})")


_DECIMALS, _DECIMAL = _numbers(r"\d{1,3}")
_OCTALS, _OCTAL = _numbers(r"[0-3][0-7]{2}")
_LARGEST = 255

_SIGN = r"(?:\\u[0-9a-fA-F]{4}|\\.|[^\n])"
_QUOTED_SIGN = rf"(?:\"{_SIGN}\"|'{_SIGN}'|`{_SIGN}`)"
_ASIDE = rf"[^\w\"'`]{{0,16}}{_INDEX}"
_QUOTED = re.compile(rf"{_QUOTED_SIGN}(?:{_ASIDE}{_QUOTED_SIGN}){{{_REST},}}")
_UNQUOTED = re.compile(rf"[\"'`](?P<unit>{_SIGN})[\"'`]{_ASIDE}")

# Characters with always the same between them. `od -c` has columns of four, bytes in octal too.
_CELL = r" [0-3][0-7]{2}|  \\[0abefnrtv]"
_APART = re.compile(
    r"(?<![^\s\[(\"'=:>])[^\\\s](?P<mark>[^\w\n]{1,4}|\n[^\w\n]{0,8})"
    rf"[^\n](?:{_OFFSET}(?:(?P=mark)[^\n]|{_CELL})){{{_REST - 1},}}"
)
_CODES = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Meaning = Callable[[str], str]
"""Returns the bytes of a unit in hex."""


def spelled(text: str) -> Iterator[Reading]:
    """Yield, as digits in hex, the bytes that `text` has one by one."""
    yield from _read(text, _HEX, lambda _: _DIGITS, str.lower)
    yield from _read(text, _DECIMALS, lambda _: _DECIMAL, _decimal)
    yield from _read(text, _OCTALS, lambda _: _OCTAL, _octal)
    yield from _read(text, _QUOTED, lambda _: _UNQUOTED, _sign)
    yield from _read(text, _APART, lambda run: _apart(run["mark"]), _cell)


def _read(
    text: str,
    runs: re.Pattern[str],
    tokens: Callable[[re.Match[str]], re.Pattern[str]],
    meaning: Meaning,
) -> Iterator[Reading]:
    """Yield the bytes of all `runs` in `text`; their `tokens` have a unit, or separate units."""
    parts: list[str] = []
    pieces: list[Piece] = []
    length = 0
    for run in runs.finditer(text):
        for token in tokens(run).finditer(text, *run.span()):
            if token.lastgroup:
                parts.append(meaning(token[token.lastgroup]))
                pieces.append((length, *token.span(token.lastgroup)))
                length += len(parts[-1])
        parts.append("\n")
        pieces.append((length, run.end(), run.end()))
        length += 1
    if parts:
        yield Reading("".join(parts), lambda: pieces)


def _decimal(number: str) -> str:
    return f"{code:02x}" if (code := int(number)) <= _LARGEST else "\n"


def _octal(number: str) -> str:
    return f"{int(number, 8):02x}"


def _sign(written: str) -> str:
    if written.startswith("\\u"):
        written = chr(int(written[2:], 16))
    elif len(written) > 1:
        written = _CODES.get(written[1], written[1])
    return written.encode(errors="surrogatepass").hex()


@lru_cache(maxsize=64)
def _apart(mark: str) -> re.Pattern[str]:
    """Return the pattern of what follows, with the `mark` before it; the first has none."""
    return re.compile(
        rf"{_OFFSET}(?:{re.escape(mark)}(?P<unit>[^\n])|(?P<cell>{_CELL}))|(?P<first>\S)"
    )


def _cell(written: str) -> str:
    if len(written) == 1:
        return _sign(written)
    bare = written.strip()
    return _octal(bare) if bare.isdigit() else _sign(bare.replace("\\0", "\0"))

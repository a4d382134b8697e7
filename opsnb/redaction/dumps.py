"""Dumps of bytes in lines, as hexdump, xxd, od and tcpdump print them.

A line has an offset, the bytes in hex, and mostly the same bytes as characters. A secret may go on
in the next line, and stands in both columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.spans import Span

_PAIR = "[0-9a-fA-F]{2}"
_WIDTH = 16  # bytes in a line
_MOST_DIGITS = 48  # in octal
_LINE = re.compile(
    rf"^[ \t]{{0,16}}(?:0x)?[0-9a-fA-F]{{4,16}}:?[ \t]{{1,4}}"
    rf"(?P<bytes>{_PAIR}(?:[ \t]{{0,2}}{_PAIR}){{0,{_MOST_DIGITS // 2 - 1}}})"
    rf"(?:[ \t]{{1,64}}[|>]?(?P<shown>[^\n]{{1,{_WIDTH + 1}}}))?[ \t]{{0,64}}\r?$",
    re.MULTILINE,
)
_GAP = 2  # the most blanks between two bytes
_BYTE = re.compile(_PAIR)
_WORD = re.compile(r"\S+")
_OF_OCTAL = re.compile(r"[01][0-7]{5}(?:[ \t]+[01][0-7]{5})*")
_Byte = tuple[str, Span, Span]
"""A byte in hex, and where it stands: as a number, and as a character (empty if it does not)."""


class Dump:
    """The bytes of consecutive lines of a dump."""

    def __init__(self, bytes_: list[_Byte]) -> None:
        """Take the bytes in their order."""
        self._bytes = bytes_
        self.digits = "".join(digits for digits, _, _ in bytes_).lower()

    def spans(self, start: int, end: int) -> Iterator[Span]:
        """Yield the spans of the bytes that the digits from `start` to `end` belong to."""
        found = self._bytes[start // 2 : (end + 1) // 2]
        yield from (shown for _, _, shown in found)
        numbers = sorted(number for _, number, _ in found)
        for one, following in zip(numbers, [*numbers[1:], numbers[-1]], strict=True):
            is_beside = 0 <= following[0] - one[1] <= _GAP
            yield one[0], following[0] if is_beside else one[1]


def dumped(text: str) -> Iterator[Dump]:
    """Yield the dumps in `text`, and those of words of several bytes, swapped, or in octal.

    Such words are those of this machine, which stores the lower byte first.
    """
    readings: list[list[_Byte]] = [[], [], []]
    last = -1
    for line in _LINE.finditer(text):
        if line.start() != last + 1:
            yield from map(Dump, filter(None, readings))
            readings = [[], [], []]
        last = line.end()
        plain = _of_line(text, line)
        readings[0] += plain
        readings[1] += _swapped(line, plain)
        readings[2] += _octal(line)
    yield from map(Dump, filter(None, readings))


def _of_line(text: str, line: re.Match[str]) -> list[_Byte]:
    start, end = line.span("shown")
    shown = range(start, max(start, end)) if start >= 0 else range(0)
    return [
        (byte[0], byte.span(), (shown[at], shown[at] + 1) if at < len(shown) else (0, 0))
        for at, byte in enumerate(_BYTE.finditer(text, *line.span("bytes")))
    ]


def _swapped(line: re.Match[str], plain: list[_Byte]) -> Iterator[_Byte]:
    """Yield the bytes of words of two, four or eight, the last of each word first."""
    words = [len(word) // 2 for word in line["bytes"].split()]
    if words[0] > 1 and len(set(words)) == 1:
        for at in range(0, len(plain), words[0]):
            yield from reversed(plain[at : at + words[0]])


def _octal(line: re.Match[str]) -> Iterator[_Byte]:
    """Yield the bytes of words of two in octal, as `od` prints them by default."""
    if _OF_OCTAL.fullmatch(line["bytes"]):
        for word in _WORD.finditer(line.string, *line.span("bytes")):
            high, low = divmod(int(word[0], 8), 256)
            yield from ((f"{byte:02x}", word.span(), (0, 0)) for byte in (low, high))

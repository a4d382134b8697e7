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
_LINE = re.compile(
    rf"^[ \t]{{0,16}}(?:0x)?[0-9a-fA-F]{{4,16}}:?[ \t]{{1,4}}"
    rf"(?P<bytes>{_PAIR}(?:[ \t]{{0,2}}{_PAIR}){{0,{_WIDTH - 1}}})"
    rf"(?:[ \t]{{1,64}}[|>]?(?P<shown>[^\n]{{1,{_WIDTH + 1}}}))?[ \t]{{0,64}}\r?$",
    re.MULTILINE,
)
_GAP = 2  # the most blanks between two bytes
_BYTE = re.compile(_PAIR)
_WORDS = re.compile("[0-9a-fA-F]{4}(?:[ \\t]+[0-9a-fA-F]{4})*")
_Columns = tuple[Span, Span]
"""Where a byte stands: in hex, and as a character (empty if it does not)."""


class Dump:
    """The bytes of consecutive lines of a dump."""

    def __init__(self, text: str, bytes_: list[_Columns]) -> None:
        """Take the bytes in their order."""
        self._bytes = bytes_
        self.digits = "".join(text[start:end] for (start, end), _ in bytes_).lower()

    def spans(self, start: int, end: int) -> Iterator[Span]:
        """Yield the spans of the bytes that the digits from `start` to `end` belong to."""
        found = self._bytes[start // 2 : (end + 1) // 2]
        yield from (shown for _, shown in found)
        pairs = sorted(pair for pair, _ in found)
        for one, following in zip(pairs, [*pairs[1:], pairs[-1]], strict=True):
            is_beside = 0 <= following[0] - one[1] <= _GAP
            yield one[0], following[0] if is_beside else one[1]


def dumped(text: str) -> Iterator[Dump]:
    """Yield the dumps in `text`, and those of words of two bytes with the bytes swapped.

    Such words are those of this machine, which stores the lower byte first.
    """
    plain: list[_Columns] = []
    swapped: list[_Columns] = []
    last = -1
    for line in _LINE.finditer(text):
        if line.start() != last + 1:
            yield from (Dump(text, bytes_) for bytes_ in (plain, swapped) if bytes_)
            plain, swapped = [], []
        last = line.end()
        here = _of_line(text, line)
        plain += here
        if _WORDS.fullmatch(line["bytes"]):
            for low, high in zip(here[::2], here[1::2], strict=True):
                swapped += [high, low]
    yield from (Dump(text, bytes_) for bytes_ in (plain, swapped) if bytes_)


def _of_line(text: str, line: re.Match[str]) -> list[_Columns]:
    start, end = line.span("shown")
    shown = range(start, max(start, end)) if start >= 0 else range(0)
    return [
        (byte.span(), (shown[number], shown[number] + 1) if number < len(shown) else (0, 0))
        for number, byte in enumerate(_BYTE.finditer(text, *line.span("bytes")))
    ]

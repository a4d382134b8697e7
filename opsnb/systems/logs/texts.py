"""The bytes of a log as lines of text, each with its day where that is known."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from opsnb.systems.logs.entries import GAP
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.stamps import TIME_OF_DAY, Clock

SAMPLE = 8192
_MATCHED = re.compile(r"\(standard input\)([:-])")


def lines_of(block: bytes, *, is_first: bool) -> list[str]:
    """Return the whole lines in a block from the middle of a file."""
    encoding = wide(block)
    lines = block.decode(encoding or "utf-8", errors="replace").split("\n")
    if not is_first:
        lines = lines[1:]
    return lines if len(block) < SAMPLE else lines[:-1]


def wide(block: bytes) -> str:
    """Return the encoding when each character takes two bytes, else nothing."""
    sample = block.lstrip(b"\0")[:SAMPLE]
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if zeros.count(0) > len(sample) // 4:
            return name
    return ""


def decoded(blocks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines in `blocks`, whose encoding the first one shows."""
    rest = ""
    decoder: codecs.IncrementalDecoder | None = None
    for block in blocks:
        if decoder is None:
            decoder = codecs.getincrementaldecoder(wide(block[:SAMPLE]) or "utf-8")(
                errors="replace"
            )
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        yield from lines
    if rest:
        yield rest


def matched(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the lines that grep printed, with whether each matched; GAP where it left some out."""
    for line in io.StringIO(text, newline="\n"):
        match = _MATCHED.match(line)
        if match:
            part = line[match.end() : match.end() + 2**16]  # type: ignore[cut]  # far beyond what is shown
            yield match[1] == ":", part.rstrip("\r\n")
        elif line == "--\n":
            yield GAP


def is_time_of_day(lines: Sequence[str], clock: Clock) -> bool:
    """Return whether lines have a time without a day, as pino-pretty writes them."""
    known = [line for line in lines if parse(line, clock)]
    return not known and any(TIME_OF_DAY.match(without_colors(line)) for line in lines)


def without_colors(line: str) -> str:
    """Return a line without the escape sequences of a terminal."""
    return re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line)


def dated(lines: list[str], written: float, clock: Clock) -> list[str]:
    """Return `lines`, whose stamps have no day, with days; the last was written at `written`."""
    day = datetime.fromtimestamp(min(written, clock.now) + 1, clock.zone)
    later = f"{day:%H:%M:%S}"
    found = []
    for line in reversed(lines):
        plain = without_colors(line)
        match = TIME_OF_DAY.match(plain)
        if match:
            at = f"{match['time']}:{match['seconds']}"
            if at > later and at[:2] > later[:2]:  # the evening before
                day -= timedelta(days=1)
            later = at
            plain = f"{day:%Y-%m-%d} {at}{plain[match.end() :]}"
        found.append(plain)
    return found[::-1]


def journal_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line of JSON for each entry of a journal that was exported as text."""
    entry: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.rstrip("\r").partition("=")
        if equals:
            entry[name] = value
        elif not name and entry:
            yield json.dumps(entry)
            entry = {}
    if entry:
        yield json.dumps(entry)

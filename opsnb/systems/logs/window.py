"""The part of a log that reaches into a window of time: the live file and its rotated siblings.

The files that were written to within the window are read, each once, whatever its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo

from opsnb.checks import evidence
from opsnb.errors import BadAnswer
from opsnb.redaction import outside
from opsnb.systems.host import Host, ProgramMissing
from opsnb.systems.logs.contents import MOST_LAST, MOST_SCANNED, SAMPLES, Contents
from opsnb.systems.logs.entries import GAP, LETTERS, SIGNS, continues, has_letter, signed
from opsnb.systems.logs.files import LogFile, LogFiles
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.stamps import DAY_S, TIME_OF_DAY, Clock
from opsnb.systems.logs.texts import (
    SAMPLE,
    dated,
    is_time_of_day,
    journal_lines,
    lines_of,
    matched,
    wide,
    without_colors,
)

_QUARTER_S = 900  # all zones differ by some of them
_ZONE_S = 5.0  # by which a line's time and that of its writing differ, but for the zone
_MOST_ZONE_S = 14.5 * 3600
_MOST_RAISED = 8  # errors that belong to one entry, as causes of one another
STRANGE_SHARE = 0.2  # of the lines, from which on what is in them is not known
_SHOWN = 120
_MOST_COUNTED = 1000  # sampled lines
_EXPORT = re.compile(r"^__REALTIME_TIMESTAMP=\d+$", re.MULTILINE)


@dataclass
class Understood:
    """How many of the sampled lines within the window have a time that is understood."""

    known: int = 0
    strange: int = 0
    example: str = ""
    loose: str = ""
    """A line that looks like a part of an entry, which only one with a time begins."""
    is_dated: bool = False
    """Whether a line has a time, be it before the window."""

    @property
    def share(self) -> float:
        """Return the share of the lines that are understood, 1 when there are none."""
        total = self.known + self.strange
        return self.known / total if total else 1.0


@dataclass
class WindowReader:
    """Reads logs of `host` back to `since` (seconds since 1970), within bounds.

    What could not be read is reported as evidence.
    """

    host: Host
    clock: Clock
    since: float
    understood: Understood = field(default_factory=Understood)
    _read: set[str] = field(default_factory=set)
    _first: dict[str, bytes] = field(default_factory=dict)
    _last: dict[str, list[str]] = field(default_factory=dict)
    _has_letters: bool = False

    def __post_init__(self) -> None:
        self.files = LogFiles(self.host, self.since)
        self._contents = Contents(self.host, self.clock, self.since)

    @classmethod
    def back(cls, host: Host, seconds: float) -> WindowReader:
        """Return a reader of the last `seconds` by the host's own clock."""
        moment, zone = host.clock()
        clock = Clock(moment.timestamp(), zone)
        return cls(host, clock, clock.now - seconds)

    def _unread(self, path: str) -> list[LogFile]:
        """Return the files of a log that have not been read, by any of their names."""
        files = []
        for each in self.files.of_window(path):
            if each.size and each.identity not in self._read:
                self._read.add(each.identity)
                files.append(each)
        return files

    def lines(self, path: str) -> Iterator[str]:
        """Return the lines of the log at `path`, the oldest first; some are before the window.

        Raises BadAnswer when it cannot be read, or when no line of it has a stamp.
        """
        for file in self._readable(path):
            for _, line in self._all(file, self._contents.start_of(file)):
                yield line

    def signs(self, path: str, extra: str = "") -> Iterator[tuple[bool, str]]:
        """Return the lines that may be errors or have what `extra` says, and those around them.

        `extra` is understood as grep -iE and Python understand it. Raises as `lines`.
        """
        for file in self._readable(path):
            yield from self._signs(file, extra)

    def _signs(self, file: LogFile, extra: str) -> Iterator[tuple[bool, str]]:
        if file.packing or self._is_own_kind(file):
            yield from self._all(file, 0 if file.packing else self._contents.start_of(file), extra)
            return
        start = self._contents.start_of(file)
        signs = "|".join(filter(None, (SIGNS, LETTERS if self._has_letters else "", extra)))
        try:
            text = self._contents.grep(file, start, signs, only_errors=not extra)
        except ProgramMissing:
            yield from self._all(file, start, extra)
            return
        yield from matched(text)
        # What the next file begins with may belong to the last entry of this one.
        yield GAP
        yield from ((False, line) for line in self._last.get(file.identity, ()))

    def _readable(self, path: str) -> Iterator[LogFile]:
        """Yield the files of a log, once it is known that their lines have times."""
        files = self._unread(path)
        before = self.understood
        self.understood = here = Understood()
        for file in files:
            if not file.packing and file.size:
                self._sample(file)
        if here.loose and not (here.strange or here.is_dated):
            here.strange, here.example = 1, here.loose  # as pm2 keeps what Node says of errors
        if here.strange and not here.known:
            raise BadAnswer(
                self.host.system,
                f"No line of {path} on {self.host.name} begins with a time that is understood, "
                f"such as this one: {here.example} - let the service or pm2 (log_date_format) "
                "write ISO 8601 times.",
            )
        if 1 - here.share > STRANGE_SHARE:
            evidence.partial(
                f"{1 - here.share:.0%} of the lines of {path}, whose time is not understood, such "
                f"as: {here.example} - let all that write there begin with an ISO 8601 time"
            )
        here.known += before.known
        here.strange += before.strange
        here.example = here.example or before.example
        here.loose, here.is_dated = "", False
        yield from files

    def _sample(self, file: LogFile) -> None:
        """Count the sampled lines within the window whose time is understood."""
        span = min(file.size, MOST_SCANNED)
        count = max(1, min(SAMPLES, span // SAMPLE))
        first = file.size - span
        offsets = [first + place * span // count for place in range(count)]
        offsets.append(max(0, file.size - SAMPLE))
        for offset, block in self._contents.blocks(file, offsets):
            if offset == 0:
                self._first[file.identity] = block
            lines = lines_of(block, is_first=offset == 0)
            self._last[file.identity] = lines[-MOST_LAST:]
            if any(_EXPORT.match(line) for line in lines):
                self.understood.known += 1
                self.understood.is_dated = True
                continue
            self._count(lines[:: max(1, len(lines) * len(offsets) // _MOST_COUNTED)])
        self._say_zone(file)
        self._say_loose(file, lines)

    def _say_loose(self, file: LogFile, lines: Sequence[str]) -> None:
        """Report errors without a time after the last line with one, which is before the window."""
        at, raised = None, 0
        for line in reversed(lines):
            head = parse(line, self.clock)
            if head:
                at = head.at
                break
            raised += bool(line[:1].strip()) and continues(line)
        if raised > _MOST_RAISED and file.written >= self.since and (at is None or at < self.since):
            evidence.partial(
                f"when the last lines of {file.path} were written, which have no time; let the "
                "service or pm2 (log_date_format) write ISO 8601 times"
            )

    def _say_zone(self, file: LogFile) -> None:
        """Report times that seem to be in another time zone than the host's.

        The last line was written when the file was: a difference of whole quarters of an hour is
        the zone of a container or of a service, unless the lines name their zone themselves.
        """
        off = _off(self._last.get(file.identity, ()), file.written, self.clock.zone)
        if off is None or off == _off(self._last[file.identity], file.written, _ELSEWHERE):
            return
        rest = abs(off) % _QUARTER_S
        if not _QUARTER_S - _ZONE_S < abs(off) < _MOST_ZONE_S or (
            _ZONE_S < rest < _QUARTER_S - _ZONE_S
        ):
            return
        hours = f"{round(abs(off) / _QUARTER_S) / 4:g} h {'ahead of' if off > 0 else 'behind'}"
        evidence.partial(
            f"when the lines of {file.path} were written: their times are {hours} the clock of "
            f"{self.host.name} and name no zone; let the service write times with their zone, such "
            "as ISO 8601 with a Z"
        )

    def _count(self, lines: list[str]) -> None:
        """Count the lines of a block, unless all that has a time in it is before the window."""
        known, example, strange, is_before = 0, "", 0, False
        for line in lines:
            if not line.strip("\0 \t\r"):
                continue
            if continues(line):
                self.understood.loose = self.understood.loose or outside.head(line.strip(), _SHOWN)
                continue
            self._has_letters = self._has_letters or has_letter(line)
            head = parse(line, self.clock)
            if head is None and not TIME_OF_DAY.match(without_colors(line)):
                strange, example = strange + 1, line.strip()
            elif head is None or head.at >= self.since:
                known += 1
            else:
                is_before = True
        self.understood.is_dated = self.understood.is_dated or bool(known) or is_before
        if known or not is_before:
            self.understood.known += known
            self.understood.strange += strange
        if example:
            self.understood.example = outside.shortened(example, _SHOWN, "…")

    def _all(self, file: LogFile, start: int, extra: str = "") -> Iterator[tuple[bool, str]]:
        """Yield all lines of a file from `start` on, with whether they may be errors."""
        pattern = re.compile(extra, re.IGNORECASE) if extra else None
        return signed(self._dated(file, self._contents.lines(file, start)), pattern)

    def _is_own_kind(self, file: LogFile) -> bool:
        """Return whether grep cannot read the file, or an entry has several lines."""
        if not file.size:
            return False
        block = self._first.get(file.identity) or next(self._contents.blocks(file, [0]))[1]
        text = block.decode(errors="replace")
        return (
            bool(wide(block))
            or bool(_EXPORT.search(text))
            or is_time_of_day(text.split("\n"), self.clock)
        )

    def _dated(self, file: LogFile, lines: Iterator[str]) -> Iterator[str]:
        """Yield the lines, each with the date or the form that its kind of log lacks."""
        first: list[str] = []
        for line in lines:
            first.append(line)
            if len(first) == 40:
                break
        everything = _joined(first, lines)
        if any(_EXPORT.match(line) for line in first):
            return journal_lines(everything)
        if is_time_of_day(first, self.clock):
            return iter(dated(list(everything), file.written, self.clock))
        return everything


def _joined(first: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from rest


_ELSEWHERE = timezone(timedelta(hours=-23))  # no service's


def _off(lines: Sequence[str], written: float, zone: tzinfo | None) -> float | None:
    """Return by how many seconds the newest of `lines`, read in `zone`, differs from `written`."""
    clock = Clock(written + DAY_S, zone)  # a time to come is not to count as now
    moments = [head.at for line in lines if (head := parse(line, clock))]
    return max(moments) - written if moments else None

"""The part of a log that reaches into a window of time: the live file and its rotated siblings.

Files are read from their ends, a block at first and more when the block does not reach back far
enough, so that a huge log costs no more than what was written within the window.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from opsnb.errors import BadAnswer
from opsnb.systems.host import Host
from opsnb.systems.logs.lines import Clock, first_stamp

_MIB = 2**20
_FIRST_BLOCK = _MIB
_GROWTH = 8
_MOST_LOCAL = 64 * _MIB
_MOST_REMOTE = 16 * _MIB  # it has to cross the network
_MOST_UNPACKED = 512 * _MIB


@dataclass(frozen=True)
class _Part:
    """The end of one file."""

    lines: list[str]
    is_whole: bool


class WindowReader:
    """Reads logs of `host` back to `since` (seconds since 1970), within a bound in bytes.

    `notes` are sentences on what could not be read.
    """

    def __init__(self, host: Host, clock: Clock, since: float) -> None:
        self._host = host
        self.clock = clock
        self.since = since
        self._most = self._left = _MOST_LOCAL if host.is_local else _MOST_REMOTE
        self._is_cut = False
        self._notes: list[str] = []

    @classmethod
    def back(cls, host: Host, seconds: float) -> WindowReader:
        """Return one that reads the last `seconds` by the host's own clock."""
        moment, zone = host.clock()
        clock = Clock(moment.timestamp(), zone)
        return cls(host, clock, clock.now - seconds)

    @property
    def notes(self) -> list[str]:
        """What was not read, a sentence each."""
        cut = f"Only the newest {self._most // _MIB} MiB were read, so there may be more."
        return [*self._notes, cut] if self._is_cut else self._notes

    def lines(self, path: str) -> Iterator[str]:
        """Return the lines of the log at `path`, the oldest first; some are before the window.

        Raises BadAnswer when it cannot be read, or when no line of it has a stamp.
        """
        path = self._host.expand(path)
        parts = [self._tail(path)]
        stamp = first_stamp(parts[0].lines, self.clock)
        if parts[0].is_whole and not self._reaches(stamp):
            for sibling in self._siblings(path):
                parts.append(self._part(sibling))
                older = first_stamp(parts[-1].lines, self.clock)
                stamp = stamp if older is None else older
                if self._reaches(older) or not parts[-1].is_whole:
                    break
        if stamp is None and any(line.strip() for part in parts for line in part.lines):
            raise BadAnswer(
                self._host.system,
                f"No line of {path} on {self._host.name} begins with a time that is understood; "
                "let the service or pm2 (log_date_format) write ISO 8601 times.",
            )
        return (line for part in reversed(parts) for line in part.lines)

    def _reaches(self, stamp: float | None) -> bool:
        return stamp is not None and stamp < self.since

    def _siblings(self, path: str) -> list[str]:
        folder, name = posixpath.split(path)
        try:
            names = self._host.names_in(folder or ".")
        except BadAnswer as error:
            self._notes.append(f"Rotated logs were not looked for: {error}")
            return []
        return [posixpath.join(folder, sibling) for sibling in siblings(name, names)]

    def _part(self, path: str) -> _Part:
        return self._unpacked(path) if path.endswith(".gz") else self._tail(path)

    def _tail(self, path: str) -> _Part:
        size = min(_FIRST_BLOCK, self._left)
        while True:
            # One byte more than wanted tells whether this is the whole file.
            part = _part(self._host.tail(path, size + 1), size)
            enough = part.is_whole or self._reaches(first_stamp(part.lines, self.clock))
            if enough or size == self._left:
                break
            size = min(size * _GROWTH, self._left)
        return self._counted(part, size, is_cut=not enough)

    def _unpacked(self, path: str) -> _Part:
        packed = self._host.head(path, self._left + 1)
        data, is_sound = gunzip_tail(packed, self._left + 1)
        if not is_sound:
            self._notes.append(f"{path} is damaged or too big to be unpacked to its end.")
        part = _part(data, self._left)
        return self._counted(part, len(data), is_cut=not part.is_whole)

    def _counted(self, part: _Part, size: int, *, is_cut: bool) -> _Part:
        self._left = max(0, self._left - size)
        self._is_cut = self._is_cut or is_cut
        return part


def _part(data: bytes, size: int) -> _Part:
    """Return the lines in `data`, which is the whole file when it is not longer than `size`."""
    is_whole = len(data) <= size
    if data.startswith(b"\0"):
        # Truncating a log under a writer leaves a hole before what is written next.
        data, is_whole = data.lstrip(b"\0"), True
    lines = data.decode("utf-8-sig", errors="replace").split("\n")
    return _Part(lines if is_whole else lines[1:], is_whole)


def gunzip_tail(packed: bytes, most: int) -> tuple[bytes, bool]:
    """Return the last `most` bytes of what is packed, and whether it could be read to its end."""
    data = bytearray()
    unpacked = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            while block := file.read1(_MIB):
                data += block
                unpacked += len(block)
                if len(data) > 2 * most + _MIB:
                    del data[:-most]
                if unpacked > _MOST_UNPACKED:
                    return bytes(data[-most:]), False
    except (OSError, EOFError, zlib.error):
        return bytes(data[-most:]), False
    return bytes(data[-most:]), True


_DATE = r"\d{4}-?\d\d-?\d\d[\d_T:.-]*"


def siblings(name: str, names: list[str]) -> list[str]:
    """Return those of `names` that are rotated files of the log `name`, the newest first.

    For `app.log` these are such as `app.log.1`, `app.log.2.gz`, `app.log-20261123.gz`,
    `app-20261123.log` and `app__2026-11-23_00-00-00.log`.
    """
    stem, suffix = posixpath.splitext(name)
    rotated = re.compile(
        rf"{re.escape(name)}[.-](?P<after>{_DATE}|\d+)(?:\.gz)?"
        rf"|{re.escape(stem)}(?:[._-]{{1,2}}(?P<date>{_DATE})|\.(?P<number>\d+))"
        rf"{re.escape(suffix)}(?:\.gz)?"
    )
    found = [match for other in names if other != name and (match := rotated.fullmatch(other))]
    return [match[0] for match in sorted(found, key=_age)]


def _age(match: re.Match[str]) -> tuple[int, int]:
    """Return the rank of a rotated file: numbers grow with age, dates shrink."""
    digits = re.sub(r"\D", "", match["after"] or match["date"] or match["number"])
    if len(digits) < 8:
        return 0, int(digits)
    return 1, -int(digits[:14].ljust(14, "0"))

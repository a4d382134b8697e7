"""The contents of log files: samples, the lines that grep finds, and whole parts.

In a big file the window is looked for by samples first. Where only errors are wanted the host's
`grep` reads, so that what crosses the network, and what is parsed, are the lines around an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from opsnb.checks import evidence
from opsnb.errors import BadAnswer, TimedOut
from opsnb.systems.host import Host, ProgramFailed
from opsnb.systems.logs.archives import PROGRAMS, Damaged, unpacked
from opsnb.systems.logs.entries import GAP
from opsnb.systems.logs.files import LogFile
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.rotation import UNREADABLE
from opsnb.systems.logs.stamps import Clock
from opsnb.systems.logs.texts import SAMPLE, decoded, lines_of, matched
from opsnb.view.formats import MIB

MOST_SCANNED = 640 * MIB  # by grep, where the file is: as long as grep -c takes for 1 GiB
_MOST_MATCHED = 10 * MIB  # of lines around what was looked for: a second of work at most
_MOST_LOCAL = 64 * MIB  # read line by line
_MOST_REMOTE = 16 * MIB  # it has to cross the network
_MOST_UNPACKED = 512 * MIB
_SMALL = 16 * MIB  # what is read without looking for the window
SAMPLES = 64
_SCAN_S = 7.0
_LAST_S = 1.0  # kept for the newest part, when all of a file takes too long
MOST_LAST = 5  # lines
# `dd` moves the place where grep begins to read; what grep found at last is kept.
_GREP = (
    '[ -r "$1" ] || { echo "$1: Permission denied" >&2; exit 1; }; '
    "command -v grep >/dev/null || exit 127; "
    '{ dd bs=1048576 skip="$2" count=0 2>/dev/null; '
    'grep -aiHE -B 3 -A 4 -e "$4"; printf "\\n%s %s\\n" "$3" "$?"; } <"$1" '
    '| grep -avE -e "$6" | tr -d "\\000" | cut -b 1-65536 | tail -c "$5"'
)
# Lines of JSON that begin with a level below error are none, whatever words they have.
_MILD = r"([1-4]0|\\?\"(trace|debug|verbose|silly|http|info|notice|warn|warning)\\?\"),"
_NO_ERROR = rf'^\(standard input\):(\{{"log":"\{{\\"level\\":|\{{"level":){_MILD}'
_NOTHING = "^opsnb-nothing$"
_DD = (
    'f=$1; m=$2; shift 2; for o; do dd if="$f" bs=4096 skip="$o" count=2 2>/dev/null; '
    'printf "\\n%s\\n" "$m"; done'
)
_UNPACK = (
    'command -v "$2" >/dev/null || { echo "$2 is not installed" >&2; exit 3; }; '
    '{ "$2" -dc <"$1" 2>/dev/null; printf "\\n%s %s\\n" "$3" "$?"; } | tail -c "$4"'
)
_MARK = "opsnb-end-of-log"


@dataclass(frozen=True)
class Contents:
    """Reads the files of logs on `host`, from `since` (seconds since 1970) on, within bounds."""

    host: Host
    clock: Clock
    since: float

    def lines(self, file: LogFile, start: int) -> Iterator[str]:
        """Yield the lines of a file from the byte `start` on, or those of a packed file."""
        return decoded(self._unpacked(file) if file.packing else self._tail(file, start))

    def start_of(self, file: LogFile) -> int:
        """Return the byte from which a file has to be read.

        Its lines need not be in order: what is before is sampled, and a margin is kept.
        """
        if file.packing or file.size <= _SMALL:
            return 0
        first = max(0, file.size - MOST_SCANNED)
        step = max(MIB, (file.size - first) // SAMPLES)
        offsets = list(range(first, file.size, step))
        within = []
        for place, (offset, block) in enumerate(self.blocks(file, offsets)):
            lines = lines_of(block, is_first=offset == 0)
            moments = self._moments(lines)
            if moments and max(moments) >= self.since:
                within.append(place)
            elif not moments and block.strip(b"\0"):
                within.append(place)  # a huge line, or one that is not understood
        start = offsets[max(0, min(within, default=len(offsets)) - 2)]
        if start == first > 0 and within and within[0] == 0:
            self._say_cut(file, MOST_SCANNED)
        return start // MIB * MIB

    def _moments(self, lines: list[str]) -> list[float]:
        """Return when the first and the last lines of a block were written, or all if few are."""
        some = [*lines[:MOST_LAST], *lines[-MOST_LAST:]]
        moments = [head.at for line in some if (head := parse(line, self.clock))]
        return moments or [head.at for line in lines if (head := parse(line, self.clock))]

    def _say_cut(self, file: LogFile, size: int) -> None:
        evidence.partial(
            f"what is before the newest {size // MIB} MiB of {file.path}; ask for fewer hours"
        )

    def blocks(self, file: LogFile, offsets: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield a sample of a file at each of `offsets`."""
        if self.host.is_local:
            with self._opened(file) as stream:
                for offset in offsets:
                    stream.seek(offset)
                    yield offset, stream.read(SAMPLE)
            return
        places = [offset // 4096 for offset in offsets]
        argv = ["sh", "-c", _DD, "sh", file.path, _MARK, *map(str, places)]
        text = self._asked(file, argv)
        for place, block in zip(places, text.split(f"\n{_MARK}\n"), strict=False):
            yield place * 4096, block.encode()

    def _opened(self, file: LogFile) -> BinaryIO:
        try:
            return Path(file.path).open("rb")
        except OSError as error:
            raise BadAnswer(
                self.host.system,
                f"{file.path} on {self.host.name} cannot be read: {error.strerror}.",
            ) from error

    def _asked(self, file: LogFile, argv: Sequence[str], limit_s: float = _SCAN_S) -> str:
        try:
            return self.host.run(argv, limit_s)
        except ProgramFailed as error:
            raise BadAnswer(
                self.host.system,
                f"{file.path} on {self.host.name} cannot be read: "
                f"{error.said.rpartition(': ')[2]}.",
            ) from error

    def _left_s(self) -> float:
        return self.host.ends - time.monotonic()

    def grep(self, file: LogFile, start: int, signs: str, *, only_errors: bool) -> str:
        """Return the lines that have one of `signs`, and those around them.

        With `only_errors`, without the lines of JSON that have a level below error.
        """
        drop = _NO_ERROR if only_errors else _NOTHING
        try:
            return self._grepped(file, start, signs, drop, min(_SCAN_S, self._left_s() - _LAST_S))
        except TimedOut:
            newest = max(start, (file.size - _SMALL) // MIB * MIB)
            evidence.partial(
                f"what is before the newest {(file.size - newest) / MIB:.0f} MiB of {file.path}, "
                "which takes too long to read; ask for fewer hours"
            )
            return self._grepped(file, newest, signs, drop, _LAST_S)

    def _grepped(self, file: LogFile, start: int, signs: str, drop: str, limit_s: float) -> str:
        most = str(_MOST_MATCHED)
        place = str(start // MIB)
        argv = ["sh", "-c", _GREP, "sh", file.path, place, _MARK, signs, most, drop]
        text = self._asked(file, argv, limit_s)
        body, _, code = text.rpartition(f"\n{_MARK} ")
        if code.strip() not in ("0", "1"):
            raise BadAnswer(
                self.host.system, f"`grep` on {self.host.name} could not read {file.path}."
            )
        if len(text) >= _MOST_MATCHED - 4:
            body = body.partition("\n")[2]
            first = next(matched(body), GAP)[1]
            head = parse(first, self.clock)
            if head is None or head.at >= self.since:
                evidence.partial(
                    f"all but the newest {_MOST_MATCHED // MIB} MiB of the lines of {file.path} "
                    "that may be errors; ask for fewer hours"
                )
        return body

    def _tail(self, file: LogFile, start: int) -> Iterator[bytes]:
        most = _MOST_LOCAL if self.host.is_local else _MOST_REMOTE
        size = file.size - start
        if size > most:
            size = most
            self._say_bound(file, most)
        if not self.host.is_local:
            yield self.host.tail(file.path, size)
            return
        with self._opened(file) as stream:
            stream.seek(file.size - size)
            is_cut = file.size - size > start
            while size > 0 and (block := stream.read(min(MIB, size))):
                size -= len(block)
                yield block.partition(b"\n")[2] if is_cut else block
                is_cut = False

    def _say_bound(self, file: LogFile, most: int) -> None:
        """Report that a file was cut, unless the rest is before the window."""
        ((offset, block),) = self.blocks(file, [(file.size - most) // 4096 * 4096])
        lines = lines_of(block, is_first=offset == 0)
        moments = self._moments(lines)
        if not moments or max(moments) >= self.since:
            self._say_cut(file, most)

    def _unpacked(self, file: LogFile) -> Iterator[bytes]:
        if file.packing in UNREADABLE:
            evidence.partial(
                f"{file.path}, which is packed as {file.packing}; let logrotate use gzip, zstd "
                "or xz"
            )
            return
        if not self.host.is_local:
            yield from self._unpacked_there(file)
            return
        size = 0
        with self._opened(file) as stream:
            try:
                for block in unpacked(stream):
                    size += len(block)
                    if size > _MOST_UNPACKED or self._left_s() < _LAST_S:
                        evidence.partial(
                            f"the end of {file.path}, which is too big to be unpacked to its end; "
                            "ask for fewer hours"
                        )
                        return
                    yield block
            except Damaged as error:
                evidence.partial(f"all of {file.path}: it {error}")

    def _unpacked_there(self, file: LogFile) -> Iterator[bytes]:
        program = PROGRAMS[file.packing]
        argv = ["sh", "-c", _UNPACK, "sh", file.path, program, _MARK, str(_MOST_REMOTE)]
        try:
            text = self.host.run(argv, _SCAN_S)
        except TimedOut:
            evidence.partial(f"{file.path}, which takes too long to unpack; ask for fewer hours")
            return
        except ProgramFailed as error:
            fix = f"; install {program} there" if "not installed" in error.said else ""
            evidence.partial(f"{file.path}: {error.said} on {self.host.name}{fix}")
            return
        body, _, code = text.rpartition(f"\n{_MARK} ")
        if code.strip() != "0":
            evidence.partial(f"all of {file.path}: it is damaged, or ends early")
        if len(text) >= _MOST_REMOTE - 4:
            evidence.partial(
                f"what is before the newest {_MOST_REMOTE // MIB} MiB of {file.path}; ask for "
                "fewer hours"
            )
        yield body.encode()

"""The part of a log that reaches into a window of time: the live file and its rotated siblings.

The files that were written to within the window are read, each once, whatever its names. In a big
file the window is looked for by samples first. Where only errors are wanted the host's `grep`
reads, so that what crosses the network, and what is parsed, are the lines around an error.
"""

from __future__ import annotations

import codecs
import fnmatch
import io
import json
import os
import posixpath
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import BinaryIO

from opsnb.checks import evidence
from opsnb.errors import BadAnswer, TimedOut
from opsnb.redaction import outside
from opsnb.systems.host import Host, ProgramFailed, ProgramMissing
from opsnb.systems.logs.archives import PROGRAMS, Damaged, unpacked
from opsnb.systems.logs.entries import GAP, LETTERS, SIGNS, continues, has_letter, signed
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.rotation import PACKED, UNREADABLE, siblings
from opsnb.systems.logs.stamps import DAY_S, TIME_OF_DAY, Clock

_MIB = 2**20
_MOST_SCANNED = 640 * _MIB  # by grep, where the file is: as long as grep -c takes for 1 GiB
_MOST_MATCHED = 10 * _MIB  # of lines around what was looked for: a second of work at most
_MOST_LOCAL = 64 * _MIB  # read line by line
_MOST_REMOTE = 16 * _MIB  # it has to cross the network
_MOST_UNPACKED = 512 * _MIB
_SMALL = 16 * _MIB  # what is read without looking for the window
_SAMPLES = 64
_SAMPLE = 8192
_GRACE_S = 120.0  # by which a file's time of writing and the times in it may differ
_QUARTER_S = 900  # all zones differ by some of them
_ZONE_S = 5.0  # by which a line's time and that of its writing differ, but for the zone
_MOST_ZONE_S = 14.5 * 3600
_MOST_RAISED = 8  # errors that belong to one entry, as causes of one another
_STRANGE_SHARE = 0.2  # of the lines, from which on what is in them is not known
_SHOWN = 120
_MOST_LAST = 5
_MOST_COUNTED = 1000  # sampled lines
_SCAN_S = 7.0
_LAST_S = 1.0  # kept for the newest part, when all of a file takes too long
_GLOB = re.compile(r"[*?\[]")
_MATCHED = re.compile(r"\(standard input\)([:-])")
_EXPORT = re.compile(r"^__REALTIME_TIMESTAMP=\d+$", re.MULTILINE)
_STATS = (
    'for f; do if [ -e "$f" ]; then stat -Lc "%F|%d:%i|%s|%Y|%n" -- "$f"; '
    'readlink -f -- "$f"; fi; done'
)
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
class LogFile:
    """A file on the host."""

    path: str
    identity: str
    size: int
    written: float
    """When it was last written to, in seconds since 1970."""
    real: str
    """Where its path leads to."""

    @property
    def packing(self) -> str:
        """The ending of its name that tells how it is packed, or nothing."""
        ending = posixpath.splitext(self.path)[1]
        return ending if ending in (*PACKED, *UNREADABLE) else ""


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

    What could not be read is reported as evidence; `notes` are sentences on what else is to know.
    """

    host: Host
    clock: Clock
    since: float
    understood: Understood = field(default_factory=Understood)
    notes: list[str] = field(default_factory=list)
    _read: set[str] = field(default_factory=set)
    _first: dict[str, bytes] = field(default_factory=dict)
    _last: dict[str, list[str]] = field(default_factory=dict)
    _has_letters: bool = False

    @classmethod
    def back(cls, host: Host, seconds: float) -> WindowReader:
        """Return one that reads the last `seconds` by the host's own clock."""
        moment, zone = host.clock()
        clock = Clock(moment.timestamp(), zone)
        return cls(host, clock, clock.now - seconds)

    # ---- which files --------------------------------------------------------------------------

    def paths(self, configured: Iterable[str]) -> list[str]:
        """Return the logs that are configured, with the files that a pattern such as *.log names.

        Raises BadAnswer when the pattern matches nothing.
        """
        found: dict[str, None] = {}
        for path in configured:
            expanded = self.host.expand(path)
            if not _GLOB.search(expanded) or self._files([expanded]):
                found[expanded] = None
                continue
            matches = self._matching(expanded)
            if not matches:
                evidence.partial(f"{path} matches no file on {self.host.name}; correct `logs`")
            found.update(dict.fromkeys(matches))
        if not found:
            raise BadAnswer(
                self.host.system,
                f"{', '.join(configured)} matches no file on {self.host.name}; correct `logs`.",
            )
        return list(found)

    def _matching(self, path: str) -> list[str]:
        """Return what a pattern of the shell names, folder by folder."""
        folders = ["/" if path.startswith("/") else ""]
        for part in path.strip("/").split("/"):
            if not _GLOB.search(part):
                folders = [posixpath.join(folder, part) for folder in folders]
                continue
            deeper = []
            for folder in folders:
                try:
                    names = self.host.names_in(folder or ".")
                except BadAnswer:
                    continue
                chosen = fnmatch.filter(names, part)
                deeper += [
                    posixpath.join(folder, name)
                    for name in sorted(chosen)
                    if part.startswith(".") or not name.startswith(".")
                ]
            folders = deeper
        return [each.path for each in self._files(folders)]

    def _files(self, paths: Sequence[str]) -> list[LogFile]:
        """Return those of `paths` that are regular files, or lead to one."""
        if not self.host.is_local:
            return self._remote_files(paths)
        found = []
        for path in paths:
            try:
                seen = Path(path).stat()
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(seen.st_mode):
                identity = f"{seen.st_dev}:{seen.st_ino}"
                real = os.path.realpath(path)
                found.append(LogFile(path, identity, seen.st_size, seen.st_mtime, real))
        return found

    def _remote_files(self, paths: Sequence[str]) -> list[LogFile]:
        if not paths:
            return []
        found = []
        lines = self.host.run(["sh", "-c", _STATS, "sh", *paths]).splitlines()
        for line, real in zip(lines[::2], lines[1::2], strict=False):
            kind, _, rest = line.partition("|")
            if kind.startswith("regular"):
                identity, size, written, path = rest.split("|", 3)
                found.append(LogFile(path, identity, int(size), float(written), real))
        return found

    def _of_window(self, path: str) -> list[LogFile]:
        """Return the log at `path` and its siblings that reach into the window, oldest first."""
        live = self._files([path])
        names = self._sibling_names(path, live)
        rotated = self._files(names)
        if not live and not rotated:
            self.host.head(path, 1)  # says why it cannot be read
            raise BadAnswer(
                self.host.system,
                f"{path} on {self.host.name} cannot be read: not a regular file.",
            )
        self._say_silent(path, live, rotated)
        wanted = [each for each in rotated if each.written >= self.since - _GRACE_S]
        order = {name: place for place, name in enumerate(names)}
        wanted.sort(key=lambda each: order[each.path], reverse=True)
        if live and live[0].written < self.since - _GRACE_S:
            live = []
        return [*wanted, *live]

    def _say_silent(self, path: str, live: list[LogFile], rotated: list[LogFile]) -> None:
        newest = max((each.written for each in (*live, *rotated)), default=0.0)
        written = f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if not live:
            self.notes.append(f"{path} does not exist now; its rotated files were read.")
            if newest < self.since:
                evidence.partial(
                    f"what was written to {path} since {written}: there is no such file now; "
                    "correct `logs`, or start the service"
                )
        elif not live[0].size and newest < self.since:
            self.notes.append(f"{path} is empty.")
        elif newest < self.since:
            self.notes.append(f"{path} is silent: its last line was written at {written}.")

    def _sibling_names(self, path: str, live: list[LogFile]) -> list[str]:
        places = dict.fromkeys((path, *(each.real for each in live)))
        found: dict[str, None] = {}
        for place in places:
            folder, name = posixpath.split(place)
            try:
                names = self.host.names_in(folder or ".")
            except BadAnswer as error:
                if not live:
                    self.host.head(path, 1)  # says why it cannot be read
                evidence.partial(f"rotated files of {path}: {str(error).rstrip('.')}")
                continue
            found.update((posixpath.join(folder, each), None) for each in siblings(name, names))
        return list(found)

    def _unread(self, path: str) -> list[LogFile]:
        """Return the files of a log that have not been read, by any of their names."""
        files = []
        for each in self._of_window(path):
            if each.size and each.identity not in self._read:
                self._read.add(each.identity)
                files.append(each)
        return files

    # ---- their lines --------------------------------------------------------------------------

    def lines(self, path: str) -> Iterator[str]:
        """Return the lines of the log at `path`, the oldest first; some are before the window.

        Raises BadAnswer when it cannot be read, or when no line of it has a stamp.
        """
        for file in self._readable(path):
            for _, line in self._all(file, self._start(file)):
                yield line

    def signs(self, path: str, extra: str = "") -> Iterator[tuple[bool, str]]:
        """Return the lines that may be errors or have what `extra` says, and those around them.

        `extra` is understood as grep -iE and Python understand it. Raises as `lines`.
        """
        for file in self._readable(path):
            yield from self._signs(file, extra)

    def _signs(self, file: LogFile, extra: str) -> Iterator[tuple[bool, str]]:
        if file.packing or self._is_own_kind(file):
            yield from self._all(file, 0 if file.packing else self._start(file), extra)
            return
        start = self._start(file)
        try:
            text = self._grep(file, start, extra)
        except ProgramMissing:
            yield from self._all(file, start, extra)
            return
        yield from _matched(text)
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
        if 1 - here.share > _STRANGE_SHARE:
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
        """Count what is understood of some of the file's lines within the window."""
        span = min(file.size, _MOST_SCANNED)
        count = max(1, min(_SAMPLES, span // _SAMPLE))
        first = file.size - span
        offsets = [first + place * span // count for place in range(count)]
        offsets.append(max(0, file.size - _SAMPLE))
        for offset, block in self._blocks(file, offsets):
            if offset == 0:
                self._first[file.identity] = block
            lines = _lines_of(block, is_first=offset == 0)
            self._last[file.identity] = lines[-_MOST_LAST:]
            if any(_EXPORT.match(line) for line in lines):
                self.understood.known += 1
                self.understood.is_dated = True
                continue
            self._count(lines[:: max(1, len(lines) * len(offsets) // _MOST_COUNTED)])
        self._say_zone(file)
        self._say_loose(file, lines)

    def _say_loose(self, file: LogFile, lines: Sequence[str]) -> None:
        """Say that errors without a time stand behind the last time, which is before the window."""
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
        """Say that the times in a file are of another zone than the host's, if they look like it.

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
            if head is None and not TIME_OF_DAY.match(_plain(line)):
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

    def _start(self, file: LogFile) -> int:
        """Return from which byte on a file has to be read.

        Its lines need not be in order: what is before is sampled, and a margin is kept.
        """
        if file.packing or file.size <= _SMALL:
            return 0
        first = max(0, file.size - _MOST_SCANNED)
        step = max(_MIB, (file.size - first) // _SAMPLES)
        offsets = list(range(first, file.size, step))
        within = []
        for place, (offset, block) in enumerate(self._blocks(file, offsets)):
            lines = _lines_of(block, is_first=offset == 0)
            moments = self._moments(lines)
            if moments and max(moments) >= self.since:
                within.append(place)
            elif not moments and block.strip(b"\0"):
                within.append(place)  # a huge line, or one that is not understood
        start = offsets[max(0, min(within, default=len(offsets)) - 2)]
        if start == first > 0 and within and within[0] == 0:
            self._say_cut(file, _MOST_SCANNED)
        return start // _MIB * _MIB

    def _moments(self, lines: list[str]) -> list[float]:
        """Return when the first and the last lines of a block were written, or all if few are."""
        some = [*lines[:_MOST_LAST], *lines[-_MOST_LAST:]]
        moments = [head.at for line in some if (head := parse(line, self.clock))]
        return moments or [head.at for line in lines if (head := parse(line, self.clock))]

    def _say_cut(self, file: LogFile, size: int) -> None:
        evidence.partial(
            f"what is before the newest {size // _MIB} MiB of {file.path}; ask for fewer hours"
        )

    def _blocks(self, file: LogFile, offsets: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield some bytes of a file from each of `offsets` on."""
        if self.host.is_local:
            with self._opened(file) as stream:
                for offset in offsets:
                    stream.seek(offset)
                    yield offset, stream.read(_SAMPLE)
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

    # ---- with grep ----------------------------------------------------------------------------

    def _grep(self, file: LogFile, start: int, extra: str) -> str:
        try:
            return self._grepped(file, start, extra, min(_SCAN_S, self._left_s() - _LAST_S))
        except TimedOut:
            newest = max(start, (file.size - _SMALL) // _MIB * _MIB)
            evidence.partial(
                f"what is before the newest {(file.size - newest) / _MIB:.0f} MiB of {file.path}, "
                "which takes too long to read; ask for fewer hours"
            )
            return self._grepped(file, newest, extra, _LAST_S)

    def _grepped(self, file: LogFile, start: int, extra: str, limit_s: float) -> str:
        signs = "|".join(filter(None, (SIGNS, LETTERS if self._has_letters else "", extra)))
        most = str(_MOST_MATCHED)
        place = str(start // _MIB)
        drop = _NOTHING if extra else _NO_ERROR
        argv = ["sh", "-c", _GREP, "sh", file.path, place, _MARK, signs, most, drop]
        text = self._asked(file, argv, limit_s)
        body, _, code = text.rpartition(f"\n{_MARK} ")
        if code.strip() not in ("0", "1"):
            raise BadAnswer(
                self.host.system, f"`grep` on {self.host.name} could not read {file.path}."
            )
        if len(text) >= _MOST_MATCHED - 4:
            body = body.partition("\n")[2]
            first = next(_matched(body), GAP)[1]
            head = parse(first, self.clock)
            if head is None or head.at >= self.since:
                evidence.partial(
                    f"all but the newest {_MOST_MATCHED // _MIB} MiB of the lines of {file.path} "
                    "that may be errors; ask for fewer hours"
                )
        return body

    # ---- line by line -------------------------------------------------------------------------

    def _all(self, file: LogFile, start: int, extra: str = "") -> Iterator[tuple[bool, str]]:
        """Yield all lines of a file from `start` on, with whether they may be errors."""
        pattern = re.compile(extra, re.IGNORECASE) if extra else None
        blocks = self._unpacked(file) if file.packing else self._plain(file, start)
        return signed(self._dated(file, _decoded(blocks)), pattern)

    def _plain(self, file: LogFile, start: int) -> Iterator[bytes]:
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
            while size > 0 and (block := stream.read(min(_MIB, size))):
                size -= len(block)
                yield block.partition(b"\n")[2] if is_cut else block
                is_cut = False

    def _say_bound(self, file: LogFile, most: int) -> None:
        """Say that a file is cut, unless what is left out is before the window."""
        ((offset, block),) = self._blocks(file, [(file.size - most) // 4096 * 4096])
        lines = _lines_of(block, is_first=offset == 0)
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
                f"what is before the newest {_MOST_REMOTE // _MIB} MiB of {file.path}; ask for "
                "fewer hours"
            )
        yield body.encode()

    # ---- logs of a kind of their own ----------------------------------------------------------

    def _is_own_kind(self, file: LogFile) -> bool:
        """Say whether grep cannot read it, or what belongs together stands on several lines."""
        if not file.size:
            return False
        block = self._first.get(file.identity) or next(self._blocks(file, [0]))[1]
        text = block.decode(errors="replace")
        return (
            bool(_wide(block))
            or bool(_EXPORT.search(text))
            or _is_time_of_day(text.split("\n"), self.clock)
        )

    def _dated(self, file: LogFile, lines: Iterator[str]) -> Iterator[str]:
        """Yield the lines, with what some kinds of logs lack."""
        first: list[str] = []
        for line in lines:
            first.append(line)
            if len(first) == 40:
                break
        everything = _joined(first, lines)
        if any(_EXPORT.match(line) for line in first):
            return journal_lines(everything)
        if _is_time_of_day(first, self.clock):
            return iter(dated(list(everything), file.written, self.clock))
        return everything


def _joined(first: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from rest


_ELSEWHERE = timezone(timedelta(hours=-23))  # no service's


def _off(lines: Sequence[str], written: float, zone: tzinfo | None) -> float | None:
    """Return by how much the newest of `lines` differs from `written`, read as in `zone`."""
    clock = Clock(written + DAY_S, zone)  # a time to come is not to count as now
    moments = [head.at for line in lines if (head := parse(line, clock))]
    return max(moments) - written if moments else None


def _lines_of(block: bytes, *, is_first: bool) -> list[str]:
    """Return the whole lines in a block from the middle of a file."""
    encoding = _wide(block)
    lines = block.decode(encoding or "utf-8", errors="replace").split("\n")
    if not is_first:
        lines = lines[1:]
    return lines if len(block) < _SAMPLE else lines[:-1]


def _wide(block: bytes) -> str:
    """Return the encoding when each character takes two bytes, else nothing."""
    sample = block.lstrip(b"\0")[:_SAMPLE]
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if zeros.count(0) > len(sample) // 4:
            return name
    return ""


def _decoded(blocks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines in `blocks`, whose encoding the first one tells."""
    rest = ""
    decoder: codecs.IncrementalDecoder | None = None
    for block in blocks:
        if decoder is None:
            decoder = codecs.getincrementaldecoder(_wide(block[:_SAMPLE]) or "utf-8")(
                errors="replace"
            )
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        yield from lines
    if rest:
        yield rest


def _matched(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the lines that grep printed, with whether each matched; GAP where it left some out."""
    for line in io.StringIO(text, newline="\n"):
        found = _MATCHED.match(line)
        if found:
            part = line[found.end() : found.end() + 2**16]  # type: ignore[cut]  # far beyond what is shown
            yield found[1] == ":", part.rstrip("\r\n")
        elif line == "--\n":
            yield GAP


def _is_time_of_day(lines: Sequence[str], clock: Clock) -> bool:
    """Say whether lines have a time without a day, as pino-pretty writes them."""
    known = [line for line in lines if parse(line, clock)]
    return not known and any(TIME_OF_DAY.match(_plain(line)) for line in lines)


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line)


def dated(lines: list[str], written: float, clock: Clock) -> list[str]:
    """Return `lines`, whose stamps have no day, with days, of which the last was at `written`."""
    day = datetime.fromtimestamp(min(written, clock.now) + 1, clock.zone)
    later = f"{day:%H:%M:%S}"
    found = []
    for line in reversed(lines):
        plain = _plain(line)
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

"""The errors among the lines of a log, each with the lines that belong to it.

Pure functions. Most lines of a log are no errors, and of those only the ones around an error are
read: `SIGNS` says of a line whether it may be one, here or by `grep` on the host.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from opsnb.systems.logs.levels import says_error
from opsnb.systems.logs.lines import Head, is_part, parse, raw
from opsnb.systems.logs.stamps import Clock

SIGNS = (
    "err|eror|fatal|ftl|crit|emerg|alert|panic|severe|exception|uncaught|unhandled"
    "|e(conn|timedout|pipe|notfound|ai_again|hostunreach|netunreach|addrinuse|acces|nospc|mfile"
    "|nomem|rofs)|segmentation fault|core dumped|out of memory|traceback"
    r'|(level|priority|severitynumber)["\\]*: ?["\\]*([0-3]["\\,} ]|[5-9][0-9]|1[7-9]|2[0-4])'
)
"""Words that an error may have, as `grep -iE` and Python's `re` both read them."""

LETTERS = r"^<[0-9]|(^|[] [|])[EF][]/:]|[]Z0-9:] [EF] |^[EF][01][0-9]"
"""The same of a line whose level is a letter, or syslog's priority; looked for where there are
such lines, for it takes as long as all else."""

GAP = (False, "\0")
"""Stands for lines that have been left out."""
_MOST_BEFORE = 64
_MOST_LINE = 2**16
_MOST_KEPT = 2**14
_MOST_STACK = 20  # lines
_CONTINUES = re.compile(r"\s|[}\])]|at\s|Caused by:|\.\.\. \d+ more|---|\^")
_RAISED = re.compile(
    r"(?:Uncaught )?(?:[\w.$]+: )?[\w.$]*(?:Error|Exception)\b(?: \[\w+\])?:?"
    r"|Traceback \(most|During handling of|The above exception|Node\.js v\d"
)
_CRASHES = re.compile(
    r"(?:node:|file://|/|[A-Z]:\\)[^\s:]*:\d+$|Uncaught:?$|Traceback \(most recent"
)


def _kept(text: str) -> str:
    """Return what is kept of a line: far more than is shown, so no cut of ours is seen."""
    return text[:_MOST_KEPT]  # type: ignore[cut]


class ErrorEntry(NamedTuple):
    """One error: a line, and the lines without a stamp that belong to it.

    As it was written, with all that is in it: shown is what `opsnb.redaction.outside` makes of it.
    """

    at: float
    message: str
    stack: str = ""
    """The lines after it: the error's own text and where it was raised."""


class Finder:
    """Finds errors in lines that are given one after the other, and lines that have `marks`."""

    def __init__(self, clock: Clock, since: float, marks: re.Pattern[str] | None = None) -> None:
        self._clock = clock
        self._since = since
        self._marks = marks
        self.marked: list[tuple[float, str]] = []
        """When lines were written that have the marks, and the lines."""
        self._start()

    def _start(self) -> None:
        self._before: deque[str] = deque(maxlen=_MOST_BEFORE)
        self._head: Head | None = None  # of the entry that lines without a stamp belong to
        self._is_reported = False  # whether that entry is an error already
        self._is_crash = False
        self._parts: list[str] = []
        self._error: ErrorEntry | None = None  # to which lines may still be added
        self._stack: list[str] = []
        self._line = ""

    def errors(self, lines: Iterable[tuple[bool, str]]) -> Iterator[ErrorEntry]:
        """Yield the errors among `lines`, each of which says whether it has one of the signs."""
        for is_sign, line in lines:
            if line == "\0":
                yield from self._ended()
                self._start()
                continue
            if self._parts:
                self._parts.append(line)
                if is_part(line) and len(self._parts) < _MOST_BEFORE:
                    continue
                yield from self._judge(raw(self._parts, self._clock), "".join(self._parts))
                self._parts = []
            elif is_sign:
                yield from self._candidate(line)
            elif self._error and _CONTINUES.match(line):
                self._add(line)
            else:
                if _CRASHES.match(line):
                    self._is_crash = True
                self._before.append(line)
        yield from self._ended()

    def _ended(self) -> Iterator[ErrorEntry]:
        if self._parts:
            yield from self._judge(raw(self._parts, self._clock), "".join(self._parts))
        yield from self._flushed()

    def _flushed(self) -> Iterator[ErrorEntry]:
        if self._error:
            stack = self._stack if self._error.message else self._stack[1:]
            yield self._error._replace(
                message=self._error.message or (self._stack[0] if self._stack else self._line),
                stack="\n".join(stack) or self._error.stack,
            )
        self._error, self._stack = None, []

    def _add(self, line: str) -> None:
        if self._error and len(self._stack) < _MOST_STACK:
            self._stack.append(_kept(line.rstrip() if self._stack else line.strip()))

    def _candidate(self, line: str) -> Iterator[ErrorEntry]:
        if is_part(line):
            self._parts = [line]
            return
        parts = [line]
        while self._before and is_part(self._before[-1]):
            parts.insert(0, self._before.pop())
        if len(parts) > 1:
            yield from self._judge(raw(parts, self._clock), line)
        else:
            yield from self._judge(parse(line, self._clock), line)

    def _judge(self, head: Head | None, line: str) -> Iterator[ErrorEntry]:
        if self._marks and head and head.at >= self._since and self._marks.search(line):
            self.marked.append((head.at, _kept(line.strip())))
        if head is None or (head.is_bare and self._belongs(head)):
            yield from self._continued(line if head is None else head.rest, head)
            return
        yield from self._flushed()
        self._before.clear()
        self._head, self._is_reported, self._is_crash = head, False, False
        if head.at < self._since:
            return
        severe, message = head.verdict()
        if says_error(message) if severe is None else severe:
            self._error = ErrorEntry(head.at, _kept(message), head.stack)
            self._line = _kept(line.strip())
            self._is_reported = True

    def _belongs(self, head: Head) -> bool:
        """Return whether a line whose only time is its wrapper's belongs to the entry before."""
        if _CONTINUES.match(head.rest):
            return True
        before = self._last()
        return bool(before and not before.is_bare and before.fields is None)

    def _last(self) -> Head | None:
        """Return the last entry: lines without a sign are only parsed when it matters."""
        while self._before:
            line = self._before.pop()
            head = parse(line, self._clock)
            if head and not (head.is_bare and _CONTINUES.match(head.rest)):
                self._head, self._is_reported = head, _is_error(head)
                break
            if _CRASHES.match(line):
                self._is_crash = True
        self._before.clear()
        return self._head

    def _continued(self, text: str, own: Head | None) -> Iterator[ErrorEntry]:
        """Take a line without a stamp, which is part of an entry, or an error by itself."""
        if self._error and not self._before:
            self._add(text)
            return
        head = self._last()
        if head is None or self._is_reported or head.at < self._since or not says_error(text):
            return
        # A line of JSON is complete, and Node itself prints a crash: neither is continued.
        is_own = (head.fields is not None or self._is_crash) and not _CONTINUES.match(text)
        if is_own or head.verdict().severe is None:
            yield from self._flushed()
            at = own.at if own else head.at
            self._error = ErrorEntry(at, _kept(text.strip()))
            self._is_reported = head.fields is None


def _is_error(head: Head) -> bool:
    severe, message = head.verdict()
    return says_error(message) if severe is None else severe


_SIGN = re.compile(f"{SIGNS}|{LETTERS}", re.IGNORECASE)
_LETTER = re.compile(rf"(?:{LETTERS})|(^|[] [|])[WIDTV][]/:]|[]Z0-9:] [WIDTV] |^[WID][01][0-9]")


def signed(
    lines: Iterable[str], extra: re.Pattern[str] | None = None
) -> Iterator[tuple[bool, str]]:
    """Yield each line with whether it has one of the signs, or the `extra` one."""
    for line in lines:
        part = line[:_MOST_LINE]  # type: ignore[cut]  # far beyond what is shown
        yield bool(_SIGN.search(line) or (extra and extra.search(line))), part


def continues(line: str) -> bool:
    """Return whether a line without a stamp is part of the one before, by how it begins."""
    return bool(_CONTINUES.match(line) or _RAISED.match(line))


def has_letter(line: str) -> bool:
    """Return whether the level of a line may be a letter, or syslog's priority."""
    return bool(_LETTER.search(line, 0, 200))

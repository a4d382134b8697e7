"""The progress of a single run on a terminal: a last line that is updated in place."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from opsnb.headless.progress import Progress, Reported, Spectator
from opsnb.model import Status
from opsnb.view import terminal
from opsnb.view.formats import duration
from opsnb.view.styles import TERMINAL_STYLES

_EVERY_S = 0.25


@contextmanager
def shown(what: str, wait_s: float | None = None) -> Iterator[Spectator]:
    """Yield a spectator that shows progress: `what` runs and where; it waits at most `wait_s`."""
    if not sys.stderr.isatty():
        yield Spectator()
        return
    view = _View(what, wait_s)
    ended = threading.Event()
    thread = threading.Thread(target=view.follow, args=(ended,), daemon=True)
    thread.start()
    try:
        yield Spectator(waits=view.waits, begins=view.begins)
    finally:
        ended.set()
        thread.join()


class _View:
    """Writes the progress line, and findings above it as they arrive."""

    def __init__(self, what: str, wait_s: float | None) -> None:
        self._what, self._wait_s = what, wait_s
        self._console = terminal.console(stderr=True)
        self._status = terminal.StatusLine(self._console)
        self._began = time.monotonic()
        self._waits = ""
        self._written: set[object] = set()
        self._progress: Progress | None = None
        self._limit_s: float | None = None

    def waits(self, sentence: str) -> None:
        """Note which run it waits for."""
        self._waits = sentence

    def begins(self, progress: Progress, limit_s: float | None) -> None:
        """Note that the notebook has started."""
        self._began, self._progress, self._limit_s = time.monotonic(), progress, limit_s

    def follow(self, ended: threading.Event) -> None:
        """Update the line until the run ends, then clear it."""
        while not ended.wait(_EVERY_S):
            self._status.write(self._line())
        self._status.clear()

    def _line(self) -> str:
        passed = duration(int(time.monotonic() - self._began))
        self._say(self._what, Text(f"Running {self._what}."))
        if self._progress is None:
            if not self._waits:
                return f"Starting: {passed}. Ctrl-C stops it."
            self._say(self._waits, Text(f"{self._waits}."))
            limit = f" of {duration(self._wait_s)}" if self._wait_s else ""
            return f"Waited {passed}{limit}. Ctrl-C gives up."
        seen = self._progress.reported()
        self._say_news(seen)
        limit = f" of at most {duration(self._limit_s)}" if self._limit_s else ""
        if not seen.cell:
            return f"Starting: {passed}{limit}. Ctrl-C stops it."
        counts = Counter(status for status, _, _ in seen.findings)
        found = "".join(f", {counts[status]} {status}" for status in Status if counts[status])
        where = f"[{seen.cell}/{seen.cells}] {seen.heading}"
        return f"{where}: {passed}{limit}{found}. Ctrl-C stops it."

    def _say_news(self, seen: Reported) -> None:
        """Write new findings that are not ok, and numbers that have changed."""
        for place, (status, name, message) in enumerate(seen.findings):
            if status not in (Status.OK, Status.SKIPPED):
                style = TERMINAL_STYLES[Status(status)]
                words = terminal.one_line(f"{name}  {message}")
                self._say(place, Text.assemble((f"{status.upper():<9}", style), words))
        for line in seen.numbers:
            self._say(line, Text(terminal.one_line(line)))

    def _say(self, key: object, text: Text) -> None:
        """Write `text` above the last line, once."""
        if key not in self._written:
            self._written.add(key)
            self._status.clear()
            self._console.print(text)

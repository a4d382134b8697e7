"""How far a single run is, on a terminal: in its last lines, which are gone when it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opsnb import terminal
from opsnb.cli import output
from opsnb.headless.progress import Progress, Reported, Spectator

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_MOST_FINDINGS = 8
_BAD = ("crit", "unknown", "warn")


@contextmanager
def shown(what: str, wait_s: float | None = None) -> Iterator[Spectator]:
    """Yield what is told how a run goes: `what` it runs and where; it waits at most `wait_s`."""
    if not sys.stderr.isatty():
        yield Spectator()
        return
    console = terminal.console(stderr=True)
    if console.is_dumb_terminal:  # no line there can be written again
        output.note(f"Running {what} ...")
        yield Spectator(waits=_once(output.note))
        return
    from rich.live import Live

    view = _View(what, console.height, wait_s)
    with Live(
        get_renderable=view.render,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield Spectator(waits=view.waits, begins=view.begins)


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return what says each sentence when it changes, and not again and again."""
    said: list[str] = []

    def once(sentence: str) -> None:
        if said[-1:] != [sentence]:
            said.append(sentence)
            say(sentence)

    return once


class _View:
    """What stands on the terminal at the moment."""

    def __init__(self, what: str, height: int, wait_s: float | None) -> None:
        self._what, self._wait_s = what, wait_s
        self._most = max(1, min(_MOST_FINDINGS, height - 6))
        self._began = time.monotonic()
        self._waits = ""
        self._progress: Progress | None = None
        self._limit_s: float | None = None

    def waits(self, sentence: str) -> None:
        """Note for whom it waits."""
        self._waits = sentence

    def begins(self, progress: Progress, limit_s: float | None) -> None:
        """Note that the notebook is executed from now on."""
        self._began, self._progress, self._limit_s = time.monotonic(), progress, limit_s

    def render(self) -> RenderableType:
        """Return the lines."""
        from rich.console import Group
        from rich.text import Text

        passed = _span(time.monotonic() - self._began)
        if self._progress is None:
            if not self._waits:
                return _line(Text(f"Running {self._what}: starting, {passed}"))
            limit = f" of {_span(self._wait_s)}" if self._wait_s else ""
            words = f"Waited {passed}{limit}. Ctrl-C gives up."
            return Group(Text(f"{self._waits}."), Text(words))
        seen = self._progress.reported()
        limit = f" of at most {_span(self._limit_s)}" if self._limit_s else ""
        where = f" [{seen.cell}/{seen.cells}] {seen.heading}" if seen.cell else " starting"
        lines = [*self._findings(seen), Text(f"Running {self._what}:{where}", "bold")]
        lines += [Text(terminal.one_line(line)) for line in seen.numbers[: self._most]]
        # Last, as it is short: what the terminal echoes behind it, such as ^C, begins no new line.
        lines.append(Text(f"{passed}{limit}. Ctrl-C stops it."))
        return Group(*map(_line, lines))

    def _findings(self, seen: Reported) -> list[Text]:
        """Return the newest findings; when there are too many, those that are bad first."""
        from rich.text import Text

        from opsnb.model import Status
        from opsnb.view import TERMINAL_STYLES

        bad = [each for each in seen.findings if each[0] in _BAD]
        kept = (bad or list(seen.findings))[-self._most :]
        if len(seen.findings) <= self._most:
            kept = list(seen.findings)
        lines = [
            Text.assemble(
                (f"{status.upper():<9}", TERMINAL_STYLES[Status(status)]),
                terminal.one_line(f"{name}  {message}"),
            )
            for status, name, message in kept
        ]
        if more := len(seen.findings) - len(kept):
            lines.insert(0, Text(f"... and {more} more", "dim"))
        return lines


def _line(text: Text) -> Text:
    """Return `text` as one line, however narrow the terminal is."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} d"
    if minutes >= 2 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return (f"{minutes} min" + (f" {rest} s" if rest else "")) if minutes else f"{rest} s"

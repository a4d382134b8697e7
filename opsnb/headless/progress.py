"""How far an execution is: noted by the thread that executes, read by the one that watches."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opsnb.model import FINDING_MIME, PROGRESS_MIME

_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Reported:
    """What an execution has shown so far, for somebody who waits."""

    heading: str = ""
    """That under which the cell at work stands."""
    cell: int = 0
    """Its number among the code cells, from 1; 0 before the first."""
    cells: int = 0
    findings: tuple[tuple[str, str, str], ...] = ()
    """Status, name and message of each, in order."""
    numbers: tuple[str, ...] = ()
    """What is measured again and again: its last numbers, a line for each."""


@dataclass(frozen=True)
class Spectator:
    """Who is told how a run goes: nobody, unless somebody waits at a terminal."""

    waits: Callable[[str], None] = lambda _: None
    """Told for whom the run waits, again and again while it does."""
    begins: Callable[[Progress, float | None], None] = lambda *_: None
    """Given what shows how far the run is, and the limit of its time in seconds."""


class Progress:
    """What is known of an execution while it goes on."""

    def __init__(
        self,
        *,
        works_in: Callable[[str], None] = lambda _: None,
        kernel_started: Callable[[int], None] = lambda _: None,
        saved: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """`kernel_started` is told each kernel's pid; `saved` the notebook, after every cell."""
        self.kernels: list[int] = []
        self.notebook: dict[str, Any] | None = None
        """As far as it has been executed; None until its execution has begun."""
        self._saved = saved
        self.works_in = works_in
        """Told the temporary folder of the execution, for whoever removes what a kill leaves."""
        self._kernel_started = kernel_started
        self._cell_began: float | None = None
        self._cell: int | None = None
        self.cell = 0
        """The number of the code cell that began last, as the kernel counts; 0 before the first."""
        self.ends = threading.Event()
        """Set when no other cell is to begin."""

    def save(self, notebook: dict[str, Any]) -> None:
        """Take the notebook as far as it has been executed."""
        self.notebook = notebook
        self._saved(notebook)

    def kernel(self, pid: int) -> None:
        """Note that a kernel, the leader of its process group, has been started."""
        self.kernels.append(pid)
        self._kernel_started(pid)

    def cell_began(self, index: int | None = None) -> None:
        """Note that a cell is being executed: that at `index` in the notebook."""
        self.cell += 1
        self._cell_began, self._cell = time.monotonic(), index

    def cell_ended(self) -> None:
        """Note that no cell is being executed."""
        self._cell_began = None

    @property
    def cell_seconds(self) -> float:
        """How long the cell at work has been so; 0 between cells."""
        began = self._cell_began
        return time.monotonic() - began if began else 0.0

    def reported(self) -> Reported:
        """Return what has been shown so far; the notebook may be written to meanwhile."""
        at, cells = self._cell, list(self.notebook["cells"]) if self.notebook else []
        if at is None or at >= len(cells):
            return Reported()
        code = [cell["cell_type"] == "code" for cell in cells]
        outputs = [data for cell in cells[: at + 1] for data in _data(cell)]
        found = [data[FINDING_MIME] for data in outputs if FINDING_MIME in data]
        numbers = [data[PROGRESS_MIME] for data in _data(cells[at]) if PROGRESS_MIME in data]
        return Reported(
            _heading(cells[: at + 1]),
            sum(code[: at + 1]),
            sum(code),
            tuple((each["status"], each["name"], each["message"]) for each in found),
            tuple(numbers[-1]["lines"]) if numbers else (),
        )


def _data(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for output in list(cell.get("outputs", ())):
        yield output.get("data", {})


def _heading(cells: list[dict[str, Any]]) -> str:
    """Return the last heading in `cells`."""
    texts = ("".join(cell["source"]) for cell in reversed(cells) if cell["cell_type"] != "code")
    found = (_HEADING.findall(text) for text in texts)
    return next((headings[-1].strip() for headings in found if headings), "")

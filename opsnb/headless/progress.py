"""The progress of an execution: the thread that executes writes it, another reads it."""

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
    """What an execution has shown so far."""

    heading: str = ""
    """The heading above the running cell."""
    cell: int = 0
    """The running code cell, from 1; 0 before the first."""
    cells: int = 0
    findings: tuple[tuple[str, str, str], ...] = ()
    """Status, name and message of each finding, in order."""
    numbers: tuple[str, ...] = ()
    """The latest numbers of a watch, a line for each."""


@dataclass(frozen=True)
class Spectator:
    """Follows a run on a terminal; by default, does nothing."""

    waits: Callable[[str], None] = lambda _: None
    """Called repeatedly, with a sentence, while the run waits for another."""
    begins: Callable[[Progress, float | None], None] = lambda *_: None
    """Called when the run begins, with its progress and its time limit in seconds."""


class Progress:
    """The state of an execution in progress."""

    def __init__(
        self,
        *,
        works_in: Callable[[str], None] = lambda _: None,
        kernel_started: Callable[[int], None] = lambda _: None,
        saved: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """`kernel_started` gets each kernel's pid, `saved` the notebook after each cell."""
        self.kernels: list[int] = []
        self.notebook: dict[str, Any] | None = None
        """As far as it has been executed; None before that."""
        self._saved = saved
        self.works_in = works_in
        """Called with the temporary folder of the execution, to remove it after a kill."""
        self._kernel_started = kernel_started
        self._cell_began: float | None = None
        self._cell: int | None = None
        self.cell = 0
        """The last code cell that started, as the kernel counts; 0 before the first."""
        self.ends = threading.Event()
        """Set when no other cell may start."""

    def save(self, notebook: dict[str, Any]) -> None:
        """Note the notebook as far as it has been executed."""
        self.notebook = notebook
        self._saved(notebook)

    def kernel(self, pid: int) -> None:
        """Note that a kernel, the leader of its process group, has started."""
        self.kernels.append(pid)
        self._kernel_started(pid)

    def cell_began(self, index: int | None = None) -> None:
        """Note that the cell at `index` in the notebook is running."""
        self.cell += 1
        self._cell_began, self._cell = time.monotonic(), index

    def cell_ended(self) -> None:
        """Note that no cell is running."""
        self._cell_began = None

    @property
    def cell_seconds(self) -> float:
        """How long the current cell has been running; 0 between cells."""
        began = self._cell_began
        return time.monotonic() - began if began else 0.0

    def reported(self) -> Reported:
        """Return what has been shown so far; the notebook may change meanwhile."""
        at, cells = self._cell, list(self.notebook["cells"]) if self.notebook else []
        if at is None or at >= len(cells):
            return Reported()
        code = [cell["cell_type"] == "code" for cell in cells]
        outputs = [data for cell in cells[: at + 1] for data in _data(cell)]
        findings = [data[FINDING_MIME] for data in outputs if FINDING_MIME in data]
        numbers = [data[PROGRESS_MIME] for data in _data(cells[at]) if PROGRESS_MIME in data]
        return Reported(
            _heading(cells[: at + 1]),
            sum(code[: at + 1]),
            sum(code),
            tuple((found["status"], found["name"], found["message"]) for found in findings),
            tuple(numbers[-1]["lines"]) if numbers else (),
        )


def _data(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for output in list(cell.get("outputs", ())):
        yield output.get("data", {})


def _heading(cells: list[dict[str, Any]]) -> str:
    """Return the last heading in `cells`."""
    texts = ("".join(cell["source"]) for cell in reversed(cells) if cell["cell_type"] != "code")
    matches = (_HEADING.findall(text) for text in texts)
    return next((headings[-1].strip() for headings in matches if headings), "")

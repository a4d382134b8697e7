"""How far an execution is: told by the thread that executes, read by the one that watches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Progress:
    """What is known of an execution while it goes on."""

    def __init__(
        self,
        *,
        kernel_started: Callable[[int], None] = lambda _: None,
        saved: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """`kernel_started` is told each kernel's pid; `saved` the notebook, after every cell."""
        self.kernels: list[int] = []
        self.notebook: dict[str, Any] | None = None
        """As far as it has been executed; None until its execution has begun."""
        self._saved = saved
        self._kernel_started = kernel_started
        self._cell_began: float | None = None

    def save(self, notebook: dict[str, Any]) -> None:
        """Take the notebook as far as it has been executed."""
        self.notebook = notebook
        self._saved(notebook)

    def kernel(self, pid: int) -> None:
        """Note that a kernel, the leader of its process group, has been started."""
        self.kernels.append(pid)
        self._kernel_started(pid)

    def cell_began(self) -> None:
        """Note that a cell is being executed."""
        self._cell_began = time.monotonic()

    def cell_ended(self) -> None:
        """Note that no cell is being executed."""
        self._cell_began = None

    @property
    def cell_seconds(self) -> float:
        """How long the cell at work has been so; 0 between cells."""
        began = self._cell_began
        return time.monotonic() - began if began else 0.0

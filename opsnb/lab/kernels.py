"""The kernels of the runs that are open: which are busy, idle, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from opsnb.lab.run import Run
from opsnb.model import now


class Kernels:
    """Follows the kernels of runs by the kernel manager of the server."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager  # its class is what the server's configuration says
        self._ids: dict[Run, str] = {}

    def add(self, run: Run, kernel_id: str) -> None:
        """Note the kernel of a run, and its process as one of the run's holders."""
        self._ids[run] = kernel_id
        if pid := self._pid(kernel_id):
            run.add_kernel(pid)

    def forget(self, run: Run) -> None:
        """Follow the kernel of that run no longer."""
        self._ids.pop(run, None)

    def ended(self) -> list[Run]:
        """Return the runs whose kernel is gone."""
        return [run for run in self if run not in self]

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs that have, or had, a kernel."""
        yield from list(self._ids)

    def __contains__(self, run: Run) -> bool:
        """Whether the kernel of `run` exists."""
        return self._ids.get(run, "") in self._manager

    def is_busy(self, run: Run) -> bool:
        """Whether a cell of `run` is being executed."""
        return run in self and self.is_kernel_busy(self._ids[run])

    def is_kernel_busy(self, kernel_id: str) -> bool:
        """Whether a kernel executes a cell."""
        manager = self._manager
        return kernel_id in manager and manager.get_kernel(kernel_id).execution_state == "busy"

    def is_used(self, run: Run, idle_s: float) -> bool:
        """Whether `run` has a kernel that is busy, or has not been idle for `idle_s` seconds."""
        if run not in self:
            return False
        idle = now() - self._last_activity(run)
        return self.is_busy(run) or idle <= timedelta(seconds=idle_s)

    def idle_since(self, target: str) -> datetime | None:
        """Return since when no kernel has worked on a target; None while one does."""
        runs = [run for run in self if run.acts_on == target and run in self]
        if any(map(self.is_busy, runs)):
            return None
        return max(map(self._last_activity, runs), default=None)

    def pids(self) -> list[int]:
        """Return the processes of all kernels."""
        return [pid for each in self._manager.list_kernel_ids() if (pid := self._pid(each))]

    def _last_activity(self, run: Run) -> datetime:
        at: datetime = self._manager.get_kernel(self._ids[run]).last_activity
        return at

    def _pid(self, kernel_id: str) -> int | None:
        return getattr(self._manager.get_kernel(kernel_id).provisioner, "pid", None)

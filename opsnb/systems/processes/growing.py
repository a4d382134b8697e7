"""How much memory the processes take while they are watched."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from opsnb.checks import evidence
from opsnb.checks.trend import Trend, trend
from opsnb.config.target import Target
from opsnb.systems.processes.listing import listed
from opsnb.systems.processes.process import Process

_EVERY_S = 1.0
_LEAST_SAMPLES = 5


@dataclass(frozen=True)
class Growth:
    """A process that was up for the whole watch."""

    process: Process
    """As it was at the end."""
    label: str
    """Its name, with the process id where several have the same one."""
    samples: list[tuple[float, int]]
    """Seconds since the watch began, and bytes."""

    @property
    def size(self) -> int:
        """Its size at the end, in bytes."""
        return self.samples[-1][1]

    @property
    def trend(self) -> Trend | None:
        """In bytes a second."""
        return trend([at for at, _ in self.samples], [size for _, size in self.samples])


def growth(target: Target, seconds: float) -> list[Growth]:
    """Watch the memory of the processes for `seconds`.

    One that was restarted meanwhile is left out, and whatever its manager does not measure.
    Raises BadAnswer and DaemonGone as `listed`.
    """
    samples: dict[tuple[str, int | None], list[tuple[float, int]]] = defaultdict(list)
    began = time.monotonic()
    times = max(_LEAST_SAMPLES, round(seconds / _EVERY_S))
    for turn in range(times):
        time.sleep(max(0.0, began + seconds * turn / (times - 1) - time.monotonic()))
        processes = listed(target)
        at = time.monotonic() - began
        for process in processes:
            if process.is_up and process.memory_bytes is not None:
                samples[process.name, process.pid].append((at, process.memory_bytes))
    _note_gaps(processes, samples, times)
    names = [process.name for process in processes]
    return [
        Growth(process, _label(process, names), samples[process.name, process.pid])
        for process in processes
        if len(samples[process.name, process.pid]) == times
    ]


def _note_gaps(
    found: list[Process], samples: dict[tuple[str, int | None], list[tuple[float, int]]], times: int
) -> None:
    """Report running processes that could not be watched all the time."""
    for process in found:
        if not process.is_up:
            continue
        if process.memory_bytes is None:
            evidence.partial(f"the memory of {process.name}, which its manager does not measure")
        elif len(samples[process.name, process.pid]) != times:
            evidence.partial(f"{process.name}, which was started while it was watched")


def _label(process: Process, names: list[str]) -> str:
    return process.name if names.count(process.name) == 1 else f"{process.name} {process.pid}"

"""How each runbook was used: its last runs, and how long it usually takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from opsnb.records.index import Index
from opsnb.site.runs import Run, rows, runs

_SHOWN = 5
_DURATIONS = 50  # runs whose median is the usual duration


@dataclass(frozen=True)
class Usage:
    """How one runbook was used."""

    runs: tuple[Run, ...] = ()
    """The last ones, the newest first; a summary stands for its members."""
    seconds: float | None = None
    """How long it usually takes: the median of the last runs. None where it never ended."""


def usage(index: Index) -> Mapping[str, Usage]:
    """Return how each runbook was used that has run, by its id."""
    last: dict[str, list[Run]] = {}
    for run in runs(rows(index, "last_runs", most=_SHOWN)):
        last.setdefault(run.runbook, []).append(run)
    took: dict[str, list[float]] = {}
    for row in rows(index, "durations", most=_DURATIONS):
        took.setdefault(row["runbook"], []).append(row["seconds"])
    return {
        runbook: Usage(tuple(found), median(took[runbook]) if runbook in took else None)
        for runbook, found in last.items()
    }

"""The records of a target in two periods: this one, and the one before.

Handbook, section 9.2. The review and the forecast share one reading, which keeps what they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.model import Finding, Row, RunResult, Status, Threshold, now
from opsnb.records.reader import past_runs
from opsnb.systems import database, host, queues

FIX = "health/daily on a schedule makes them."
"""The fix for too few records."""
_WITH_ROWS = (host.disk.name, database.size.name, queues.depth.name)
"""The checks whose rows the forecast reads; the rows of others are not kept."""


@dataclass(frozen=True)
class Past:
    """The runs of two periods of `days` each, the oldest first; the second ends now."""

    days: int
    middle: datetime
    """Where the first period ends and the second begins."""
    runs: list[RunResult]

    @property
    def before(self) -> list[RunResult]:
        """The runs of the first period."""
        return [run for run in self.runs if run.started < self.middle]

    @property
    def since(self) -> list[RunResult]:
        """The runs of the second period."""
        return [run for run in self.runs if run.started >= self.middle]


def periods(days: int) -> Reading[Past]:
    """Return the records of the last two periods of `days`, read when first needed."""

    def read(target: Target) -> Past:
        end, period = now(), timedelta(days=days)
        return Past(days, end - period, list(_runs(target, end - 2 * period)))

    return Reading(read)


def findings(runs: Iterable[RunResult]) -> Iterator[Finding]:
    """Yield the findings of `runs`, in their order."""
    for run in runs:
        yield from run.findings


def drawable(title: str, limits: Threshold, rows: list[Row]) -> Finding:
    """Return `rows` as a chart of that title takes them; without rows it says why."""
    return Finding(
        title=title,
        status=Status.OK,
        message=FIX,
        unit=limits.unit,
        threshold=limits,
        rows=rows,
    )


def _runs(target: Target, since: datetime) -> Iterator[RunResult]:
    for run in past_runs(target, since):
        yield run.model_copy(update={"findings": [_slim(finding) for finding in run.findings]})


def _slim(finding: Finding) -> Finding:
    if finding.name in _WITH_ROWS:
        return finding
    return finding.model_copy(update={"rows": []})

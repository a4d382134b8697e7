"""The records of a target in two periods: this one, and the one before.

Handbook, section 9.2. The review and the forecast share one reading, which keeps what they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status, Threshold, now
from opsnb.records.readings import Found, Ran, Readings
from opsnb.systems import database, host, queues

FIX = "health/daily on a schedule makes them."
"""The fix for too few records."""
_WITH_ROWS = (host.disk.name, database.size.name, queues.depth.name)
"""The checks whose rows a forecast reads."""


@dataclass(frozen=True)
class Past:
    """What is known of two periods of `days` each, the oldest first; the second ends now."""

    days: int
    middle: datetime
    """Where the first period ends and the second begins."""
    runs: list[Ran]
    findings: list[Found]
    """Without rows."""
    filling: list[Found]
    """What is forecast, with its rows."""

    @property
    def before(self) -> list[Ran]:
        """The runs of the first period."""
        return [run for run in self.runs if run.started < self.middle]

    @property
    def since(self) -> list[Ran]:
        """The runs of the second period."""
        return [run for run in self.runs if run.started >= self.middle]


def periods(days: int) -> Reading[Past]:
    """Return the records of the last two periods of `days`, read when first needed."""

    def read(target: Target) -> Past:
        end, period = now(), timedelta(days=days)
        past = Readings(target, end - 2 * period)
        return Past(
            days,
            end - period,
            past.runs(),
            past.findings(),
            past.findings(_WITH_ROWS, rows=True),
        )

    return Reading(read)


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

"""How many days are left until a limit.

A straight line through the recorded values since the last large drop, when somebody made room. The
range is that of the line's slope, two standard errors to each side, turned about the middle of the
points.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from opsnb.checks.trend import Trend, trend
from opsnb.handbook.maintenance.monthly.past import drawable
from opsnb.model import Row, Threshold
from opsnb.view import charts
from opsnb.view.formats import number

_DAY_S = 86_400.0
_YEAR_DAYS = 365.0
_LEAST_SPAN_S = 3 * _DAY_S  # records of a few hours say nothing about weeks
_DROP_SHARE = 0.1  # of the value before: a smaller one is no clean-up
_DROP_STEPS = 5  # times the usual difference between two records
_DROP_LASTS = 3  # records: a single low one is an error of measurement
Point = tuple[float, float]
"""When, in s since 1970, and how much."""


@dataclass(frozen=True)
class Forecast:
    """When a disk, a database or a queue reaches its limits."""

    name: str
    points: list[Point]
    """All recorded values, the oldest first."""
    limits: Threshold
    at: float
    """Now, in s since 1970."""

    @cached_property
    def used(self) -> list[Point]:
        """The points since the last large drop."""
        return since_drop(self.points)

    @cached_property
    def line(self) -> Trend | None:
        """The line through them; None when they are too few or cover too short a time."""
        times, values = zip(*self.used, strict=True)
        return trend(times, values) if times[-1] - times[0] >= _LEAST_SPAN_S else None

    @property
    def since(self) -> datetime:
        """When the first of the used points was recorded."""
        return _moment(self.used[0][0])

    @property
    def has_dropped(self) -> bool:
        """Whether a large drop makes older points irrelevant."""
        return len(self.used) < len(self.points)

    @property
    def level(self) -> float:
        """The value now: by the line, else as it was measured last."""
        return self.line.at(self.at) if self.line else self.points[-1][1]

    @property
    def last_limit(self) -> float | None:
        """The limit that must not be reached: crit, or warn where there is no crit."""
        return max(self.limits.limits.values(), default=None)

    @property
    def judged_days(self) -> float | None:
        """The days left, if growth is certain and the limit is within a year; else None."""
        if self.last_limit is None:
            return None
        likely = self.days(self.last_limit)
        if likely == 0:
            return 0.0
        return likely if self.line and self.line.least > 0 and likely <= _YEAR_DAYS else None

    def days(self, limit: float, slope: float | None = None) -> float:
        """Return the days until `limit`, at `slope` or the line's own; inf for never."""
        if self.line is None:
            return 0.0 if self.level >= limit else math.inf
        slope = self.line.slope if slope is None else slope
        room = limit - self.line.at(self.at, slope)
        if room <= 0:
            return 0.0
        return room / slope / _DAY_S if slope > 0 else math.inf

    def when(self, limit: float) -> str:
        """Return in words when `limit` is reached, with the range."""
        if self.level >= limit:
            return "reached"
        if self.line is None:
            return "too few records"
        slopes = (self.line.most, self.line.slope, self.line.least)
        return _range_words(*(self.days(limit, slope) for slope in slopes))

    def row(self) -> Row:
        """Return its row of a table."""
        since = f" since the drop of {self.since:%F}" * self.has_dropped
        return {
            "what": self.name,
            "now": number(self.level, self.limits.unit),
            "a_day": self._pace,
            "until_warn": self._until(self.limits.warn),
            "until_crit": self._until(self.limits.crit),
            "records": f"{len(self.used)}{since}",
        }

    @property
    def _pace(self) -> str | None:
        if self.line is None:
            return None
        by = (self.line.most - self.line.slope) * _DAY_S
        return f"{number(self.line.slope * _DAY_S)} ± {number(by)}"

    def _until(self, limit: float | None) -> str | None:
        return None if limit is None else f"{number(limit, self.limits.unit)}: {self.when(limit)}"

    def chart(self) -> charts.Chart:
        """Return a chart of the points, the line and its range."""
        rows: list[Row] = [{"at": _iso(at), "measured": value} for at, value in self.points]
        if self.line:
            line, ends = self.line, self.at + self._ahead_days * _DAY_S
            rows.append({"at": _iso(self.used[0][0]), "expected": line.at(self.used[0][0])})
            rows += [
                {
                    "at": _iso(at),
                    "expected": line.at(at),
                    "least": line.at(at, line.least),
                    "most": line.at(at, line.most),
                }
                for at in (line.middle, self.at, ends)
            ]
        return charts.forecast(drawable(self.name, self.limits, rows))

    @property
    def _ahead_days(self) -> float:
        """How far a chart looks ahead: past the limit, else as far as it looks back."""
        back = (self.at - self.used[0][0]) / _DAY_S
        likely = math.inf if self.last_limit is None else self.days(self.last_limit)
        return max(back, 1.2 * likely) if likely <= _YEAR_DAYS else back


def since_drop(points: Sequence[Point]) -> list[Point]:
    """Return the points since the last large drop, all when there was none.

    A drop is large when it is a tenth of the value and far more than the usual difference between
    two records, and the records after it stay below.
    """
    values = [value for _, value in points]
    steps = [abs(after - before) for before, after in itertools.pairwise(values)]
    usual = statistics.median(steps) if steps else 0.0
    for place in range(len(points) - 1, 0, -1):
        fall = values[place - 1] - max(values[place : place + _DROP_LASTS])
        if fall > _DROP_SHARE * values[place - 1] and fall > _DROP_STEPS * usual:
            return list(points[place:])
    return list(points)


def _range_words(earliest: float, likely: float, latest: float) -> str:
    if earliest == math.inf:
        return "does not grow"
    if earliest > _YEAR_DAYS:
        return "not within a year"
    if likely > _YEAR_DAYS:
        return f"hardly within a year, in {_days(earliest)} at the earliest"
    if latest > _YEAR_DAYS:
        return f"in {_days(likely)}, in {_days(earliest)} at the earliest"
    return f"in {_days(likely)} ({earliest:,.0f} to {latest:,.0f})"


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days >= 1.5 else "a day"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _iso(at: float) -> str:
    return _moment(at).isoformat(timespec="seconds")

"""The capacity forecast: how many days are left until a limit. Handbook, section 9.2.

A straight line through what the records tell, from the last large drop on: before it, somebody had
made room, and what was there does not come back. The range is that of the line's slope, two
standard errors to each side.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from opsnb import charts
from opsnb.check import check
from opsnb.diagnosis.past import MEND, Past, findings
from opsnb.diagnosis.reading import Reading
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status, Threshold, now
from opsnb.systems import database, host, queues
from opsnb.target import Target
from opsnb.trend import Trend, trend
from opsnb.view import number

_LIMIT_S = 90.0  # for months of records in a store behind a network
_DAY_S = 86_400.0
_YEAR_DAYS = 365.0
_LEAST_SPAN_S = 3 * _DAY_S  # of hours, no line reaches as far as weeks
_DROP_SHARE = 0.1
_DROP_STEPS = 5
_DROP_LASTS = 3  # records: a single low one is a slip of the measurement
_MIB = 2**20
_MOST_CHARTS = 8

Point = tuple[float, float]
"""When, in s since 1970, and how much."""


@dataclass(frozen=True)
class Forecast:
    """What one thing that fills up will do."""

    name: str
    points: list[Point]
    """All that the records tell, the oldest first."""
    limits: Threshold
    at: float
    """Now, in s since 1970."""

    @cached_property
    def used(self) -> list[Point]:
        """The points since the last large drop."""
        return since_drop(self.points)

    @cached_property
    def line(self) -> Trend | None:
        """The line through them; None when they are too few, or lie too close together."""
        times, values = zip(*self.used, strict=True)
        return trend(times, values) if times[-1] - times[0] >= _LEAST_SPAN_S else None

    @property
    def has_dropped(self) -> bool:
        """Whether there are points before a large drop, which tell nothing any more."""
        return len(self.used) < len(self.points)

    @property
    def level(self) -> float:
        """How much there is now: by the line, else as it was measured last."""
        return self.line.at(self.at) if self.line else self.points[-1][1]

    @property
    def last_limit(self) -> float | None:
        """The limit that must not be reached: crit, or warn where there is no crit."""
        return max(self.limits.limits.values(), default=None)

    @property
    def judged_days(self) -> float | None:
        """How many days are left, when it is sure that it grows; None when they are no matter."""
        if self.last_limit is None:
            return None
        likely = self.days(self.last_limit)
        if likely == 0:
            return 0.0
        return likely if self.line and self.line.least > 0 and likely <= _YEAR_DAYS else None

    def days(self, limit: float, slope: float | None = None) -> float:
        """Return the days until `limit`, at `slope` or the line's own; inf when it never is."""
        if self.level >= limit:
            return 0.0
        slope = slope if slope is not None else self.line.slope if self.line else 0.0
        return (limit - self.level) / slope / _DAY_S if slope > 0 else math.inf

    def when(self, limit: float) -> str:
        """Return in words when `limit` is reached, with the range."""
        if self.level >= limit:
            return "reached"
        if self.line is None:
            return "too few records"
        slopes = (self.line.most, self.line.slope, self.line.least)
        return _range_words(*(self.days(limit, slope) for slope in slopes))

    def row(self) -> Row:
        """Return what is shown of it."""
        a_day = self.line.slope * _DAY_S if self.line else None
        by = (self.line.most - self.line.slope) * _DAY_S if self.line else None
        used = self.used
        return {
            "what": self.name,
            "now": number(self.level, self.limits.unit),
            "a_day": None if a_day is None else f"{'+' * (a_day > 0)}{number(a_day)}",
            "uncertain_by": None if by is None else number(by),
            **{
                f"{status.value} at {number(limit, self.limits.unit)}": self.when(limit)
                for status, limit in self.limits.limits.items()
            },
            "records": len(used),
            "since": f"{_moment(used[0][0]):%Y-%m-%d}" + " (a drop)" * self.has_dropped,
        }

    def course(self) -> Finding:
        """Return the points, the line and its range, as a chart draws them."""
        rows: list[Row] = [{"at": _iso(at), "measured": value} for at, value in self.points]
        if self.line:
            begins, ends = self.used[0][0], self.at + self._ahead_days * _DAY_S
            rows.append({"at": _iso(begins), "expected": self.line.at(begins)})
            rows += [
                {
                    "at": _iso(at),
                    "expected": self.line.at(at),
                    "least": self.level + self.line.least * (at - self.at),
                    "most": self.level + self.line.most * (at - self.at),
                }
                for at in (self.at, ends)
            ]
        return Finding(
            title=f"{self.limits.label}: {self.name}",
            status=Status.OK,
            message=MEND,
            unit=self.limits.unit,
            threshold=self.limits,
            rows=rows,
        )

    @property
    def _ahead_days(self) -> float:
        """How far a chart looks ahead: past the limit, else as far as it looks back."""
        back = (self.at - self.used[0][0]) / _DAY_S
        likely = math.inf if self.last_limit is None else self.days(self.last_limit)
        return max(back, 1.2 * likely) if likely <= _YEAR_DAYS else back


def since_drop(points: Sequence[Point]) -> list[Point]:
    """Return the points since the last large drop, all when there was none.

    It is large when it takes away a tenth, and far more than one record usually differs from the
    next; and the records after it stay below.
    """
    values = [value for _, value in points]
    steps = [abs(after - before) for before, after in itertools.pairwise(values)]
    usual = statistics.median(steps) if steps else 0.0
    for place in range(len(points) - 1, 0, -1):
        fall = values[place - 1] - max(values[place : place + _DROP_LASTS])
        if fall > _DROP_SHARE * values[place - 1] and fall > _DROP_STEPS * usual:
            return list(points[place:])
    return list(points)


@check(limit_s=_LIMIT_S)
def disk(target: Target, read: Reading[Past]) -> Finding:
    """Disks: days until they are full"""
    return _told(target, _disks(target, read.of(target)))


@check(limit_s=_LIMIT_S)
def database_size(target: Target, read: Reading[Past]) -> Finding:
    """Database: days until its limit

    The limit is `database_size_mib` of opsnb.toml; without it, what the disk holds that it is on.
    """
    return _told(target, _databases(target, read.of(target)))


@check(limit_s=_LIMIT_S)
def queue_length(target: Target, read: Reading[Past]) -> Finding:
    """Queues: days until too many jobs wait"""
    return _told(target, _queues(target, read.of(target), "waiting", "queue_waiting"))


@check(limit_s=_LIMIT_S)
def queue_volume(target: Target, read: Reading[Past]) -> Finding:
    """Queues: days until they keep too many jobs"""
    return _told(target, _queues(target, read.of(target), "total", "queue_stored"))


def drawn(target: Target, read: Reading[Past]) -> list[charts.Chart]:
    """Return a chart of each forecast, those whose limit is nearest first."""
    past = read.of(target)
    found = [
        *_disks(target, past),
        *_databases(target, past),
        *_queues(target, past, "waiting", "queue_waiting"),
        *_queues(target, past, "total", "queue_stored"),
    ]
    nearest = sorted(found, key=_nearness)[:_MOST_CHARTS]
    return [charts.forecast(each.course()) for each in nearest]


def _disks(target: Target, past: Past) -> list[Forecast]:
    limits = target.threshold("disk_used_percent")
    return _forecasts(past, host.disk.name, "mount", lambda row: row["used_percent"], limits)


def _databases(target: Target, past: Past) -> list[Forecast]:
    name, limits = database.size.name, target.threshold("database_size_mib")
    rows = [row for each in findings(past.runs) if each.name == name for row in each.rows]
    if rows and not limits.limits and rows[-1]["free_bytes"] is not None:
        held = (rows[-1]["size_bytes"] + rows[-1]["free_bytes"]) / _MIB
        limits = replace(limits, crit=held, label="Size of the database, until its disk is full")
    return _forecasts(past, name, "database", lambda row: row["size_bytes"] / _MIB, limits)


def _queues(target: Target, past: Past, column: str, metric: str) -> list[Forecast]:
    limits = target.threshold(metric)
    return _forecasts(past, queues.depth.name, "queue", lambda row: row[column], limits)


def _forecasts(
    past: Past, check: str, by: str, value: Callable[[Row], float], limits: Threshold
) -> list[Forecast]:
    """Return one forecast for each name in column `by` of the newest finding of `check`."""
    found = [each for each in findings(past.runs) if each.name == check and each.rows]
    points: dict[str, list[Point]] = {}
    for finding in sorted(found, key=lambda each: each.started):
        for row in finding.rows:
            points.setdefault(row[by], []).append((finding.started.timestamp(), value(row)))
    there = {row[by] for row in found[-1].rows} if found else set()
    at = now().timestamp()
    return [Forecast(name, points[name], limits, at) for name in points if name in there]


def _told(target: Target, found: list[Forecast]) -> Finding:
    if not any(forecast.line for forecast in found):
        raise BadAnswer(
            "records", f"There are too few records to forecast from, over three days: {MEND}"
        )
    limits = target.threshold("capacity_days")
    first = min(found, key=_nearness)
    days = first.judged_days
    return Finding(
        status=Status.OK if days is None else limits.judge(days),
        message=_sentence(first),
        value=None if days is None else round(days, 1),
        unit=limits.unit,
        threshold=limits,
        rows=[forecast.row() for forecast in sorted(found, key=_nearness)],
    )


def _nearness(forecast: Forecast) -> tuple[bool, float]:
    """Return what sorts the forecast first whose limit is nearest, by those that are sure."""
    limit = forecast.last_limit
    return forecast.judged_days is None, math.inf if limit is None else forecast.days(limit)


def _sentence(first: Forecast) -> str:
    """Say what the forecast tells whose limit is nearest."""
    limit, unit = first.last_limit, first.limits.unit
    if limit is None:
        return (
            f"{first.name} has {number(first.level, unit)}, and no limit is known: set "
            f"{first.limits.metric} in opsnb.toml."
        )
    since = f", by what came since the drop of {_moment(first.used[0][0]):%F}"
    told = f"{first.when(limit)}{since * first.has_dropped}"
    if first.judged_days is None:
        told = f"{first.name}, {number(limit, unit)}: {told}"
        return f"No limit is sure to be reached within a year. {told}."
    if first.judged_days == 0:
        return f"{first.name} has reached {number(limit, unit)}."
    return f"{first.name} reaches {number(limit, unit)} {told}."


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

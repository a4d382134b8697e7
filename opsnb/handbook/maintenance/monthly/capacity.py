"""The capacity forecast: how many days are left until a limit. Handbook, section 9.2.

A straight line through the recorded values since the last large drop: somebody made room there,
and what was removed does not come back. The range is that of the line's slope, two
standard errors to each side, turned about the middle of the points.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from opsnb.checks.check import check, treated_by
from opsnb.checks.reading import Reading
from opsnb.checks.trend import Trend, trend
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.maintenance.monthly.past import FIX, Past
from opsnb.model import Finding, Row, Status, Threshold, now
from opsnb.systems import database, host, queues
from opsnb.view import charts
from opsnb.view.formats import number

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
        """The line through them; None when they are too few, or lie too close together."""
        times, values = zip(*self.used, strict=True)
        return trend(times, values) if times[-1] - times[0] >= _LEAST_SPAN_S else None

    @property
    def has_dropped(self) -> bool:
        """Whether there are points before a large drop, which no longer count."""
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
        """Return what is shown of it."""
        since = f" since the drop of {_moment(self.used[0][0]):%F}" * self.has_dropped
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

    def course(self) -> Finding:
        """Return the points, the line and its range, as a chart draws them."""
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
        return Finding(
            title=self.name,
            status=Status.OK,
            message=FIX,
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


@check(
    limit_s=_LIMIT_S,
    treated_by=treated_by(
        "maintenance/weekly", "shows what can be removed; with --apply removes it", packages=False
    ),
)
def forecast(target: Target, read: Reading[Past]) -> Finding:
    """Days until a limit is reached

    Of the disks, the database and the queues, the nearest first. Only growth that is sure is
    judged.
    """
    found = _all(target, read.of(target))
    if not any(each.line for each in found):
        raise BadAnswer(
            "records", f"There are too few records, over three days, to forecast from: {FIX}"
        )
    limits = target.threshold("capacity_days")
    days = found[0].judged_days
    near = sum(
        limits.judge(each.judged_days) is not Status.OK
        for each in found
        if each.judged_days is not None
    )
    more = f" {near - 1} more beside it." if near > 1 else ""
    return Finding(
        status=Status.OK if days is None else limits.judge(days),
        message=_sentence(found[0]) + more,
        value=None if days is None else round(days, 1),
        unit=limits.unit,
        threshold=limits,
        rows=[each.row() for each in found],
    )


def drawn(target: Target, read: Reading[Past]) -> list[charts.Chart]:
    """Return a chart of each forecast, of the nearest ones when they are many."""
    found = _all(target, read.of(target))[:_MOST_CHARTS]
    return [charts.forecast(each.course()) for each in found]


def _all(target: Target, past: Past) -> list[Forecast]:
    """Return what is forecast, the nearest limit first."""
    used = target.threshold("disk_used_percent")
    waiting, kept = target.threshold("queue_waiting"), target.threshold("queue_stored")
    size = _size_limits(target, past)
    found = [
        *_each(past, host.disk.name, "Disk {mount}", lambda row: row["used_percent"], used),
        *_each(past, database.size.name, "Database {database}", _size_mib, size),
        *_each(
            past, queues.depth.name, "Queue {queue}, waiting", lambda row: row["waiting"], waiting
        ),
        *_each(past, queues.depth.name, "Queue {queue}, kept", lambda row: row["total"], kept),
    ]
    return sorted(found, key=_nearness)


def _size_limits(target: Target, past: Past) -> Threshold:
    """Return the limits of the database's size; where none are set, what its disk holds."""
    limits = target.threshold("database_size_mib")
    rows = [row for each in past.filling if each.name == database.size.name for row in each.rows]
    if limits.limits or not rows or rows[-1]["free_bytes"] is None:
        return limits
    return replace(limits, crit=(rows[-1]["size_bytes"] + rows[-1]["free_bytes"]) / _MIB)


def _size_mib(row: Row) -> float:
    return float(row["size_bytes"] / _MIB)


def _each(
    past: Past, check: str, name: str, value: Callable[[Row], float], limits: Threshold
) -> list[Forecast]:
    """Return a forecast for each row of the newest finding of `check`, called after its columns."""
    found = [
        each
        for each in past.filling
        if each.name == check and each.rows and _has(each.rows[0], value)
    ]
    found.sort(key=lambda each: each.at)
    points: dict[str, list[Point]] = {}
    for finding in found:
        for row in finding.rows:
            point = finding.at.timestamp(), value(row)
            points.setdefault(name.format_map(row), []).append(point)
    # What is not there any more has no future.
    there = [name.format_map(row) for row in found[-1].rows] if found else []
    at = now().timestamp()
    return [Forecast(each, points[each], limits, at) for each in there]


def _has(row: Row, value: Callable[[Row], float]) -> bool:
    """Say whether a row has the column that `value` reads; those of a watch have others."""
    try:
        value(row)
    except KeyError:
        return False
    return True


def _nearness(forecast: Forecast) -> tuple[bool, bool, float]:
    """Return what sorts the forecasts: those that are sure, then those there are records for."""
    limit = forecast.last_limit
    days = math.inf if limit is None else forecast.days(limit)
    return forecast.judged_days is None, forecast.line is None, days


def _sentence(first: Forecast) -> str:
    """Return the sentence about the forecast whose limit is nearest."""
    limit, unit = first.last_limit, first.limits.unit
    if limit is None:
        return (
            f"{first.name} has {number(first.level, unit)}, and no limit is known: set "
            f"{first.limits.metric} under [thresholds] in opsnb.toml."
        )
    since = f", by what came since the drop of {_moment(first.used[0][0]):%F}"
    when = f"{first.when(limit)}{since * first.has_dropped}"
    if first.judged_days is None:
        when = f"{first.name}, {number(limit, unit)}: {when}"
        return f"No limit is certain to be reached within a year. {when}."
    if first.judged_days == 0:
        return f"{first.name} has reached {number(limit, unit)}."
    return f"{first.name} reaches {number(limit, unit)} {when}."


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

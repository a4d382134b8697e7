"""The capacity forecast: which limit is reached first. Handbook, section 9.2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from opsnb.checks.check import check, treated_by
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.maintenance.monthly.forecasting import Forecast, Point
from opsnb.handbook.maintenance.monthly.past import FIX, Past
from opsnb.model import Finding, Row, Status, Threshold, now
from opsnb.systems import database, host, queues
from opsnb.view import charts
from opsnb.view.formats import MIB, number

_LIMIT_S = 90.0  # for months of records in a store behind a network
_MOST_CHARTS = 8


@check(
    limit_s=_LIMIT_S,
    treated_by=treated_by(
        "maintenance/weekly", "shows what can be removed; with --apply removes it", packages=False
    ),
)
def forecast(target: Target, read: Reading[Past]) -> Finding:
    """Days until a limit is reached

    Of the disks, the database and the queues, the nearest first. Only certain growth is judged.
    """
    forecasts = _forecasts(target, read.of(target))
    if not any(forecast.line for forecast in forecasts):
        raise BadAnswer(
            "records", f"There are too few records, over three days, to forecast from: {FIX}"
        )
    limits = target.threshold("capacity_days")
    first = forecasts[0]
    days = first.judged_days
    judged = [forecast.judged_days for forecast in forecasts]
    near = sum(left is not None and limits.judge(left) is not Status.OK for left in judged)
    more = f" {near - 1} more beside it." if near > 1 else ""
    return Finding(
        status=Status.OK if days is None else limits.judge(days),
        message=_sentence(first) + more,
        value=None if days is None else round(days, 1),
        unit=limits.unit,
        threshold=limits,
        rows=[forecast.row() for forecast in forecasts],
    )


def drawn(target: Target, read: Reading[Past]) -> list[charts.Chart]:
    """Return a chart of the forecasts whose limits are nearest."""
    return [forecast.chart() for forecast in _forecasts(target, read.of(target))[:_MOST_CHARTS]]


def _forecasts(target: Target, past: Past) -> list[Forecast]:
    """Return all forecasts, the nearest limit first."""
    used = target.threshold("disk_used_percent")
    waiting, kept = target.threshold("queue_waiting"), target.threshold("queue_stored")
    size = _size_limits(target, past)
    forecasts = [
        *_by_row(past, host.disk.name, "Disk {mount}", lambda row: row["used_percent"], used),
        *_by_row(
            past,
            database.size.name,
            "Database {database}",
            lambda row: row["size_bytes"] / MIB,
            size,
        ),
        *_by_row(
            past, queues.depth.name, "Queue {queue}, waiting", lambda row: row["waiting"], waiting
        ),
        *_by_row(past, queues.depth.name, "Queue {queue}, kept", lambda row: row["total"], kept),
    ]
    return sorted(forecasts, key=_nearness)


def _size_limits(target: Target, past: Past) -> Threshold:
    """Return the limits of the database's size; where none are set, what its disk holds."""
    limits = target.threshold("database_size_mib")
    sizes = [found for found in past.filling if found.name == database.size.name]
    rows = [row for found in sizes for row in found.rows]
    if limits.limits or not rows or rows[-1]["free_bytes"] is None:
        return limits
    return replace(limits, crit=(rows[-1]["size_bytes"] + rows[-1]["free_bytes"]) / MIB)


def _by_row(
    past: Past, check: str, name: str, value: Callable[[Row], float], limits: Threshold
) -> list[Forecast]:
    """Return a forecast for each row of the newest finding of `check`, named after its columns."""
    recorded = [
        found
        for found in past.filling
        if found.name == check and found.rows and _has(found.rows[0], value)
    ]
    recorded.sort(key=lambda found: found.at)
    points: dict[str, list[Point]] = {}
    for finding in recorded:
        for row in finding.rows:
            point = finding.at.timestamp(), value(row)
            points.setdefault(name.format_map(row), []).append(point)
    # Nothing is forecast of a disk or a queue that is gone.
    current = [name.format_map(row) for row in recorded[-1].rows] if recorded else []
    at = now().timestamp()
    return [Forecast(title, points[title], limits, at) for title in current]


def _has(row: Row, value: Callable[[Row], float]) -> bool:
    """Whether a row has the column that `value` reads; those of a watch have others."""
    try:
        value(row)
    except KeyError:
        return False
    return True


def _nearness(forecast: Forecast) -> tuple[bool, bool, float]:
    """Return the sort key of a forecast: certain ones first, then those with enough records."""
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
    since = f", by the records since the drop of {first.since:%F}"
    when = f"{first.when(limit)}{since * first.has_dropped}"
    if first.judged_days is None:
        when = f"{first.name}, {number(limit, unit)}: {when}"
        return f"No limit is certain to be reached within a year. {when}."
    if first.judged_days == 0:
        return f"{first.name} has reached {number(limit, unit)}."
    return f"{first.name} reaches {number(limit, unit)} {when}."

"""The errors in the log: how many, over time, and the events that they began with."""

from __future__ import annotations

from collections import Counter

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.error_causes import REDIS_IS_FULL
from opsnb.handbook.incidents.high_error_rate.window import Seen, Window
from opsnb.model import Finding, Row, Status
from opsnb.systems import host, logs
from opsnb.view.formats import span, utc

RECORDED_AS = "errors"
_LIMIT_S = 60.0
_BINS = 60
_MOST_ROWS = 10
_LOST_MOST = 5


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S)
def rate(target: Target, window: Window) -> Finding:
    """Errors in the log"""
    seen = window.of(target)
    rows = sorted(logs.groups(seen.window.errors), key=lambda row: -int(row["count"]))
    since = "the action" if seen.hours < window.hours else ""
    words = [logs.sentence(rows, seen.count, window.hours, since=since)]
    if seen.groups:
        words.append(_when(seen))
    message = " ".join([*words, *seen.window.notes])
    finding = Finding.measured(
        seen.count, target.threshold("log_errors"), message, rows=rows[:_MOST_ROWS]
    )
    return finding if seen.ended is None else finding.model_copy(update={"status": Status.OK})


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, recorded_as="errors.course")
def over_time(target: Target, window: Window) -> Finding:
    """Errors over time"""
    seen = window.of(target)
    width = window.hours * 3600 / _BINS
    bins = Counter(
        min(_BINS - 1, int((entry.at - seen.window.since) / width))
        for _, entry in seen.window.errors
    )
    rows: list[Row] = [
        {"at": logs.iso(seen.window.since + place * width), "errors": bins[place]}
        for place in range(_BINS)
    ]
    message = f"{seen.count} errors; at most {max(bins.values(), default=0)} in {span(width)}."
    return Finding(status=Status.OK, message=message, unit=f"errors in {span(width)}", rows=rows)


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S)
def events(target: Target, window: Window) -> Finding:
    """Deployments, restarts and lost connections"""
    seen = window.of(target)
    happened: list[tuple[float, str]] = [
        (at, f"{name} started") for name, at in seen.started.items() if at >= seen.window.since
    ]
    happened += [(change.began, change.runbook) for change in seen.deployed]
    for name, lost in seen.lost.items():
        happened += [
            (at, f"{name} {'full' if REDIS_IS_FULL.search(line) else 'lost'}")
            for at, line in lost[-_LOST_MOST:]
        ]
    rows: list[Row] = [{"at": logs.iso(at), "event": event} for at, event in sorted(happened)]
    message = f"Deployments, restarts and lost connections to Redis or PostgreSQL: {len(rows)}."
    return Finding(status=Status.OK, message=message, rows=rows)


def _when(seen: Seen) -> str:
    """Return when the errors began: the largest ongoing group, or all if none is ongoing."""
    if seen.ended is not None:
        begun = min(group.begun for group in seen.groups)
        return f"They began at {utc(begun)} and ended at {utc(seen.ended)}."
    first = seen.ongoing[0]
    which = "" if len(first.errors) == seen.count else f"{seen.subject([first])} continue. "
    return f"{which}They began at {utc(first.begun)}."

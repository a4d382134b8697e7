"""Causes in a process: it leaks, at once or slowly, or its V8 heap is full."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from opsnb.checks.causes import likely, not_checked, ruled_out
from opsnb.checks.check import check
from opsnb.checks.reading import Reading
from opsnb.checks.trend import Trend, trend
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.troubleshooting.memory.watched import Watch, growth_row, mib
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.records.readings import Readings
from opsnb.systems import host, processes
from opsnb.systems.processes import DaemonGone, Process
from opsnb.view.formats import MIB, span

RECORDED_AS = "memory"
_RUNBOOK = "troubleshooting/memory"
_SYSTEMS = (host.SYSTEM,)
_WATCHING_LIMIT_S = 90.0
_RECORDS_S = 7 * 86_400.0
_LEAST_SPAN_S = 3600.0  # a process still grows in its first hour
_CREEP_SHARE = 0.2  # of a process's size at its start: a smaller growth is no slow leak


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def leaking(target: Target, watched: Reading[Watch]) -> Finding:
    """Memory leak"""
    watch = watched.of(target)
    growths = watch.growths
    rows = [growth_row(growth) for growth in growths]
    limit = target.limit("process_growth_mib_per_min")
    lines = [(growth, line) for growth in growths if (line := growth.trend)]
    leaks = [(growth, line) for growth, line in lines if 60 * line.least / MIB > limit]
    if not leaks:
        pace = f"by {limit:,.0f} MiB a minute or more"
        return ruled_out(f"Watched for {span(watch.seconds)}, no process grows {pace}.", rows)
    worst, line = max(leaks, key=lambda leak: leak[1].slope)
    return likely(
        f"{worst.label} grows by {60 * line.slope / MIB:,.0f} MiB a minute (watched for "
        f"{span(watch.seconds)}), at {mib(worst.size):,.0f} MiB now; at this pace the "
        f"machine's memory is used up in {span(watch.available / line.slope)}.",
        0.95,
        *[_restart(growth.process.name) for growth, _ in leaks],
        value=mib(60 * line.slope),
        unit="MiB/min",
        rows=rows,
    )


@check(needs=_SYSTEMS, limit_s=30.0, is_cause=True)
def creeping(target: Target) -> Finding:
    """Slow memory leak"""
    at = time.time()
    recorded = _recorded(target, at - _RECORDS_S)
    rows, leaks = [], []
    for process in _up(target):
        since = at - (process.uptime_s or 0)
        points = [point for point in recorded.get(process.name, []) if point[0] >= since]
        line = trend([point[0] for point in points], [point[1] for point in points])
        if line is None or points[-1][0] - points[0][0] < _LEAST_SPAN_S:
            continue
        rows.append(_creep_row(process, points, line))
        if line.least * (points[-1][0] - points[0][0]) > _CREEP_SHARE * line.at(points[0][0]):
            leaks.append((process, line))
    if not rows:
        return not_checked(
            "Too few records since the processes were started; health/daily on a schedule makes "
            "them."
        )
    if not leaks:
        return ruled_out("Over the records since its start no process is certain to grow.", rows)
    process, line = max(leaks, key=lambda leak: leak[1].slope)
    return likely(
        f"{process.name} has grown by {3600 * line.slope / MIB:.1f} MiB an hour since it "
        f"was started {span(process.uptime_s or 0)} ago.",
        0.8,
        *[_restart(leak.name) for leak, _ in leaks],
        value=round(3600 * line.slope / MIB, 2),
        unit="MiB/h",
        rows=rows,
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def heap_full(target: Target, watched: Reading[Watch]) -> Finding:
    """V8 heap full"""
    rows, full = [], []
    heap = target.threshold("process_heap_percent")
    for growth in watched.of(target).growths:
        used, limit = growth.process.heap_bytes, growth.process.heap_limit_bytes
        if used is None:
            continue
        percent = round(100 * used / limit, 1) if limit else None
        rows.append(
            {
                "process": growth.label,
                "heap_mib": mib(used),
                "limit_mib": mib(limit) if limit else None,
                "percent": percent,
            }
        )
        if percent is not None and heap.judge(percent) is not Status.OK:
            full.append((percent, growth))
    if not rows:
        return not_checked("No process reports a V8 heap to its manager.")
    if not full:
        unbounded = all(row["limit_mib"] is None for row in rows)
        words = (
            "none was started with a limit of its own" if unbounded else "none is near its limit"
        )
        return ruled_out(f"Of the V8 heaps {words}.", rows)
    percent, worst = max(full, key=lambda heap: heap[0])
    return likely(
        f"The heap of {worst.label} is {percent:.0f} % full; at its limit V8 ends the "
        "process. If it does not leak, start it with a larger --max-old-space-size.",
        0.85,
        *[_restart(growth.process.name) for _, growth in full],
        value=percent,
        unit="%",
        rows=rows,
    )


def _restart(name: str) -> Remedy:
    return Remedy.of(
        _RUNBOOK,
        f"restarts {name}: it releases its memory, and the leak stays in the code",
        apply=True,
        restart=name,
    )


def _up(target: Target) -> list[Process]:
    try:
        return [process for process in processes.listed(target) if process.is_up]
    except DaemonGone as error:
        raise BadAnswer(processes.SYSTEM, str(error)) from error


def _recorded(target: Target, since: float) -> dict[str, list[tuple[float, int]]]:
    """Return the size of each process at the times of the records; several of one name added."""
    recorded: dict[str, list[tuple[float, int]]] = {}
    past = Readings(target, datetime.fromtimestamp(since, UTC))
    for finding in past.findings([processes.up.name], rows=True):
        sizes: dict[str, int] = {}
        for row in finding.rows:
            if row.get("memory_bytes"):
                sizes[row["name"]] = sizes.get(row["name"], 0) + row["memory_bytes"]
        for name, size in sizes.items():
            recorded.setdefault(name, []).append((finding.at.timestamp(), size))
    return recorded


def _creep_row(process: Process, points: list[tuple[float, int]], line: Trend) -> Row:
    return {
        "process": process.name,
        "records": len(points),
        "over": span(points[-1][0] - points[0][0]),
        "mib_per_hour": round(3600 * line.slope / MIB, 2),
        "uncertain_by": round(3600 * (line.most - line.slope) / MIB, 2),
    }

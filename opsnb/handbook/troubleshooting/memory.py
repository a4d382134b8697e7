"""What uses the memory: a process, with a leak or without, Redis, PostgreSQL, or others.

Handbook, section 5.4. A leak shows as growth while it is watched, or, when it is slow, over the
records of the daily check; V8 names neither the heap's owner nor the leak itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.checks.check import check, ruled_out, treated_by
from opsnb.checks.reading import Reading
from opsnb.checks.trend import Trend, trend
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.records.readings import Readings
from opsnb.systems import cache, database, host, processes
from opsnb.systems.processes import DaemonGone, Growth, Process
from opsnb.view import commands
from opsnb.view.formats import span

RUNBOOK = "troubleshooting/memory"
_SYSTEMS = (host.SYSTEM,)
_WATCHING_LIMIT_S = 90.0
_MIB = 2**20
_LEAK = 0.5 * _MIB
"""Bytes a second. A process that is under load, or just started, grows more slowly than that."""
_RECORDS_S = 7 * 86_400.0
_LEAST_SPAN_S = 3600.0
_CREEP_SHARE = 0.2
"""Of its size, that a process is to have grown by since its start to count as leaking slowly."""
_OWN_PROGRAMS = ("node", "nodejs")


@dataclass(frozen=True)
class Seen:
    """The machine's memory, and its processes while they were watched; sizes in bytes."""

    seconds: float
    growths: list[Growth]
    total: int
    available: int
    is_short: bool
    missing: ServiceError | None = None
    """Why no process could be watched; the machine's memory is known all the same."""


def watch(seconds: float) -> Reading[Seen]:
    """Return what the checks below judge: the processes, watched for `seconds` once."""
    return Reading(lambda target: _look(target, seconds))


def _look(target: Target, seconds: float) -> Seen:
    growths, missing = _growths(target, seconds)
    found = host.memory(target)
    ram = found.rows[0]
    short = found.status is not Status.OK
    return Seen(seconds, growths, ram["size_bytes"], ram["free_bytes"], short, missing)


def _growths(target: Target, seconds: float) -> tuple[list[Growth], ServiceError | None]:
    """Return the processes while they were watched, or why none could be."""
    try:
        growths = processes.growth(target, seconds)
    except DaemonGone as error:
        start = commands.run("incidents/service_down", target, apply=True)
        message = f"{error} Start it: {start}"
        return [], BadAnswer(processes.SYSTEM, message)
    except ServiceError as error:
        return [], error
    if growths:
        return growths, None
    return [], BadAnswer(
        processes.SYSTEM, "No process of the service was up, and measured, all the time."
    )


def _watched(seen: Seen) -> list[Growth]:
    """Return the processes that were watched. Raises ServiceError when there is none."""
    if seen.missing:
        raise seen.missing
    return seen.growths


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S)
def course(target: Target, watched: Reading[Seen]) -> Finding:
    """Memory of the processes while they were watched"""
    seen = watched.of(target)
    growths = _watched(seen)
    samples = zip(*(each.samples for each in growths), strict=True)
    rows: list[Row] = [
        {
            "s": round(sample[0][0], 1),
            **{each.label: _mib(size) for each, (_, size) in zip(growths, sample, strict=True)},
        }
        for sample in samples
    ]
    sizes = ", ".join(f"{each.label} {_mib(each.samples[-1][1]):g} MiB" for each in growths)
    return Finding(status=Status.OK, message=f"{sizes}.", unit="MiB", rows=rows)


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def leaking(target: Target, watched: Reading[Seen]) -> Finding:
    """Memory leak"""
    seen = watched.of(target)
    growths = _watched(seen)
    rows = [_growth_row(each) for each in growths]
    found = [(each, line) for each in growths if (line := each.trend) and line.least > _LEAK]
    if not found:
        message = (
            f"Watched for {span(seen.seconds)}, no process grows by {_a_minute(_LEAK)} or more."
        )
        return ruled_out(message, rows)
    worst, line = max(found, key=lambda each: each[1].slope)
    return Finding(
        status=Status.WARN,
        message=f"{worst.label} grows by {_a_minute(line.slope)} (watched for "
        f"{span(seen.seconds)}), at {_mib(worst.samples[-1][1]):,.0f} MiB now; at this pace the "
        f"machine's memory is used up in {span(seen.available / line.slope)}.",
        value=round(60 * line.slope / _MIB, 1),
        unit="MiB/min",
        rows=rows,
        share=0.95,
        remedies=[_restart(each.process.name) for each, _ in found],
    )


@check(needs=_SYSTEMS, limit_s=30.0, is_cause=True)
def creeping(target: Target) -> Finding:
    """Slow memory leak"""
    at = time.time()
    recorded = _recorded(target, at - _RECORDS_S)
    rows, found = [], []
    for process in _up(target):
        since = at - (process.uptime_s or 0)
        points = [point for point in recorded.get(process.name, []) if point[0] >= since]
        line = trend([point[0] for point in points], [point[1] for point in points])
        if line is None or points[-1][0] - points[0][0] < _LEAST_SPAN_S:
            continue
        rows.append(_creep_row(process, points, line))
        if line.least * (points[-1][0] - points[0][0]) > _CREEP_SHARE * line.at(points[0][0]):
            found.append((process, line))
    if not rows:
        message = (
            "Too few records since the processes were started; health/daily on a schedule makes "
            "them."
        )
        return Finding(status=Status.SKIPPED, message=message)
    if not found:
        return ruled_out("Over the records since its start no process is certain to grow.", rows)
    process, line = max(found, key=lambda each: each[1].slope)
    return Finding(
        status=Status.WARN,
        message=f"{process.name} has grown by {3600 * line.slope / _MIB:.1f} MiB an hour since it "
        f"was started {span(process.uptime_s or 0)} ago.",
        value=round(3600 * line.slope / _MIB, 2),
        unit="MiB/h",
        rows=rows,
        share=0.8,
        remedies=[_restart(each.name) for each, _ in found],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def heap_full(target: Target, watched: Reading[Seen]) -> Finding:
    """V8 heap full"""
    rows, full = [], []
    heap = target.threshold("process_heap_percent")
    for each in _watched(watched.of(target)):
        used, limit = each.process.heap_bytes, each.process.heap_limit_bytes
        if used is None:
            continue
        percent = round(100 * used / limit, 1) if limit else None
        rows.append(
            {
                "process": each.label,
                "heap_mib": _mib(used),
                "limit_mib": _mib(limit) if limit else None,
                "percent": percent,
            }
        )
        if percent is not None and heap.judge(percent) is not Status.OK:
            full.append((percent, each))
    if not rows:
        message = "No process reports a V8 heap to its manager."
        return Finding(status=Status.SKIPPED, message=message)
    if not full:
        unbounded = all(row["limit_mib"] is None for row in rows)
        words = (
            "none was started with a limit of its own" if unbounded else "none is near its limit"
        )
        return ruled_out(f"Of the V8 heaps {words}.", rows)
    percent, worst = max(full, key=lambda each: each[0])
    return Finding(
        status=Status.WARN,
        message=f"The heap of {worst.label} is {percent:.0f} % full; at its limit V8 ends the "
        "process. If it does not leak, start it with a larger --max-old-space-size.",
        value=percent,
        unit="%",
        rows=rows,
        share=0.85,
        remedies=[_restart(each.process.name) for _, each in full],
    )


@check(
    needs=_SYSTEMS,
    limit_s=_WATCHING_LIMIT_S,
    is_cause=True,
    treated_by="run fewer processes, or give the machine more memory",
)
def large(target: Target, watched: Reading[Seen], percent: float | None = None) -> Finding:
    """Large memory use of the service, without a leak"""
    seen = watched.of(target)
    growths = _watched(seen)
    used = sum(each.samples[-1][1] for each in growths)
    message = f"The service's {len(growths)} processes take {_mib(used):,.0f} MiB"
    advice = "Run fewer of them, or give the machine more."
    rows = [_growth_row(each) for each in growths]
    return _of_all(seen, used, _share(target, percent), message, advice).model_copy(
        update={"rows": rows}
    )


@check(
    needs=_SYSTEMS,
    limit_s=_WATCHING_LIMIT_S,
    is_cause=True,
    treated_by="ask whose program it is before you end it",
)
def others(target: Target, watched: Reading[Seen], percent: float | None = None) -> Finding:
    """Another program using the memory"""
    seen, found = watched.of(target), processes.largest(target)
    other = next((row for row in found.rows if row["program"] not in _OWN_PROGRAMS), None)
    if other is None:
        return ruled_out("No other program takes much.", rows=found.rows)
    size = other["memory_bytes"]
    message = f"Of the other programs {other['program']} takes most, {_mib(size):,.0f} MiB"
    judged = _of_all(
        seen, size, _share(target, percent), message, "Ask whose it is before it is ended."
    )
    return judged.model_copy(update={"rows": found.rows})


@check(needs=(*_SYSTEMS, database.SYSTEM), limit_s=_WATCHING_LIMIT_S, is_cause=True)
def postgres(target: Target, watched: Reading[Seen], percent: float | None = None) -> Finding:
    """Memory used by PostgreSQL's sessions"""
    use = database.memory_use(target)
    message = (
        f"PostgreSQL may take {_mib(use.most):,.0f} MiB ({_mib(use.shared):,.0f} shared, and "
        f"{_mib(use.each):g} for each sort of {use.sessions} sessions)"
    )
    advice = "That counts if it runs on this machine."
    judged = _of_all(watched.of(target), use.most, _share(target, percent), message, advice)
    if judged.status is Status.OK:
        return judged
    remedy = Remedy(runbook="database/connections", why="shows who holds them")
    return judged.model_copy(update={"remedies": [remedy]})


redis = cache.memory.as_cause(
    "Memory used by Redis",
    0.6,
    treated_by("cache/key_patterns", "shows which keys take it"),
    name="memory.redis",
)


def _share(target: Target, percent: float | None) -> float:
    return target.limit("memory_share_percent", percent)


def _of_all(seen: Seen, used: float, percent: float, message: str, advice: str) -> Finding:
    """Judge what takes `used` bytes: a cause when memory is short and it has so great a share."""
    share = used / seen.total
    message += f", {100 * share:.1f} % of the machine's memory"
    if not seen.is_short or 100 * share < percent:
        enough = "" if seen.is_short else "; enough memory is free"
        return ruled_out(f"{message}{enough}.")
    return Finding(
        status=Status.WARN,
        message=f"{message}. {advice}",
        value=round(100 * share, 1),
        unit="%",
        share=min(1.0, share),
    )


def _restart(name: str) -> Remedy:
    return Remedy(
        runbook=RUNBOOK,
        parameters={"restart": name},
        apply=True,
        why=f"restarts {name}: it gives its memory back, and the leak stays in the code",
    )


def _up(target: Target) -> list[Process]:
    try:
        return [process for process in processes.listed(target) if process.is_up]
    except DaemonGone as error:
        raise BadAnswer(processes.SYSTEM, str(error)) from error


def _recorded(target: Target, since: float) -> dict[str, list[tuple[float, int]]]:
    """Return the size of each process at the times of the records; several of one name added."""
    found: dict[str, list[tuple[float, int]]] = {}
    past = Readings(target, datetime.fromtimestamp(since, UTC))
    for once in past.findings([processes.up.name], rows=True):
        sizes: dict[str, int] = {}
        for row in once.rows:
            if row.get("memory_bytes"):
                sizes[row["name"]] = sizes.get(row["name"], 0) + row["memory_bytes"]
        for name, size in sizes.items():
            found.setdefault(name, []).append((once.at.timestamp(), size))
    return found


def _growth_row(each: Growth) -> Row:
    line = each.trend
    return {
        "process": each.label,
        "mib": _mib(each.samples[-1][1]),
        "mib_per_min": round(60 * line.slope / _MIB, 1) if line else None,
        "uncertain_by": round(60 * (line.most - line.slope) / _MIB, 1) if line else None,
        "heap_mib": _mib(each.process.heap_bytes) if each.process.heap_bytes else None,
        "up_for": span(each.process.uptime_s) if each.process.uptime_s is not None else None,
    }


def _creep_row(process: Process, points: list[tuple[float, int]], line: Trend) -> Row:
    return {
        "process": process.name,
        "records": len(points),
        "over": span(points[-1][0] - points[0][0]),
        "mib_per_hour": round(3600 * line.slope / _MIB, 2),
        "uncertain_by": round(3600 * (line.most - line.slope) / _MIB, 2),
    }


def _a_minute(slope: float) -> str:
    return f"{60 * slope / _MIB:,.0f} MiB a minute"


def _mib(size: float) -> float:
    return round(size / _MIB, 1)

"""How long a queue is, and two causes: slow jobs, and more jobs than the workers can process."""

from __future__ import annotations

import math

from opsnb.checks.causes import likely, not_checked, ruled_out
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.troubleshooting.high_queue_length.durations import (
    all_hang,
    running_s,
    short,
    usual,
)
from opsnb.handbook.troubleshooting.high_queue_length.workers import stalls
from opsnb.model import Finding, Remedy, Row
from opsnb.systems import queues
from opsnb.systems.queues import Durations
from opsnb.systems.queues.backlog import due
from opsnb.systems.queues.worker_clients import in_words, shown
from opsnb.view.formats import span

RECORDED_AS = "backlog"
_RUNBOOK = "troubleshooting/high_queue_length"
_SYSTEMS = (queues.SYSTEM,)
_WATCHING_LIMIT_S = 70.0
_SLOWER = 3.0  # times the usual duration
_LEAST_SLOW_S = 1.0  # a busy machine triples jobs of a few ms, which delays nothing
_LONG_S = 10.0  # slow, if no completed job shows the usual duration
_DRAIN_S = 60.0  # more workers are to empty the queue in this time
_MOST_WORKERS = 8  # times as many at most: they load the database and the cache too
_LOAD_SHARE = 0.3  # low, as another cause often explains why too few jobs leave


@check(needs=_SYSTEMS)
def length(target: Target, queue: str) -> Finding:
    """Queue length"""
    row = queues.counts_of(target, queue)
    overdue = f", {row['overdue']} of them overdue" if row["overdue"] else ""
    message = (
        f"Queue {queue}: {row['waiting']} jobs waiting, {row['active']} active, {row['delayed']} "
        f"delayed{overdue}; {in_words(row)}."
    )
    return Finding.measured(due(row), target.threshold("queue_waiting"), message, rows=[shown(row)])


@check(needs=_SYSTEMS, is_cause=True)
def slow_jobs(target: Target, queue: str) -> Finding:
    """Slow jobs"""
    times = queues.durations(target, queue)
    longest_s = running_s(times)
    if times.recent_s is None and longest_s is None:
        return not_checked(f"No job of {queue} is running, and Redis keeps no completed one.")
    rows: list[Row] = [
        {"jobs": "older half of the completed, median", "take": short(times.usual_s)},
        {"jobs": "newest completed, median", "take": short(times.recent_s)},
        {"jobs": "running now, the longest", "take": short(longest_s)},
    ]
    slow_s = _slow_s(times)
    if slow_s is None:
        return ruled_out(
            f"Jobs of {queue} take {short(times.recent_s or longest_s)}; {usual(times)}.", rows
        )
    row = queues.counts_of(target, queue)
    return likely(
        f"Jobs of {queue} take {short(slow_s)} or more; {usual(times)}.",
        1 - times.usual_s / slow_s if times.usual_s else 0.5,
        _more_workers(row, slow_s),
        Remedy.of(
            "incidents/performance_degradation",
            "shows whether the database, the cache or the machine slows them",
        ),
        value=round(slow_s, 3),
        unit="s",
        rows=rows,
    )


def _slow_s(times: Durations) -> float | None:
    """Return how long jobs take, in s, when that is much longer than usual; else None."""
    longest_s = running_s(times)
    if times.usual_s is None or times.usual_long_s is None:
        return longest_s if longest_s and longest_s > _LONG_S else None
    slow = [
        now
        for now, before in ((times.recent_s, times.usual_s), (longest_s, times.usual_long_s))
        if now is not None and now > max(_LEAST_SLOW_S, _SLOWER * before)
    ]
    return max(slow, default=None)


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def too_much_work(target: Target, queue: str, seconds: float = 3) -> Finding:
    """More jobs than the workers can process"""
    seen = queues.flow(target, queue, seconds)
    rates = (
        f"{seen.arriving:.2g} jobs a second arrive, {seen.leaving:.2g} leave "
        f"(sampled for {span(seen.seconds)})"
    )
    limit = target.threshold("queue_waiting").warn or 0
    rows: list[Row] = [
        {"rate": "arriving", "jobs a second": round(seen.arriving, 2)},
        {"rate": "leaving", "jobs a second": round(seen.leaving, 2)},
    ]
    if seen.waiting <= limit:
        return ruled_out(f"{rates}; {seen.waiting} wait.", rows)
    row = queues.counts_of(target, queue)
    times = queues.durations(target, queue)
    if seen.pause["paused"] or seen.workers == 0 or all_hang(times) or stalls(seen, times, row):
        return ruled_out(f"{rates}; nothing leaves, so the cause is another.", rows)
    drains = seen.drains_in_s
    ending = f"the queue is empty in {span(drains)}" if drains else "the queue does not get shorter"
    return likely(
        f"{rates}; {seen.waiting} wait; at this pace {ending}.",
        _LOAD_SHARE,
        _more_workers(row, max(times.recent_s or 0.0, running_s(times) or 0.0), seen.arriving),
        value=None if drains is None else round(drains),
        unit="" if drains is None else "s",
        rows=rows,
    )


def _more_workers(row: Row, job_s: float, arriving: float = 0.0) -> Remedy:
    """Return the remedy that runs enough workers to empty the queue in `_DRAIN_S`.

    A job takes `job_s`; `arriving` is in jobs a second.
    """
    now = max(1, row["workers"] or 0)
    at_once = max(1.0, row["active"] / now)
    wanted = (arriving + row["waiting"] / _DRAIN_S) * job_s / at_once
    workers = min(max(2 * now, math.ceil(wanted)), _MOST_WORKERS * now)
    return Remedy.of(
        _RUNBOOK, "runs more workers for a while", queue=str(row["queue"]), workers=workers
    )

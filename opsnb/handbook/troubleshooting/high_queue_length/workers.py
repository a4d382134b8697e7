"""Causes of a long queue: its workers are down, idle or hang, or abandoned their jobs."""

from __future__ import annotations

import math

from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.troubleshooting.high_queue_length.durations import all_hang, hangs, short, usual
from opsnb.handbook.troubleshooting.high_queue_length.holds import is_held_back
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.params.spans import spelled
from opsnb.systems import queues
from opsnb.systems.queues import Durations, Flow
from opsnb.systems.queues.worker_clients import in_words, shown
from opsnb.view.formats import counted, span

RECORDED_AS = "backlog"
_SYSTEMS = (queues.SYSTEM,)
_WATCHING_LIMIT_S = 70.0
_MOST_ROWS = 20
_LEAST_DUE = 3.0  # jobs due while watching; with fewer, it may be chance that none ended


@check(needs=_SYSTEMS, is_cause=True)
def no_worker(target: Target, queue: str) -> Finding:
    """Worker down"""
    row = queues.counts_of(target, queue)
    if row["workers"] is None:
        held = queues.locked(target, queue)
        if held:
            return ruled_out(
                f"Workers hold {counted(held, 'active job')} of {queue}.", settled=True
            )
        message = f"opsnb cannot see whether {queue} has a worker."
        return Finding(status=Status.UNKNOWN, message=message)
    if row["workers"]:
        return ruled_out(f"Queue {queue} has {counted(row['workers'], 'worker')}.")
    return likely(
        f"No worker of {queue} is connected to Redis; {row['waiting']} jobs wait"
        f"{', ' + str(row['overdue']) + ' delayed ones are overdue' if row['overdue'] else ''}.",
        1.0,
        Remedy.of("incidents/service_down", "starts what is down", apply=True),
        status=Status.CRIT,
    )


@check(needs=_SYSTEMS, is_cause=True)
def stuck(target: Target, queue: str, longer_than_min: float | None = None) -> Finding:
    """Stuck jobs"""
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    active = queues.active_jobs(target, queue)
    abandoned = [job for job in active if job.is_stuck(longer_than_min)]
    if not abandoned:
        return ruled_out(
            f"Active jobs abandoned for {span(longer_than_min * 60)}: 0 of {len(active)}."
        )
    return likely(
        f"{len(abandoned)} of {len(active)} active jobs are abandoned: {abandoned[0].evidence}.",
        len(abandoned) / len(active),
        Remedy.of(
            "queues/remove_stuck",
            "shows them first; with --apply it removes them",
            queue=queue,
            longer_than=spelled(longer_than_min, "m"),
        ),
        value=len(abandoned),
        unit="jobs",
        rows=[job.row() for job in abandoned[:_MOST_ROWS]],
    )


@check(needs=_SYSTEMS, is_cause=True)
def hung(
    target: Target, queue: str, longer_than_min: float | None = None, process: str = ""
) -> Finding:
    """Hung jobs

    A worker runs them, yet they take far longer than any other job did; `process` is the workers'
    name at their manager.
    """
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    times = queues.durations(target, queue)
    hanging = [job for job in times.running if hangs(job, times, longer_than_min)]
    if not hanging:
        longest = f", the longest for {short(times.running[0].age_s)}" if times.running else ""
        return ruled_out(
            f"{counted(len(times.running), 'job')} of {queue} running{longest}; none hangs."
        )
    row = queues.counts_of(target, queue)
    none_is_free = len(hanging) == row["active"] and bool(row["waiting"])
    return likely(
        f"{len(hanging)} of {counted(row['active'], 'active job')} of {queue} "
        f"{'hangs' if len(hanging) == 1 else 'hang'}: job "
        f"{hanging[0].id} has run for {span(hanging[0].age_s)}; {usual(times)}.",
        len(hanging) / row["active"] if row["active"] else 1.0,
        _restart(process, "; BullMQ gives its jobs to a worker again within a minute"),
        Remedy.of(
            "queues/remove_stuck",
            "removes a job that hangs again, once its worker is ended",
            queue=queue,
            job=hanging[0].id,
        ),
        status=Status.CRIT if none_is_free else Status.WARN,
        value=len(hanging),
        unit="jobs",
        rows=[job.row() for job in hanging[:_MOST_ROWS]],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def standstill(target: Target, queue: str, seconds: float = 3, process: str = "") -> Finding:
    """Workers connected, but idle

    They are connected, jobs wait, nothing holds them back, and none is taken or none ends.
    """
    seen = queues.flow(target, queue, seconds)
    row = queues.counts_of(target, queue)
    times = queues.durations(target, queue)
    watched = f"in {span(seen.seconds)}"
    is_idle = seen.waiting and not seen.left and not times.running and not seen.pause["paused"]
    if seen.workers is None and is_idle:
        message = (
            f"No job left {queue} {watched}, {seen.waiting} wait, and opsnb cannot see whether it "
            "has a worker."
        )
        return Finding(status=Status.UNKNOWN, message=message, rows=[shown(row)])
    if (
        all_hang(times)
        or not stalls(seen, times, row)
        or is_held_back(target, queue, row["active"])
    ):
        return ruled_out(
            f"{counted(seen.left, 'job')} left {queue} {watched}; {seen.waiting} wait."
        )
    restart = _restart(process)
    slowed = Remedy.of(
        "incidents/performance_degradation", "shows what they wait for, if it is that"
    )
    if row["active"]:
        return likely(
            f"{row['active']} jobs of {queue} are active and none ended {watched}; {usual(times)}.",
            0.6,
            slowed,
            restart,
            rows=[shown(row)],
        )
    return likely(
        f"Queue {queue} has {in_words(row)}, but none took one of the {seen.waiting} "
        f"waiting jobs {watched}.",
        0.95,
        restart,
        slowed,
        status=Status.CRIT,
        rows=[shown(row)],
    )


def _restart(process: str, and_then: str = "") -> Remedy:
    """Return the remedy that restarts the workers' process, which has to be named if unknown."""
    if process:
        return Remedy.of(
            "incidents/service_down", f"restarts {process}{and_then}", apply=True, process=process
        )
    return Remedy.of(
        "incidents/service_down",
        f"shows the processes; add -p process=NAME to restart the workers'{and_then}",
    )


def stalls(seen: Flow, times: Durations, row: Row) -> bool:
    """Whether nothing leaves though something should: no job is taken, or those taken do not end.

    Where jobs take long, that none ends in a few seconds proves nothing.
    """
    if seen.left or not seen.waiting or seen.workers == 0 or seen.pause["paused"]:
        return False
    if seen.workers is None and not times.running:
        return False  # whether anyone could take them is not known
    if not row["active"]:
        return True
    return bool(times.usual_long_s) and (
        row["active"] * seen.seconds / (times.usual_long_s or math.inf) >= _LEAST_DUE
    )

"""Why a queue is long: nobody works, jobs are held back, hang or are slow, or there are too many.

Handbook, section 5.1.
"""

from __future__ import annotations

import math

from opsnb.checks import evidence
from opsnb.checks.check import check, ruled_out
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems import queues
from opsnb.systems.queues import Active, Durations, Flow
from opsnb.systems.queues.backlog import due
from opsnb.systems.queues.pause_state import since_words
from opsnb.systems.queues.worker_clients import in_words, shown
from opsnb.view.formats import counted, span

RECORDED_AS = "backlog"
"""How records name its checks and actions: a name never changes, so that histories go on."""

_SYSTEMS = (queues.SYSTEM,)
_WATCHING_LIMIT_S = 70.0
_SLOWER = 3.0  # times the usual
_LEAST_SLOW_S = 1.0  # below, jobs of a few milliseconds would seem slow on a busy machine
_LONG_S = 10.0  # for a job to run, when none shows how long they usually take
_HANGS = 50.0  # times as long as almost all others took
_LEAST_HANGS_S = 20.0
_LEAST_DUE = 3.0  # jobs that should have ended meanwhile: below, that none ended proves nothing
_DRAIN_S = 60.0  # in which a long queue is to be short again
_MOST_WORKERS = 8  # times as many: what they use is under more load too
_LOAD_SHARE = 0.3  # a queue that has too much to do may have another, truer cause


@check(needs=_SYSTEMS)
def length(target: Target, queue: str) -> Finding:
    """Queue length"""
    row = queues.counts_of(target, queue)
    message = (
        f"Queue {queue}: {row['waiting']} jobs waiting, {row['active']} active, {row['delayed']} "
        f"delayed{_overdue(row)}; {in_words(row)}."
    )
    return Finding.measured(due(row), target.threshold("queue_waiting"), message, rows=[shown(row)])


def _overdue(row: Row) -> str:
    return f", {row['overdue']} of them overdue" if row["overdue"] else ""


@check(needs=_SYSTEMS, is_cause=True)
def paused(target: Target, queue: str) -> Finding:
    """Queue paused"""
    row, pause = queues.state_of(target, queue, with_workers=False)
    if not pause["paused"]:
        return ruled_out(f"Queue {queue} is not paused.")
    return Finding(
        status=Status.CRIT if row["waiting"] else Status.WARN,
        message=f"Queue {queue} is paused{since_words(pause)}; "
        f"{counted(row['waiting'], 'job')} waiting.",
        share=1.0,
        remedies=[Remedy(runbook="queues/resume", parameters={"queue": queue}, apply=True)],
    )


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
    return Finding(
        status=Status.CRIT,
        message=f"No worker of {queue} is connected to Redis; {row['waiting']} jobs wait"
        f"{', ' + str(row['overdue']) + ' delayed ones are overdue' if row['overdue'] else ''}.",
        share=1.0,
        remedies=[Remedy(runbook="incidents/service_down", apply=True, why="starts what is down")],
    )


@check(needs=_SYSTEMS, is_cause=True)
def stuck(target: Target, queue: str, longer_than_min: float | None = None) -> Finding:
    """Stuck jobs"""
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    active = queues.active_jobs(target, queue)
    found = [job for job in active if job.is_stuck(longer_than_min)]
    if not found:
        message = f"Active jobs abandoned for {span(longer_than_min * 60)}: 0 of {len(active)}"
        return ruled_out(message + ".")
    return Finding(
        status=Status.WARN,
        message=f"{len(found)} of {len(active)} active jobs are abandoned: {found[0].evidence}.",
        value=len(found),
        unit="jobs",
        rows=[job.row() for job in found[:20]],
        share=len(found) / len(active),
        remedies=[
            Remedy(
                runbook="queues/remove_stuck",
                parameters={"queue": queue, "longer_than": f"{longer_than_min:g}m"},
                why="shows them first; with --apply it removes them",
            )
        ],
    )


@check(needs=_SYSTEMS, is_cause=True)
def hung(
    target: Target, queue: str, longer_than_min: float | None = None, process: str = ""
) -> Finding:
    """Hung jobs

    A worker is at work on them, yet they run far longer than any other job did; `process` is what
    the workers' manager calls them.
    """
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    found = queues.durations(target, queue)
    hanging = [job for job in found.running if _hangs(job, found, longer_than_min)]
    if not hanging:
        longest = f", the longest for {_short(found.running[0].age_s)}" if found.running else ""
        return ruled_out(
            f"{counted(len(found.running), 'job')} of {queue} running{longest}; none hangs."
        )
    row = queues.counts_of(target, queue)
    none_is_free = len(hanging) == row["active"] and bool(row["waiting"])
    return Finding(
        status=Status.CRIT if none_is_free else Status.WARN,
        message=f"{len(hanging)} of {counted(row['active'], 'active job')} in {queue}, job "
        f"{hanging[0].id} for {span(hanging[0].age_s)}; {_before(found)}.",
        value=len(hanging),
        unit="jobs",
        rows=[job.row() for job in hanging[:20]],
        share=len(hanging) / row["active"] if row["active"] else 1.0,
        remedies=[
            _restart(process, "; BullMQ gives its jobs to a worker again within a minute"),
            Remedy(
                runbook="queues/remove_stuck",
                parameters={"queue": queue, "job": hanging[0].id},
                why="removes a job that hangs again, once its worker is ended",
            ),
        ],
    )


def _hangs(job: Active, found: Durations, longer_than_min: float) -> bool:
    usual_s = found.usual_long_s
    if usual_s is None:  # no completed job shows how long they take
        return job.age_s > longer_than_min * 60
    return job.age_s > max(_LEAST_HANGS_S, _HANGS * usual_s)


@check(needs=_SYSTEMS, is_cause=True, treated_by="the limit is an option of the workers")
def held_back(target: Target, queue: str) -> Finding:
    """Concurrency or rate limit reached"""
    found = queues.brakes(target, queue)
    row = queues.counts_of(target, queue, with_workers=False)
    words = []
    if found.concurrency is not None:
        words.append(f"at most {found.concurrency} jobs may be active at once")
    if found.rate:
        words.append(f"at most {found.rate[0]} jobs in {span(found.rate[1] / 1000)} may begin")
    if found.limited_ms:
        words.append(f"no job may begin for another {span(found.limited_ms / 1000)}")
    if found.window:
        began, left_ms = found.window
        words.append(
            f"{began} jobs began in a rate limit's span that ends in {_short(left_ms / 1000)}"
        )
        if row["waiting"] and row["active"]:
            evidence.partial(
                "whether that rate limit is reached: its maximum is an option of the workers"
            )
    if not words:
        return ruled_out(f"Queue {queue} has no limit.")
    reached = found.concurrency is not None and row["active"] >= found.concurrency
    limited = bool(found.limited_ms) or (found.window is not None and not row["active"])
    binds = bool(row["waiting"]) and (reached or limited)
    is_open = found.window is not None and bool(row["waiting"])
    state = f"and {row['waiting']} jobs wait" if binds or is_open else "which is not reached now"
    return Finding(
        status=Status.WARN if binds else Status.OK,
        message=f"In {queue} {', '.join(words)}, {state}.",
        share=0.9,
        remedies=[_more(queue, "removes the limit", limit="none")] if binds and reached else [],
    )


@check(needs=_SYSTEMS, is_cause=True)
def slow_jobs(target: Target, queue: str) -> Finding:
    """Slow jobs"""
    found = queues.durations(target, queue)
    running_s = _running_s(found)
    if found.recent_s is None and running_s is None:
        return ruled_out(f"No job of {queue} runs or has completed.")
    rows: list[Row] = [
        {"jobs": "older half of the completed, median", "take": _short(found.usual_s)},
        {"jobs": "newest completed, median", "take": _short(found.recent_s)},
        {"jobs": "running now, the longest", "take": _short(running_s)},
    ]
    slow_s = _slow_s(found)
    if slow_s is None:
        return ruled_out(
            f"Jobs of {queue} take {_short(found.recent_s or running_s)}; {_before(found)}.", rows
        )
    row = queues.counts_of(target, queue)
    return Finding(
        status=Status.WARN,
        message=f"Jobs of {queue} take {_short(slow_s)} or more; {_before(found)}.",
        value=round(slow_s, 3),
        unit="s",
        rows=rows,
        share=1 - found.usual_s / slow_s if found.usual_s else 0.5,
        remedies=[
            _more_workers(row, slow_s),
            Remedy(
                runbook="incidents/performance_degradation",
                why="shows whether the database, the cache or the machine slows them",
            ),
        ],
    )


def _running_s(found: Durations) -> float | None:
    """Return how long the longest runs that does not hang."""
    ages = (job.age_s for job in found.running if not _hangs(job, found, math.inf))
    return max(ages, default=None)


def _slow_s(found: Durations) -> float | None:
    """Return how long jobs take, in s, when that is much longer than usual; else None."""
    running_s = _running_s(found)
    if found.usual_s is None or found.usual_long_s is None:
        return running_s if running_s and running_s > _LONG_S else None
    slow = [
        now
        for now, usual in (
            (found.recent_s, found.usual_s),
            (running_s, found.usual_long_s),
        )
        if now is not None and now > max(_LEAST_SLOW_S, _SLOWER * usual)
    ]
    return max(slow, default=None)


def _before(found: Durations) -> str:
    if found.usual_s is None:
        return "no completed job shows how long they usually take"
    return f"{_short(found.usual_s)} is usual"


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
        message = f"{rates}; {seen.waiting} wait."
        return ruled_out(_upper(message), rows)
    row, found = queues.counts_of(target, queue), queues.durations(target, queue)
    if seen.pause["paused"] or seen.workers == 0 or _is_held(found) or _stalls(seen, found, row):
        message = f"{rates}; nothing leaves, so the cause is another."
        return ruled_out(_upper(message), rows)
    drains = seen.drains_in_s
    ending = f"the queue is empty in {span(drains)}" if drains else "the queue does not get shorter"
    return Finding(
        status=Status.WARN,
        message=_upper(f"{rates}; {seen.waiting} wait; at this pace {ending}."),
        value=None if drains is None else round(drains),
        unit="" if drains is None else "s",
        rows=rows,
        share=_LOAD_SHARE,
        remedies=[_more_workers(row, _each_s(found), seen.arriving)],
    )


def _restart(process: str, and_then: str = "") -> Remedy:
    """Return the remedy that restarts the workers' process, which has to be named if unknown."""
    if process:
        return Remedy(
            runbook="incidents/service_down",
            parameters={"process": process},
            apply=True,
            why=f"restarts {process}{and_then}",
        )
    return Remedy(
        runbook="incidents/service_down",
        why=f"shows the processes; add -p process=NAME to restart the workers'{and_then}",
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def standstill(target: Target, queue: str, seconds: float = 3, process: str = "") -> Finding:
    """Workers connected, but idle

    They are connected, jobs wait, nothing holds them back, and none is taken or none ends.
    """
    seen = queues.flow(target, queue, seconds)
    row, found = queues.counts_of(target, queue), queues.durations(target, queue)
    watched = f"in {span(seen.seconds)}"
    is_idle = seen.waiting and not seen.left and not found.running and not seen.pause["paused"]
    if seen.workers is None and is_idle:
        message = (
            f"No job left {queue} {watched}, {seen.waiting} wait, and opsnb cannot see whether it "
            "has a worker."
        )
        return Finding(status=Status.UNKNOWN, message=message, rows=[shown(row)])
    if _is_held(found) or not _stalls(seen, found, row) or _is_limited(target, queue, row):
        return ruled_out(
            f"{counted(seen.left, 'job')} left {queue} {watched}; {seen.waiting} wait."
        )
    restart = _restart(process)
    slowed = Remedy(
        runbook="incidents/performance_degradation", why="shows what they wait for, if it is that"
    )
    if row["active"]:
        return Finding(
            status=Status.WARN,
            message=f"{row['active']} jobs of {queue} are active and none ended {watched}; "
            f"{_before(found)}.",
            rows=[shown(row)],
            share=0.6,
            remedies=[slowed, restart],
        )
    return Finding(
        status=Status.CRIT,
        message=f"Queue {queue} has {in_words(row)}, but none took one of the {seen.waiting} "
        f"waiting jobs {watched}.",
        rows=[shown(row)],
        share=0.95,
        remedies=[restart, slowed],
    )


def _is_held(found: Durations) -> bool:
    """Whether every job that is worked on hangs."""
    return bool(found.running) and _running_s(found) is None


def _is_limited(target: Target, queue: str, row: Row) -> bool:
    brakes = queues.brakes(target, queue)
    reached = brakes.concurrency is not None and row["active"] >= brakes.concurrency
    return reached or bool(brakes.limited_ms) or (brakes.window is not None and not row["active"])


def _stalls(seen: Flow, found: Durations, row: Row) -> bool:
    """Whether nothing leaves though something should: no job is taken, or those taken do not end.

    Where jobs take long, that none ends in a few seconds proves nothing.
    """
    if seen.left or not seen.waiting or seen.workers == 0 or seen.pause["paused"]:
        return False
    if seen.workers is None and not found.running:
        return False  # whether anyone could take them is not known
    if not row["active"]:
        return True
    return bool(found.usual_long_s) and (
        row["active"] * seen.seconds / (found.usual_long_s or math.inf) >= _LEAST_DUE
    )


def _more(queue: str, why: str, **parameters: int | str) -> Remedy:
    return Remedy(
        runbook="troubleshooting/high_queue_length",
        parameters={"queue": queue, **parameters},
        why=why,
    )


def _more_workers(row: Row, each_s: float, arriving: float = 0.0) -> Remedy:
    """Return what runs so many workers that the queue is short again in a while.

    `each_s` is how long a job takes; `arriving` is in jobs a second.
    """
    now = max(1, row["workers"] or 0)
    at_once = max(1.0, row["active"] / now)
    wanted = (arriving + row["waiting"] / _DRAIN_S) * each_s / at_once
    workers = min(max(2 * now, math.ceil(wanted)), _MOST_WORKERS * now)
    return _more(str(row["queue"]), "runs more workers for a while", workers=workers)


def _each_s(found: Durations) -> float:
    return max(found.recent_s or 0.0, _running_s(found) or 0.0)


def _short(seconds: float | None) -> str:
    return "unknown" if seconds is None else span(seconds)


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

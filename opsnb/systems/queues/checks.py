"""Checks of the queues: length, failures, the oldest job, workers, pauses."""

from __future__ import annotations

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by, treated_rows
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction.outside import first_line
from opsnb.systems.queues import connection, rates
from opsnb.systems.queues.backlog import (
    count,
    counts,
    due,
    due_words,
    each_queue,
    read_counts,
    state_of,
)
from opsnb.systems.queues.connection import SYSTEM, Queue, Session, reading
from opsnb.systems.queues.pause_state import pause_of, paused_words
from opsnb.systems.queues.values import read_fields, whole
from opsnb.systems.queues.wording import MOST_NAMED, any_of, named
from opsnb.systems.queues.worker_clients import in_words, shown
from opsnb.view.formats import counted, span, utc
from opsnb.view.tables import MOST_ROWS

_HEAD = 100  # jobs next in line that are read
_NAME_BYTES = 200


_treat_long = treated_rows(
    "troubleshooting/high_queue_length",
    "shows why it is long",
    metric="queue_waiting",
    column="waiting",
    queue="queue",
)


def _treat_depth(target: Target, finding: Finding) -> list[Remedy]:
    """Resume a queue that is long because it is paused; else show why it is long."""
    paused = {str(row["queue"]) for row in finding.rows if row["paused"]}
    return [
        _resumes(remedy.parameters["queue"]) if remedy.parameters["queue"] in paused else remedy
        for remedy in _treat_long(target, finding)
    ]


def _resumes(queue: str) -> Remedy:
    return Remedy.of("queues/resume", "resumes it", queue=queue)


def _is_paused(length: Finding, pauses: Finding) -> bool:
    """Whether each queue that is too long is paused, and the other finding reports pauses."""
    limit = length.threshold
    long = [row for row in length.rows if limit and limit.judge(due(row)) is not Status.OK]
    are_reported = pauses.status is Status.WARN and any(row.get("paused") for row in pauses.rows)
    return are_reported and bool(long) and all(row["paused"] for row in long)


@check(
    needs=(SYSTEM,),
    treated_by=_treat_depth,
    explained_by=("queues.pauses", "api.queue_stats"),
    is_explained=_is_paused,
)
def depth(target: Target) -> Finding:
    """Queue length"""
    rows = counts(target)
    threshold = target.threshold("queue_waiting")
    longest = max(rows, key=due)
    others = sum(1 for row in rows if due(row) > (threshold.warn or 0))
    message = f"Queue {longest['queue']} has {due_words(longest)}"
    if not due(longest):
        message = f"No job waits in {any_of(len(rows))}"
    elif longest["paused"]:
        message += " and is paused"
    elif longest["workers"] == 0:
        message += " and no worker"
    elif others > 1:
        message += f"; {others} queues are too long"
    rows = _worst_first([shown(row) for row in rows], "waiting")
    return Finding.measured(due(longest), threshold, message + ".", rows=rows)


@check(
    needs=(SYSTEM,),
    treated_by=treated_rows(
        "troubleshooting/failed_jobs",
        "shows why they fail",
        metric="queue_failed_percent",
        column="failed_percent",
        queue="queue",
    ),
)
def failures(target: Target) -> Finding:
    """Failed jobs"""

    async def read(session: Session) -> list[rates.Rate]:
        return [
            await rates.read(session.queue(row["queue"]), row)
            for row in await read_counts(session, with_workers=False)
        ]

    with reading(target) as session:
        found = session.run(read(session))
    rows = _worst_first([rate.row() for rate in found], "failed_percent")
    threshold = target.threshold("queue_failed_percent")
    unknown = [rate for rate in found if rate.percent is None]
    for rate in unknown:
        evidence.partial(rate.why)
    known = [rate for rate in found if rate.percent is not None]
    if not known:
        failed = "; ".join(rate.words for rate in unknown[:MOST_NAMED])
        return Finding(status=Status.UNKNOWN, message=f"{failed}.", rows=rows)
    high = max(known, key=lambda rate: rate.percent or 0.0)
    words = [rate.words for rate in [high, *unknown[:MOST_NAMED]] if rate.failed]
    message = f"{'; '.join(words)}." if words else "No failed job in any queue."
    return Finding.measured(high.percent or 0.0, threshold, message, rows=rows)


@check(
    needs=(SYSTEM,),
    treated_by=treated_by("troubleshooting/failed_jobs", "shows why they fail", queue="{queue}"),
)
def failure_rate(target: Target, queue: str) -> Finding:
    """Failed share of the queue's jobs

    Where no failed job is left, it does not matter how many failed before.
    """
    with reading(target) as session:
        found = session.run(connection.known(session, queue))
        row = session.run(count(found, with_workers=False))
        rate = session.run(rates.read(found, row))
    if not row["failed"]:
        return Finding(status=Status.OK, message=f"{queue} has no failed job.")
    return rate.judged(target)


@check(needs=(SYSTEM,))
def oldest(target: Target) -> Finding:
    """Oldest waiting job"""
    with reading(target) as session:
        rows = _worst_first(session.run(each_queue(session, _next_in_line)), "age_s")
    waiting = [row for row in rows if row["age_s"] is not None]
    if not waiting:
        message = f"No job waits in {any_of(len(rows))}."
        return Finding(status=Status.OK, message=message, value=0, unit="s", rows=rows)
    longest = max(waiting, key=lambda row: float(row["age_s"]))
    message = (
        f"Queue {longest['queue']}: job {longest['job']} ({longest['name']}) was added "
        f"{span(longest['age_s'])} ago."
    )
    return Finding(status=Status.OK, message=message, value=longest["age_s"], unit="s", rows=rows)


@check(
    needs=(SYSTEM,),
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
def workers(target: Target) -> Finding:
    """Workers of the queues"""
    columns = ("queue", "workers", "waiting", "active", "paused", "overdue")
    rows = [{key: row[key] for key in columns} for row in counts(target)]
    unknown = [str(row["queue"]) for row in rows if row["workers"] is None]
    idle = [row for row in rows if row["workers"] == 0]
    stranded = [row for row in idle if due(row) and not row["paused"]]
    rows = [shown(row) for row in rows]
    if stranded:
        row, *others = sorted(stranded, key=due, reverse=True)
        message = f"Queue {row['queue']} has {due_words(row)} and no worker"
        if others:
            have = "has" if len(others) == 1 else "have"
            names = named([str(each["queue"]) for each in others])
            message += f"; {names} {have} waiting jobs and no worker either"
        message += "."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    if idle:
        message = f"No worker is connected for {named([str(row['queue']) for row in idle])}."
        return Finding(status=Status.WARN, message=message, rows=rows)
    if unknown:
        message = f"How many workers serve {named(unknown)} is not known."
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    total = sum(int(row["workers"]) for row in rows)
    served = "The queue is" if len(rows) == 1 else f"All {len(rows)} queues are"
    message = f"{served} served, by {counted(total, 'worker')}."
    return Finding(status=Status.OK, message=message, value=total, unit="workers", rows=rows)


@check(needs=(SYSTEM,), treated_by=treated_rows("queues/resume", "resumes it", queue="queue"))
def pauses(target: Target) -> Finding:
    """Paused queues"""
    with reading(target) as session:
        rows = [row for row in session.run(each_queue(session, pause_of)) if row["paused"]]
    if not rows:
        return Finding(status=Status.OK, message="No queue is paused.")
    message = "; ".join(f"Queue {row['queue']} is {paused_words(row)}" for row in rows[:MOST_NAMED])
    if len(rows) > MOST_NAMED:
        message += f"; {len(rows) - MOST_NAMED} more are paused"
    return Finding(status=Status.WARN, message=message + ".", rows=rows)


@check(needs=(SYSTEM,))
def state(target: Target, queue: str) -> Finding:
    """State of the queue"""
    return _state(target, queue)[0]


@check(
    needs=(SYSTEM,),
    treated_by=treated_by("queues/resume", "resumes it", apply=True, queue="{queue}"),
)
def running(target: Target, queue: str) -> Finding:
    """Whether the queue runs"""
    found, is_paused = _state(target, queue)
    return found.model_copy(update={"status": Status.WARN if is_paused else Status.OK})


def _state(target: Target, queue: str) -> tuple[Finding, bool]:
    """Return the state of a queue, and whether it is paused."""
    row, pause = state_of(target, queue)
    words = f"{paused_words(pause)}; " if pause["paused"] else ""
    message = (
        f"Queue {queue}: {words}{row['waiting']} waiting, {row['active']} active, "
        f"{row['delayed']} delayed, {row['failed']} failed, {row['completed']} completed, "
        f"{in_words(row)}."
    )
    row = shown(row)
    facts = [{"fact": name, "value": value} for name, value in {**row, **pause}.items()]
    finding = Finding(
        status=Status.OK, message=message, value=row["total"], unit="jobs", rows=facts
    )
    return finding, bool(pause["paused"])


def _worst_first(rows: list[Row], column: str) -> list[Row]:
    """Return rows in the order of their queues, or the worst first where not all are shown."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: -float(row[column] or 0))


async def _next_in_line(queue: Queue) -> Row:
    """Return the oldest of the jobs next in line."""
    async with queue.client.pipeline(transaction=False) as pipe:
        pipe.lrange(queue["wait"], -_HEAD, -1)
        pipe.lrange(queue["paused"], -_HEAD, -1)
        pipe.zrange(queue["prioritized"], 0, _HEAD - 1)
        jobs = [job for part in await pipe.execute() for job in part]
    stamps = await read_fields(queue, jobs, ["timestamp", "name"], most=_NAME_BYTES)
    known = [
        (whole(added), job, first_line(name or ""))
        for job, (added, name) in zip(jobs, stamps, strict=True)
        if whole(added)
    ]
    if not known:
        return {"queue": queue.name, "job": None, "name": None, "age_s": None, "added": None}
    added, job, name = min(known)
    age_s = max(0.0, (await connection.server_ms(queue.session) - added) / 1000)
    return {
        "queue": queue.name,
        "job": job,
        "name": name,
        "age_s": round(age_s, 1),
        "added": utc(added / 1000),
    }

"""How many jobs are where, what waits and for how long, who works, and what is paused."""

from __future__ import annotations

import base64
from typing import Any

from opsnb.check import check
from opsnb.model import Finding, Row, Status
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import SYSTEM, Session, reading
from opsnb.systems.queues.words import and_list, clock, span
from opsnb.target import Target

STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "prioritized",
    "waiting-children",
    "paused",
)
"""BullMQ's states of a job. Jobs in `paused` wait in a paused queue of an older BullMQ."""

MARK = "opsnb:paused"
"""The field of a queue's `meta` in which opsnb notes who paused it, and when."""

_HEAD = 100  # jobs next in line that are looked at
_EVENTS = 1000  # of the newest, searched for the last pause
_TOLERANCE_MS = 2000  # between BullMQ's event of a pause and our note of it


@check(needs=(SYSTEM,))
def depth(target: Target) -> Finding:
    """Queue length"""
    rows = counts(target)
    threshold = target.threshold("queue_waiting")
    longest = max(rows, key=lambda row: int(row["waiting"]))
    others = sum(1 for row in rows if int(row["waiting"]) > (threshold.warn or 0))
    message = f"{longest['queue']} has {longest['waiting']} waiting jobs"
    if not longest["waiting"]:
        message = f"No job waits in any of {len(rows)} queues"
    elif longest["paused"]:
        message += " and is paused"
    elif not longest["workers"]:
        message += " and no worker"
    elif others > 1:
        message += f"; {others} queues are too long"
    return Finding.measured(longest["waiting"], threshold, message + ".", rows=rows)


@check(needs=(SYSTEM,))
def failures(target: Target) -> Finding:
    """Failed jobs"""
    rows = [
        {
            "queue": row["queue"],
            "failed": row["failed"],
            "total": row["total"],
            "failed_percent": round(100 * row["failed"] / row["total"], 2) if row["total"] else 0.0,
        }
        for row in counts(target)
    ]
    high = max(rows, key=lambda row: float(row["failed_percent"]))
    message = f"{high['queue']}: {high['failed']} of {high['total']} jobs have failed."
    if not any(row["failed"] for row in rows):
        message = "No failed job in any queue."
    threshold = target.threshold("queue_failed_percent")
    return Finding.measured(high["failed_percent"], threshold, message, rows=rows)


@check(needs=(SYSTEM,))
def oldest(target: Target) -> Finding:
    """Oldest waiting job"""
    with reading(target) as session:
        rows = session.run(_each(session, _next_in_line))
    waiting = [row for row in rows if row["age_s"] is not None]
    if not waiting:
        message = f"No job waits in any of {len(rows)} queues."
        return Finding(status=Status.OK, message=message, value=0, unit="s", rows=rows)
    longest = max(waiting, key=lambda row: float(row["age_s"]))
    message = (
        f"{longest['queue']}: job {longest['job']} ({longest['name']}) was added "
        f"{span(longest['age_s'])} ago."
    )
    return Finding(status=Status.OK, message=message, value=longest["age_s"], unit="s", rows=rows)


@check(needs=(SYSTEM,))
def workers(target: Target) -> Finding:
    """Workers of the queues"""
    rows = [
        {key: row[key] for key in ("queue", "workers", "waiting", "active", "paused")}
        for row in counts(target)
    ]
    idle = [row for row in rows if not row["workers"]]
    stranded = [row for row in idle if row["waiting"] and not row["paused"]]
    if stranded:
        row = stranded[0]
        message = f"{row['queue']} has {row['waiting']} waiting jobs and no worker."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    if idle:
        message = f"No worker is connected for {and_list(str(row['queue']) for row in idle)}."
        return Finding(status=Status.WARN, message=message, rows=rows)
    total = sum(int(row["workers"]) for row in rows)
    message = f"All {len(rows)} queues are served, by {total} workers."
    return Finding(status=Status.OK, message=message, value=total, unit="workers", rows=rows)


@check(needs=(SYSTEM,))
def pauses(target: Target) -> Finding:
    """Paused queues"""
    with reading(target) as session:
        rows = [row for row in session.run(_each(session, pause_of)) if row["paused"]]
    if not rows:
        return Finding(status=Status.OK, message="No queue is paused.")
    message = "; ".join(f"{row['queue']} is {paused_words(row)}" for row in rows)
    return Finding(status=Status.WARN, message=message + ".", rows=rows)


@check(needs=(SYSTEM,))
def state(target: Target, queue: str) -> Finding:
    """State of the queue"""
    row, pause = state_of(target, queue)
    words = f"{paused_words(pause)}; " if pause["paused"] else ""
    message = (
        f"{queue}: {words}{row['waiting']} waiting, {row['active']} active, "
        f"{row['delayed']} delayed, {row['failed']} failed, {row['completed']} completed, "
        f"{row['workers']} workers."
    )
    facts = [{"fact": name, "value": value} for name, value in {**row, **pause}.items()]
    return Finding(status=Status.OK, message=message, value=row["total"], unit="jobs", rows=facts)


def dashboards(target: Target) -> list[Row]:
    """Where Bull Board shows each queue"""
    if not target.queues.dashboard:
        return []
    base = target.queues.dashboard.rstrip("/")
    return [{"queue": name, "dashboard": f"{base}/queue/{name}"} for name in queues_of(target)]


def queues_of(target: Target) -> list[str]:
    """queues (-p queue=NAME)"""
    with reading(target) as session:
        return session.run(connection.names(session))


def counts(target: Target) -> list[Row]:
    """Return one row a queue: jobs by state, total, whether it is paused, and its workers.

    `waiting` is what a worker could take once the queue runs: prioritized jobs and those of a
    paused queue are in it.
    """
    with reading(target) as session:
        return session.run(_counts(session))


def counts_of(target: Target, queue: str) -> Row:
    """Return the row of one queue, as `counts` has it. Raises UsageError for an unknown one."""
    return state_of(target, queue)[0]


def state_of(target: Target, queue: str) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused. Raises UsageError."""
    with reading(target) as session:
        return session.run(read_state(session, queue))


async def _counts(session: Session) -> list[Row]:
    queues = [session.queue(name) for name in await connection.names(session)]
    clients = await session.client.client_list()
    return [await count(queue, clients) for queue in queues]


async def count(queue: Any, clients: list[dict[str, str]]) -> Row:
    """Return the row of one queue. `clients` is what CLIENT LIST says."""
    jobs = await queue.getJobCounts(*STATES)
    return {
        "queue": queue.name,
        "waiting": jobs["waiting"] + jobs["prioritized"] + jobs["paused"],
        "active": jobs["active"],
        "delayed": jobs["delayed"],
        "failed": jobs["failed"],
        "completed": jobs["completed"],
        "waiting_children": jobs["waiting-children"],
        "total": sum(jobs.values()),
        "prioritized": jobs["prioritized"],
        "schedulers": await queue.getJobSchedulersCount(),
        "paused": bool(await queue.isPaused()),
        "workers": len(worker_names(queue, clients)),
    }


def worker_names(queue: Any, clients: list[dict[str, str]]) -> list[str]:
    """Return the name of each connected worker of `queue`, empty for one that has none."""
    # Node's client names its connection after the queue in base64, Python's in plain.
    encoded = base64.b64encode(queue.name.encode()).decode()
    found = []
    for ours in (f"{queue.prefix}:{encoded}", f"{queue.prefix}:{queue.name}"):
        for name in (client.get("name", "") for client in clients):
            if name == ours or name.startswith(f"{ours}:w:"):
                found.append(name[len(ours) + len(":w:") :])
    return found


async def connected_workers(session: Session, queue: Any) -> list[str]:
    """Return the name of each worker of `queue` that is connected now."""
    return worker_names(queue, await session.client.client_list())


async def pause_of(session: Session, queue: Any) -> Row:
    """Return whether `queue` is paused, and as far as is known since when and by whom."""
    meta = queue.keys["meta"]
    paused, mark = await session.client.hmget(meta, ["paused", MARK])
    row: Row = {"queue": queue.name, "paused": paused is not None, "since": None, "by": None}
    if paused is None:
        return row
    last_ms = await _last_pause_ms(session, queue)
    since_ms, _, by = (mark or "").partition(" ")
    if since_ms.isdigit() and (last_ms is None or last_ms <= int(since_ms) + _TOLERANCE_MS):
        return {**row, "since": clock(int(since_ms)), "by": by}
    # It was paused by other means; what stands in the note is about an earlier time.
    return {**row, "since": clock(last_ms) if last_ms else None, "by": "someone without opsnb"}


def paused_words(row: Row) -> str:
    """Return `paused since 2026-01-01 10:00 UTC by anna`, with what of it is known."""
    since = f" since {row['since']}" if row["since"] else ""
    by = f" by {row['by']}" if row["by"] else ""
    return f"paused{since}{by}"


async def _last_pause_ms(session: Session, queue: Any) -> int | None:
    """Return when BullMQ last told of a pause, in ms, as far back as a bounded look goes."""
    events = await session.client.xrevrange(queue.keys["events"], count=_EVENTS)
    for name, fields in events:
        if fields.get("event") == "paused":
            return int(name.partition("-")[0])
    return None


async def read_state(session: Session, name: str) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused. Raises UsageError."""
    await connection.require(session, name)
    queue = session.queue(name)
    row = await count(queue, await session.client.client_list())
    return row, await pause_of(session, queue)


async def _each(session: Session, look: Any) -> list[Row]:
    return [await look(session, session.queue(name)) for name in await connection.names(session)]


async def _next_in_line(session: Session, queue: Any) -> Row:
    """Return the job that was added longest ago among those next in line."""
    keys = queue.keys
    async with session.client.pipeline(transaction=False) as pipe:
        pipe.lrange(keys["wait"], -_HEAD, -1)
        pipe.lrange(keys["paused"], -_HEAD, -1)
        pipe.zrange(keys["prioritized"], 0, _HEAD - 1)
        jobs = [job for part in await pipe.execute() for job in part]
        for job in jobs:
            pipe.hmget(queue.toKey(job), ["timestamp", "name"])
        stamps = await pipe.execute()
    known = [
        (int(added), job, name) for job, (added, name) in zip(jobs, stamps, strict=True) if added
    ]
    if not known:
        return {"queue": queue.name, "job": None, "name": None, "age_s": None, "added": None}
    added, job, name = min(known)
    age_s = max(0.0, (await connection.server_ms(session) - added) / 1000)
    return {
        "queue": queue.name,
        "job": job,
        "name": name,
        "age_s": round(age_s, 1),
        "added": clock(added),
    }

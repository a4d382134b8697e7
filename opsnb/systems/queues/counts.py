"""How many jobs are where, what waits and for how long, who works, and what is paused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis.exceptions

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by, treated_rows
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction.outside import first_line
from opsnb.systems.queues import connection, rates
from opsnb.systems.queues.connection import SYSTEM, Keys, Session, reading
from opsnb.systems.queues.values import last_event_ms, read_fields, whole
from opsnb.systems.queues.workers import clients, held_locks, in_words, number, shown, why_unknown
from opsnb.view.findings import MOST_ROWS
from opsnb.view.formats import and_list, counted, span, utc

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
_QUEUES_AT_ONCE = 50
_MOST_NAMED = 3
_NAME_BYTES = 200
_TOLERANCE_MS = 2000  # between BullMQ's event of a pause and our note of it


_treat_long = treated_rows(
    "troubleshooting/high_queue_length",
    "shows why it is long",
    metric="queue_waiting",
    column="waiting",
    queue="queue",
)


def _treat_depth(target: Target, finding: Finding) -> list[Remedy]:
    """Resume what is paused, which is why it is long; else see why."""
    paused = {str(row["queue"]) for row in finding.rows if row["paused"]}
    return [
        _resumes(remedy.parameters["queue"]) if remedy.parameters["queue"] in paused else remedy
        for remedy in _treat_long(target, finding)
    ]


def _resumes(queue: str) -> Remedy:
    return Remedy(runbook="queues/resume", parameters={"queue": queue}, why="resumes it")


@check(needs=(SYSTEM,), treated_by=_treat_depth)
def depth(target: Target) -> Finding:
    """Queue length"""
    rows = counts(target)
    threshold = target.threshold("queue_waiting")
    longest = max(rows, key=due)
    others = sum(1 for row in rows if due(row) > (threshold.warn or 0))
    message = f"Queue {longest['queue']} has {due_words(longest)}"
    if not due(longest):
        message = f"No job waits in {_any_of(len(rows))}"
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

    async def look(session: Session) -> list[rates.Rate]:
        return [
            await rates.read(session, row) for row in await read_counts(session, with_workers=False)
        ]

    with reading(target) as session:
        found = session.run(look(session))
    rows = _worst_first([rate.row() for rate in found], "failed_percent")
    threshold = target.threshold("queue_failed_percent")
    unknown = [rate for rate in found if rate.percent is None]
    for rate in unknown:
        evidence.partial(rate.why)
    known = [rate for rate in found if rate.percent is not None]
    if not known:
        failed = "; ".join(rate.words for rate in unknown[:_MOST_NAMED])
        return Finding(status=Status.UNKNOWN, message=f"{failed}.", rows=rows)
    high = max(known, key=lambda rate: rate.percent or 0.0)
    words = [rate.words for rate in [high, *unknown[:_MOST_NAMED]] if rate.failed]
    message = f"{'; '.join(words)}." if words else "No failed job in any queue."
    return Finding.measured(high.percent or 0.0, threshold, message, rows=rows)


@check(needs=(SYSTEM,))
def oldest(target: Target) -> Finding:
    """Oldest waiting job"""
    with reading(target) as session:
        rows = _worst_first(session.run(each_queue(session, _next_in_line)), "age_s")
    waiting = [row for row in rows if row["age_s"] is not None]
    if not waiting:
        message = f"No job waits in {_any_of(len(rows))}."
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
            names = _named([str(each["queue"]) for each in others])
            message += f"; {names} {have} waiting jobs and no worker either"
        message += "."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    if idle:
        message = f"No worker is connected for {_named([str(row['queue']) for row in idle])}."
        return Finding(status=Status.WARN, message=message, rows=rows)
    if unknown:
        message = f"How many workers serve {_named(unknown)} is not known."
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
    message = "; ".join(
        f"Queue {row['queue']} is {paused_words(row)}" for row in rows[:_MOST_NAMED]
    )
    if len(rows) > _MOST_NAMED:
        message += f"; {len(rows) - _MOST_NAMED} more are paused"
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
    found = Finding(status=Status.OK, message=message, value=row["total"], unit="jobs", rows=facts)
    return found, bool(pause["paused"])


def _any_of(queues: int) -> str:
    return "the queue" if queues == 1 else f"any of {queues} queues"


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
        return session.run(read_counts(session))


def counts_of(target: Target, queue: str, *, with_workers: bool = True) -> Row:
    """Return the row of one queue, as `counts` has it. Raises UsageError for an unknown one."""
    return state_of(target, queue, with_workers=with_workers)[0]


def state_of(target: Target, queue: str, *, with_workers: bool = True) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused. Raises UsageError.

    Without workers, those are not asked for, and unknown.
    """
    with reading(target) as session:
        return session.run(read_state(session, queue, with_workers=with_workers))


def locked(target: Target, queue: str) -> int:
    """Return how many active jobs of `queue` a worker holds the lock of, of the newest."""
    with reading(target) as session:
        return session.run(held_locks(session, session.at(queue)))


async def read_counts(session: Session, *, with_workers: bool = True) -> list[Row]:
    """Return one row a queue. What cannot be read of one is said; the others are counted.

    Without workers, those are not asked for, and unknown.
    """
    names = await connection.names(session)
    levels: dict[str, Levels] = {}
    refused: dict[str, Exception] = {}
    for start in range(0, len(names), _QUEUES_AT_ONCE):
        for name, found in (await _levels(session, names[start : start + _QUEUES_AT_ONCE])).items():
            if isinstance(found, Exception):
                refused[name] = found
            else:
                levels[name] = found
    if not levels:
        raise next(iter(refused.values()))
    for name, error in list(refused.items())[:_MOST_NAMED]:
        evidence.partial(f"queue {name}: Redis {_why(session, name, error)}")
    if len(refused) > _MOST_NAMED:
        evidence.partial(f"{len(refused) - _MOST_NAMED} more queues, for the same reason")
    there = _existing(session, levels)
    if not with_workers:
        return [_row(name, levels[name], None) for name in there]
    known = await clients(session)
    rows = [
        _row(name, levels[name], await number(session, session.at(name), known)) for name in there
    ]
    if nameless := [str(row["queue"]) for row in rows if row["workers"] is None]:
        evidence.without(why_unknown(known, nameless))
    return rows


Levels = dict[str, int]
"""How many jobs are in each state of a queue, and other numbers of it."""


async def _levels(session: Session, names: Sequence[str]) -> dict[str, Levels | Exception]:
    """Return the numbers of each queue, or why they cannot be read. Nothing is written.

    BullMQ's own count drops a marker from the list of waiting jobs, and is a script.
    """
    async with session.client.pipeline(transaction=False) as pipe:
        for name in names:
            keys = session.at(name)
            for part in ("wait", "paused", "active"):
                pipe.llen(keys[part])
            for part in ("wait", "paused"):
                pipe.lindex(keys[part], -1)
            for part in _SETS:
                pipe.zcard(keys[part])
            pipe.hexists(keys["meta"], "paused")
            pipe.hget(keys["meta"], "version")
            pipe.exists(*(keys[part] for part in _GROUPS))
            pipe.get(keys["id"])
            pipe.exists(keys["meta"], keys["id"], keys["events"])
        told = iter(await pipe.execute(raise_on_error=False))
    found: dict[str, Levels | Exception] = {}
    for name in names:
        answers = [next(told) for _ in range(_ANSWERS)]
        broken = next((answer for answer in answers if isinstance(answer, Exception)), None)
        found[name] = broken or _sorted_out(answers)
    await _find_overdue(session, found)
    grouped = [name for name, one in found.items() if isinstance(one, dict) and one["has_groups"]]
    if grouped:
        evidence.partial(
            f"jobs of {_named(grouped)} that wait in groups: BullMQ Pro keeps them apart, and its "
            "own dashboard counts them"
        )
    return found


async def _find_overdue(session: Session, found: dict[str, Levels | Exception]) -> None:
    """Add how many delayed jobs should have been let go a while ago: only a worker does that."""
    delayed = {name: one for name, one in found.items() if isinstance(one, dict) and one["delayed"]}
    if not delayed:
        return
    until = (await connection.server_ms(session) - _DUE_MS) * _SCORE_MS
    async with session.client.pipeline(transaction=False) as pipe:
        for name in delayed:
            pipe.zcount(session.at(name)["delayed"], "-inf", until)
        counted = await pipe.execute()
    for one, overdue in zip(delayed.values(), counted, strict=True):
        one["overdue"] = int(overdue)


_SETS = (
    "completed",
    "failed",
    "delayed",
    "prioritized",
    "waiting-children",
    "repeat",
)
_GROUPS = ("groups", "groups:limit", "groups:max", "groups:paused")
_ANSWERS = 5 + len(_SETS) + 5
_DUE_MS = 60_000  # a worker takes note of a delayed job within seconds of its time
_SCORE_MS = 0x1000  # BullMQ's score of a delayed job for one ms


def _sorted_out(answers: list[Any]) -> Levels:
    waiting, apart, active, *rest = answers
    last = dict(zip(("wait", "paused"), rest[:2], strict=True))
    # BullMQ 4 wakes workers by a marker at the end of a list, which is no job.
    markers = {part: str(job or "").startswith("0:") for part, job in last.items()}
    levels = {
        "waiting": waiting - markers["wait"],
        "paused": apart - markers["paused"],
        "active": active,
        **dict(zip(_SETS, map(int, rest[2 : 2 + len(_SETS)]), strict=True)),
    }
    is_paused, version, groups, added, exists = rest[2 + len(_SETS) :]
    text = str(added or "")
    levels.update(
        is_paused=int(is_paused),
        has_groups=int(bool(groups) or str(version or "").startswith("bullmq-pro")),
        added=int(text) if text.isdigit() else 0,
        exists=int(exists),
        overdue=0,
    )
    return levels


def _existing(session: Session, levels: dict[str, Levels]) -> list[str]:
    """Return the queues that are in Redis; of opsnb.toml's names the others are said."""
    there = [name for name, found in levels.items() if found["exists"] or _total(found)]
    missing = [name for name in levels if name not in there]
    if not missing:
        return there
    prefix, target = session.target.queues.prefix, session.target.name
    words = (
        f"{_named(missing)} of opsnb.toml: not in Redis under the prefix '{prefix}'; "
        f"correct queues or queue_prefix of target {target}"
    )
    if not there:
        raise BadAnswer(SYSTEM, f"There is no BullMQ queue {words}.")
    evidence.partial(f"queue {words}")
    return there


def _total(found: Levels) -> int:
    return sum(found[state] for state in STATES)


def _why(session: Session, name: str, error: Exception) -> str:
    """Return why a queue's keys cannot be read."""
    if isinstance(error, redis.exceptions.MovedError):
        return "Cluster keeps it on another node, which was not asked"
    if isinstance(error, redis.exceptions.NoPermissionError) and "command" not in str(error):
        keys = session.at(name)[""]
        return (
            f"does not let user '{session.login}' read its keys; "
            f"let it: ACL SETUSER {session.login} ~{keys}*"
        )
    return session.refusal(error).rstrip(".")


def _named(names: Sequence[str]) -> str:
    """Return the names, or the first of them and how many more there are."""
    if len(names) <= _MOST_NAMED:
        return and_list(names)
    return f"{', '.join(names[: _MOST_NAMED - 1])} and {len(names) - _MOST_NAMED + 1} more"


def _worst_first(rows: list[Row], column: str) -> list[Row]:
    """Return rows in the order of their queues, or the worst first where not all are shown."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: -float(row[column] or 0))


def _row(name: str, found: Levels, workers: int | None) -> Row:
    """Return the row of one queue."""
    return {
        "queue": name,
        "waiting": found["waiting"] + found["prioritized"] + found["paused"],
        "active": found["active"],
        "delayed": found["delayed"],
        "failed": found["failed"],
        "completed": found["completed"],
        "waiting_children": found["waiting-children"],
        "total": _total(found),
        "prioritized": found["prioritized"],
        "schedulers": found["repeat"],
        "paused": bool(found["is_paused"]),
        "workers": workers,
        "added": found["added"],
        "overdue": found["overdue"],
    }


def due(row: Row) -> int:
    """Return how many jobs of a row of counts a worker should take: those delayed too long too."""
    return int(row["waiting"]) + int(row["overdue"])


def due_words(row: Row) -> str:
    """Return `5 waiting jobs`, and of delayed jobs how many are overdue."""
    words = _jobs(row["waiting"], "waiting")
    if row["overdue"]:
        are = "is" if row["overdue"] == 1 else "are"
        overdue = f"{_jobs(row['overdue'], 'delayed')} that {are} overdue"
        words = f"{words} and {overdue}" if row["waiting"] else overdue
    return words


def _jobs(count: int, state: str) -> str:
    return f"{count} {state} {'job' if count == 1 else 'jobs'}"


async def count(session: Session, name: str, *, with_workers: bool = True) -> Row:
    """Return the row of one queue, as `counts` has it."""
    (found,) = (await _levels(session, [name])).values()
    if isinstance(found, Exception):
        raise found
    if not with_workers:
        return _row(name, found, None)
    known = await clients(session)
    row = _row(name, found, await number(session, session.at(name), known))
    if row["workers"] is None:
        evidence.without(why_unknown(known, [name]))
    return row


async def pause_of(session: Session, queue: Any) -> Row:
    """Return whether `queue` is paused, and as far as is known since when and by whom."""
    meta = queue.keys["meta"]
    paused, mark = await session.client.hmget(meta, ["paused", MARK])
    row: Row = {"queue": queue.name, "paused": paused is not None, "since": None, "by": None}
    if paused is None:
        return row
    last_ms = await last_event_ms(session, queue.keys["events"], "paused", _EVENTS)
    since_ms, _, by = (mark or "").partition(" ")
    if since_ms.isdigit() and (last_ms is None or last_ms <= int(since_ms) + _TOLERANCE_MS):
        return {**row, "since": utc(int(since_ms) / 1000), "by": by}
    # It was paused by other means; what stands in the note is about an earlier time.
    return {**row, "since": utc(last_ms / 1000) if last_ms else None, "by": "someone without opsnb"}


def paused_words(row: Row) -> str:
    """Return `paused since 2026-01-01 10:00 UTC by anna`, with what of it is known."""
    return f"paused{since_words(row)}"


def since_words(row: Row) -> str:
    """Return ` since 2026-01-01 10:00 UTC by anna` of a pause, with what of it is known."""
    since = f" since {row['since']}" if row["since"] else ""
    by = f" by {row['by']}" if row["by"] else ""
    return f"{since}{by}"


async def read_state(session: Session, name: str, *, with_workers: bool = True) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused. Raises UsageError."""
    await connection.require(session, name)
    row = await count(session, name, with_workers=with_workers)
    return row, await pause_of(session, session.at(name))


async def each_queue(
    session: Session, look: Callable[[Session, Keys], Awaitable[Row]]
) -> list[Row]:
    """Return what is found of each queue; of those that cannot be read it is said."""
    rows: list[Row] = []
    refused: list[Exception] = []
    for name in await connection.names(session):
        try:
            rows.append(await look(session, session.at(name)))
        except redis.exceptions.ResponseError as error:
            refused.append(error)
            if len(refused) <= _MOST_NAMED:
                evidence.partial(f"queue {name}: Redis {_why(session, name, error)}")
    if not rows:
        raise refused[0]
    return rows


async def _next_in_line(session: Session, queue: Any) -> Row:
    """Return the job that was added longest ago among those next in line."""
    keys = queue.keys
    async with session.client.pipeline(transaction=False) as pipe:
        pipe.lrange(keys["wait"], -_HEAD, -1)
        pipe.lrange(keys["paused"], -_HEAD, -1)
        pipe.zrange(keys["prioritized"], 0, _HEAD - 1)
        jobs = [job for part in await pipe.execute() for job in part]
    stamps = await read_fields(
        session, [queue.toKey(job) for job in jobs], ["timestamp", "name"], most=_NAME_BYTES
    )
    known = [
        (whole(added), job, first_line(name or ""))
        for job, (added, name) in zip(jobs, stamps, strict=True)
        if whole(added)
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
        "added": utc(added / 1000),
    }

"""How many jobs of each queue are in which state, and how many workers it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import redis.exceptions

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import SYSTEM, Queue, Session, reading
from opsnb.systems.queues.levels import Levels, read_levels, total
from opsnb.systems.queues.pause_state import pause_of
from opsnb.systems.queues.settings import Queues
from opsnb.systems.queues.wording import MOST_NAMED, named
from opsnb.systems.queues.worker_clients import clients, held_locks, number, why_unknown
from opsnb.view.formats import counted

_QUEUES_AT_ONCE = 50


def dashboards(target: Target) -> list[Row]:
    """Where Bull Board shows each queue"""
    if not Queues.of(target).dashboard:
        return []
    base = Queues.of(target).dashboard.rstrip("/")
    return [{"queue": name, "dashboard": f"{base}/queue/{name}"} for name in queues_of(target)]


def queues_of(target: Target) -> list[str]:
    """queues (-p queue=NAME)"""
    with reading(target) as session:
        return session.run(connection.names_of(session))


def counts(target: Target) -> list[Row]:
    """Return one row a queue: jobs by state, total, whether it is paused, and its workers.

    `waiting` counts what a worker could take once the queue runs: it includes prioritized jobs and
    those of a paused queue.
    """
    with reading(target) as session:
        return session.run(read_counts(session))


def counts_of(target: Target, queue: str, *, with_workers: bool = True) -> Row:
    """Return the row of one queue, as `counts` has it. Raises UsageError for an unknown one."""
    return state_of(target, queue, with_workers=with_workers)[0]


def state_of(target: Target, queue: str, *, with_workers: bool = True) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused. Raises UsageError.

    Without `with_workers` the number of workers is unknown.
    """
    with reading(target) as session:
        found = session.run(connection.known(session, queue))
        return session.run(read_state(found, with_workers=with_workers))


def locked(target: Target, queue: str) -> int:
    """Return how many of the newest active jobs of `queue` are locked by a worker."""
    with reading(target) as session:
        return session.run(held_locks(session.queue(queue)))


async def read_counts(session: Session, *, with_workers: bool = True) -> list[Row]:
    """Return one row a queue. The evidence names queues that could not be read.

    Without `with_workers` the number of workers is unknown.
    """
    names = await connection.names_of(session)
    levels: dict[str, Levels] = {}
    refused: dict[str, Exception] = {}
    for start in range(0, len(names), _QUEUES_AT_ONCE):
        for name, found in (
            await read_levels(session, names[start : start + _QUEUES_AT_ONCE])
        ).items():
            if isinstance(found, Exception):
                refused[name] = found
            else:
                levels[name] = found
    if not levels:
        raise next(iter(refused.values()))
    for name, error in list(refused.items())[:MOST_NAMED]:
        evidence.partial(f"queue {name}: Redis {_why(session, name, error)}")
    if len(refused) > MOST_NAMED:
        evidence.partial(f"{len(refused) - MOST_NAMED} more queues, for the same reason")
    there = _existing(session, levels)
    if not with_workers:
        return [_row(name, levels[name], None) for name in there]
    known = await clients(session)
    rows = [_row(name, levels[name], await number(session.queue(name), known)) for name in there]
    if nameless := [str(row["queue"]) for row in rows if row["workers"] is None]:
        evidence.without(why_unknown(known, nameless))
    return rows


def _existing(session: Session, levels: dict[str, Levels]) -> list[str]:
    """Return the queues that are in Redis; the evidence names those of opsnb.toml that are not."""
    there = [name for name, found in levels.items() if found["exists"] or total(found)]
    missing = [name for name in levels if name not in there]
    if not missing:
        return there
    prefix, target = session.settings.prefix, session.target_name
    words = (
        f"{named(missing)} of opsnb.toml: not in Redis under the prefix '{prefix}'; "
        f"correct queues or queue_prefix of target {target}"
    )
    if not there:
        raise BadAnswer(SYSTEM, f"There is no BullMQ queue {words}.")
    evidence.partial(f"queue {words}")
    return there


def _why(session: Session, name: str, error: Exception) -> str:
    """Return why a queue's keys cannot be read."""
    if isinstance(error, redis.exceptions.MovedError):
        return "Cluster keeps it on another node, which opsnb did not read"
    if isinstance(error, redis.exceptions.NoPermissionError) and "command" not in str(error):
        keys = session.queue(name)[""]
        return (
            f"does not let user '{session.login}' read its keys; "
            f"let it: ACL SETUSER {session.login} ~{keys}*"
        )
    return session.refusal(error).rstrip(".")


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
        "total": total(found),
        "prioritized": found["prioritized"],
        "schedulers": found["repeat"],
        "paused": bool(found["is_paused"]),
        "workers": workers,
        "added": found["added"],
        "overdue": found["overdue"],
    }


def due(row: Row) -> int:
    """Return how many jobs of a row of counts a worker should take, overdue ones included."""
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
    return counted(count, f"{state} job")


async def count(queue: Queue, *, with_workers: bool = True) -> Row:
    """Return the row of one queue, as `counts` has it."""
    session, name = queue.session, queue.name
    (found,) = (await read_levels(session, [name])).values()
    if isinstance(found, Exception):
        raise found
    if not with_workers:
        return _row(name, found, None)
    known = await clients(session)
    row = _row(name, found, await number(queue, known))
    if row["workers"] is None:
        evidence.without(why_unknown(known, [name]))
    return row


async def read_state(queue: Queue, *, with_workers: bool = True) -> tuple[Row, Row]:
    """Return the counts of one queue, and whether it is paused."""
    return await count(queue, with_workers=with_workers), await pause_of(queue)


async def each_queue(session: Session, read: Callable[[Queue], Awaitable[Row]]) -> list[Row]:
    """Return a row for each queue. The evidence names queues that could not be read."""
    rows: list[Row] = []
    refused: list[Exception] = []
    for name in await connection.names_of(session):
        try:
            rows.append(await read(session.queue(name)))
        except redis.exceptions.ResponseError as error:
            refused.append(error)
            if len(refused) <= MOST_NAMED:
                evidence.partial(f"queue {name}: Redis {_why(session, name, error)}")
    if not rows:
        raise refused[0]
    return rows

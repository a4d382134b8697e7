"""Pause and resume a queue."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

from opsnb.guard import Permit, Plan, action
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.queues import connection, route
from opsnb.systems.queues.connection import SYSTEM, Session, reading, writing
from opsnb.systems.queues.counts import MARK, paused_words, read_state
from opsnb.systems.queues.route import Via
from opsnb.target import Target

_MOST_RESUMES = 10_000  # each brings back 7,000 jobs of a queue that an older BullMQ paused


@action(needs=(SYSTEM,), resumable=True)
def pause(target: Target, _: ActionRecord | None, queue: str, via: Via = "redis") -> Plan:
    """Pause a queue.

    Workers end what they have begun and take nothing new. Raises UsageError for an unknown queue.
    """
    taken = route.choose(target, queue, via)
    server, row, now, _apart = _look(target, queue)
    if now["paused"]:
        summary = f"{queue} is {paused_words(now)} already: nothing to do."
    else:
        summary = (
            f"Pause {queue}: {row['waiting']} waiting jobs stay where they are, and "
            f"{row['active']} active ones run to their end."
        )
    return Plan(
        summary=summary + taken.words,
        planned=0 if now["paused"] else 1,
        unit="queues",
        command=f"curl -X POST {target.api.url}/api/queue/{queue}/pause",
        undo=f"opsnb run queues/resume -t {target.name} -p queue={queue} --apply",
        work=_switch(target, queue, taken, "pause") if not now["paused"] else _nothing,
        verify=lambda: [_judge(target, queue, "paused", taken)],
        sample=[{**row, **now}],
        basis=(server, queue, now["paused"]),
        warning=taken.warning,
    )


@action(needs=(SYSTEM,), resumable=True)
def resume(target: Target, _: ActionRecord | None, queue: str, via: Via = "redis") -> Plan:
    """Resume a queue.

    Raises UsageError for an unknown queue.
    """
    taken = route.choose(target, queue, via)
    server, row, now, apart = _look(target, queue)
    if now["paused"]:
        summary = (
            f"Resume {queue}, {paused_words(now)}: {row['workers']} workers take its "
            f"{row['waiting']} waiting jobs."
        )
    elif apart:
        summary = f"Give {queue} the {apart} jobs back that a resume which was cut off left apart."
    else:
        summary = f"{queue} is not paused: nothing to do."
    needed = bool(now["paused"] or apart)
    lonely = needed and not row["workers"]
    return Plan(
        summary=summary + taken.words,
        planned=1 if needed else 0,
        unit="queues",
        command=f"curl -X POST {target.api.url}/api/queue/{queue}/resume",
        undo=f"opsnb run queues/pause -t {target.name} -p queue={queue} --apply",
        work=_switch(target, queue, taken, "resume") if needed else _nothing,
        verify=lambda: [_judge(target, queue, "running", taken)],
        sample=[{**row, **now}],
        basis=(server, queue, now["paused"]),
        warning=" ".join(
            filter(None, (taken.warning, "No worker is connected to take them." if lonely else ""))
        ),
    )


def operator() -> str:
    """Return who operates, as records name them."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _look(target: Target, queue: str) -> tuple[str, Row, Row, int]:
    """Return the server's identity, the queue's row of counts, its pause, and the jobs set apart.

    An older BullMQ sets the jobs of a paused queue apart; those of one that is not are stranded.
    """

    async def look(session: Session) -> tuple[str, Row, Row, int]:
        row, now = await read_state(session, queue)
        key = session.queue(queue).keys["paused"]
        apart = 0 if now["paused"] else await session.client.llen(key)
        return await connection.identity(session), row, now, apart

    with reading(target) as session:
        return session.run(look(session))


def _switch(
    target: Target, queue: str, taken: route.Route, verb: Literal["pause", "resume"]
) -> Callable[[Permit], Iterator[int]]:
    steps = {"pause": _pause, "resume": resumed}

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            taken.post(queue, verb, permit)
            session.run(steps[verb](session, session.queue(queue)))
            yield 1

    return work


async def _pause(session: Session, queue: Any) -> None:
    """Pause, and note who did it; to pause again what the API has paused changes nothing."""
    meta, now = queue.keys["meta"], await connection.server_ms(session)
    if not await queue.isPaused():
        await queue.pause()
    await session.client.hset(meta, MARK, f"{now} {operator()}")


async def resumed(session: Session, queue: Any) -> None:
    """Resume; a queue that an older BullMQ paused gives its jobs back 7,000 at a time."""
    for _ in range(_MOST_RESUMES):
        left = await queue.resume()
        if not left:
            break
    await session.client.hdel(queue.keys["meta"], MARK)


def _nothing(_: Permit) -> Iterator[int]:
    return iter(())


def _judge(
    target: Target, queue: str, wanted: Literal["paused", "running"], taken: route.Route
) -> Finding:
    _, row, now, apart = _look(target, queue)
    if bool(now["paused"]) != (wanted == "paused"):
        message = f"{queue} is {'paused' if now['paused'] else 'not paused'} all the same."
        return Finding(status=Status.CRIT, message=message + taken.told, rows=[row])
    if apart:
        message = f"{queue} runs, but {apart} of its jobs are still set apart; resume it again."
        return Finding(status=Status.CRIT, message=message + taken.told, rows=[row])
    if wanted == "paused":
        message = f"{queue} is {paused_words(now)}; {row['active']} jobs still run to their end."
    else:
        message = f"{queue} runs: {row['waiting']} waiting, {row['workers']} workers."
    return Finding(status=Status.OK, message=message + taken.told, rows=[row])

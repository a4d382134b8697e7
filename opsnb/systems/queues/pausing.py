"""Pause and resume a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.machine.holder import operator
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.params import Via
from opsnb.systems.queues import connection, layout, route
from opsnb.systems.queues.backlog import read_state
from opsnb.systems.queues.connection import SYSTEM, Queue, Session, reading, writing
from opsnb.systems.queues.layout import Layout
from opsnb.systems.queues.pause_state import MARK, paused_words
from opsnb.view import commands
from opsnb.view.formats import counted


@action(needs=(SYSTEM,))
def pause(target: Target, _: ActionRecord | None, queue: str, via: Via = "redis") -> Plan:
    """Pause a queue.

    Workers finish their jobs and take no new ones. Refused where the version of BullMQ is not
    known. Raises UsageError for an unknown queue.
    """
    with reading(target) as session:
        known = session.run(connection.known(session, queue))
        seen = session.run(_read(known))
        taken, refusal = _route(target, known, via, seen.layout)
    if seen.now["paused"]:
        summary = f"{queue} is {paused_words(seen.now)} already."
    else:
        summary = (
            f"Pause {queue}. Its waiting jobs ({seen.row['waiting']}) wait until you resume it; "
            f"its active jobs ({seen.row['active']}) run to their end."
        )
    return Plan(
        summary=summary + taken.words,
        planned=0 if seen.now["paused"] else 1,
        unit="queues",
        command=route.by_hand(target, queue, "pause"),
        undo=commands.run("queues/resume", target, apply=True, queue=queue),
        work=_switch(target, queue, taken, "pause"),
        verify=lambda: [_judge(target, queue, "paused", taken)],
        sample=[{**seen.row, **seen.now}],
        basis=(seen.server, queue, seen.now["paused"]),
        refusal=refusal,
        warning=taken.warning,
    )


@action(needs=(SYSTEM,))
def resume(target: Target, _: ActionRecord | None, queue: str, via: Via = "redis") -> Plan:
    """Resume a queue.

    Refused where the version of BullMQ is not known. Raises UsageError for an unknown queue.
    """
    with reading(target) as session:
        known = session.run(connection.known(session, queue))
        seen = session.run(_read(known))
        taken, refusal = _route(target, known, via, seen.layout)
    workers = seen.row["workers"]
    if seen.now["paused"]:
        jobs = counted(seen.row["waiting"], "waiting job")
        summary = f"Resume {queue}, {paused_words(seen.now)}: {_who(workers)} its {jobs}."
    elif seen.layout.stranded:
        summary = (
            f"Return {counted(seen.layout.stranded, 'job')} to {queue} that an interrupted resume "
            "left apart."
        )
    else:
        summary = f"{queue} is not paused."
    needed = bool(seen.now["paused"] or seen.layout.stranded)
    lonely = needed and workers == 0
    return Plan(
        summary=summary + taken.words,
        planned=1 if needed else 0,
        unit="queues",
        command=route.by_hand(target, queue, "resume"),
        undo=commands.run("queues/pause", target, apply=True, queue=queue),
        work=_switch(target, queue, taken, "resume"),
        verify=lambda: [_judge(target, queue, "running", taken)],
        sample=[{**seen.row, **seen.now}],
        basis=(seen.server, queue, seen.now["paused"]),
        refusal=refusal,
        warning=" ".join(
            filter(None, (taken.warning, "No worker is connected to take them." if lonely else ""))
        ),
    )


def _who(workers: int | None) -> str:
    if workers is None:
        return "its workers take"
    return f"{counted(workers, 'worker')} {'takes' if workers == 1 else 'take'}"


@dataclass(frozen=True)
class _Seen:
    server: str
    """The id of the server's run."""
    row: Row
    """The counts of the queue."""
    now: Row
    """Whether it is paused, since when and by whom."""
    layout: Layout


async def _read(queue: Queue) -> _Seen:
    row, now = await read_state(queue)
    found = await layout.read(queue)
    return _Seen(await connection.identity(queue.session), row, now, found)


def _route(target: Target, queue: Queue, via: Via, found: Layout) -> tuple[route.Route, str]:
    """Return the way to switch `queue`, and why opsnb must refuse it; empty if it may."""
    taken = route.choose(target, queue.name, via, unless=found.loses_by_service)
    return taken, "" if taken.by_api else queue.run(layout.refusal(queue))


def _switch(
    target: Target, queue: str, taken: route.Route, verb: Literal["pause", "resume"]
) -> Callable[[Permit], Iterator[int]]:
    steps = {"pause": paused, "resume": resumed}

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            at = session.queue(queue)
            if not (taken.post(queue, verb, permit) and session.run(_is_done(at, verb))):
                session.run(steps[verb](at))
            elif verb == "pause":
                session.run(_note(at))
            yield 1

    return work


async def _is_done(queue: Queue, verb: Literal["pause", "resume"]) -> bool:
    """Return whether the API did what it reported."""
    found = await layout.read(queue)
    return found.paused if verb == "pause" else not (found.paused or found.stranded)


async def _text(session: Session, reason: str) -> str:
    return f"{await connection.server_ms(session)} {operator()} {reason}".rstrip()


async def _note(queue: Queue) -> None:
    """Write down who paused it."""
    await queue.client.hset(queue["meta"], MARK, await _text(queue.session, ""))


async def paused(queue: Queue, reason: str = "") -> None:
    """Pause, and note who did it and why in the same step; a paused queue does not change."""
    await layout.pause(queue, MARK, await _text(queue.session, reason))


async def resumed(queue: Queue) -> None:
    """Resume, with all its jobs, whichever version of BullMQ paused it."""
    await layout.resume(queue, MARK)


def _judge(
    target: Target, queue: str, wanted: Literal["paused", "running"], taken: route.Route
) -> Finding:
    with reading(target) as session:
        seen = session.run(_read(session.queue(queue)))
    status, message = _effect(target, queue, wanted, seen)
    return Finding(status=status, message=message + taken.failure, rows=[seen.row])


def _still(active: int) -> str:
    if not active:
        return "no job is active"
    return f"{counted(active, 'job')} still {'runs to its' if active == 1 else 'run to their'} end"


def _effect(target: Target, queue: str, wanted: str, seen: _Seen) -> tuple[Status, str]:
    found, row = seen.layout, seen.row
    if found.paused != (wanted == "paused"):
        return Status.CRIT, f"{queue} is still {'paused' if found.paused else 'not paused'}."
    if found.stranded:
        return Status.CRIT, (
            f"{queue} runs, but {found.stranded} of its jobs are still set apart; resume it again."
        )
    if wanted == "running":
        workers = "" if row["workers"] is None else f", {counted(row['workers'], 'worker')}"
        return Status.OK, f"{queue} runs: {row['waiting']} waiting{workers}."
    message = f"{queue} is {paused_words(seen.now)}; {_still(row['active'])}."
    if found.loses_by_service or (found.major in {4, 5} and found.in_wait):
        return Status.WARN, (
            f"{message} {found.in_wait} of its jobs are in `wait`, where a service with another "
            f"version of BullMQ puts them: a worker of BullMQ 4 takes them even now, and a resume "
            f"by the service may lose them. Resume with: "
            f"{commands.run('queues/resume', target, apply=True, queue=queue)}"
        )
    return Status.OK, message

"""Hold queues still during other work, and release exactly those.

The pause and a note of its reason are written in one step. So after a killed run the next one knows
which queues it paused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError, TimedOut
from opsnb.machine import interrupts
from opsnb.machine.waiting import attempts
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems.queues import connection, layout
from opsnb.systems.queues.backlog import count
from opsnb.systems.queues.connection import SYSTEM, Queue, Session, reading, writing
from opsnb.systems.queues.pause_state import pause_of
from opsnb.systems.queues.pausing import paused, resumed
from opsnb.view import commands
from opsnb.view.formats import and_list

_POLL_S = 0.2
_RELEASE_S = 5.0
"""How long opsnb tries to release queues in a Redis that does not respond."""


def running(target: Target, queues: Sequence[str]) -> list[str]:
    """Return those of `queues` that are not paused. Raises UsageError for an unknown one."""
    if not queues:
        return []
    with reading(target) as session:
        return session.run(_running(session, queues))


def to_hold(target: Target, queues: Sequence[str], left: Sequence[str]) -> tuple[list[str], str]:
    """Return the queues to pause: those `left` paused by an interrupted run, then the running ones.

    And why opsnb must refuse, empty if it may. Raises UsageError for an unknown queue.
    """

    async def read(session: Session) -> tuple[list[str], str]:
        names = [*left, *await _running(session, queues)]
        refusals = [await layout.refusal(session.queue(name)) for name in names]
        return names, " ".join(filter(None, refusals))

    if not (queues or left):
        return [], ""
    with reading(target) as session:
        return session.run(read(session))


def held(target: Target, queues: Sequence[str], reason: str) -> list[str]:
    """Return those of `queues` that a run paused for `reason` and did not release."""
    if not queues:
        return []
    with reading(target) as session:
        rows = session.run(_pauses(session, queues))
    return [row["queue"] for row in rows if row["paused"] and _is_for(row["by"], reason)]


def left_by(work: str, left: Sequence[str], advice: str = "") -> Finding:
    """Return a finding about the queues that an interrupted `work` has `left` paused."""
    if not left:
        return Finding(status=Status.OK, message=f"No {work} has left a queue paused.")
    return Finding(
        status=Status.WARN,
        message=f"An interrupted {work} has left {and_list(left)} paused{advice}.",
        rows=[{"queue": queue} for queue in left],
        remedies=[Remedy.of("queues/resume", apply=True, queue=queue) for queue in left],
    )


async def _running(session: Session, queues: Sequence[str]) -> list[str]:
    return [row["queue"] for row in await _pauses(session, queues) if not row["paused"]]


async def _pauses(session: Session, queues: Sequence[str]) -> list[Row]:
    known = [await connection.known(session, name) for name in queues]
    return [await pause_of(queue) for queue in known]


@contextmanager
def holding(target: Target, permit: Permit, queues: Sequence[str], reason: str) -> Iterator[None]:
    """Pause `queues`, and resume them whatever happens; other queues do not change.

    They may include those that a killed run left paused for the same `reason`. Raises Refused
    without a valid permit.
    """
    try:
        with writing(target, permit) as session:
            for name in queues:
                session.run(paused(session.queue(name), reason))
        yield
    finally:
        _release(target, permit, queues, reason)


def wait_until_idle(target: Target, queues: Sequence[str], seconds: float) -> None:
    """Wait until no job of `queues` is active. Raises TimedOut after `seconds`."""
    if not queues:
        return
    with reading(target) as session:
        waited_for = [session.queue(name) for name in queues]
        for _ in attempts(seconds, _POLL_S):
            busy = session.run(_busy(waited_for))
            if not busy:
                return
    raise TimedOut(
        SYSTEM,
        f"Jobs of {and_list(busy)} were still active after {seconds:g} s; wait longer, "
        f"or list them: {commands.run('queues/remove_stuck', target, queue=busy[0])}",
    )


async def _busy(queues: Sequence[Queue]) -> list[str]:
    """Return the queues that have active jobs."""
    return [each.name for each in queues if (await count(each, with_workers=False))["active"]]


def _release(target: Target, permit: Permit, queues: Sequence[str], reason: str) -> None:
    """Release `queues`; an interrupt waits for that, and it retries in a slow Redis."""
    left, ends = list(queues), time.monotonic() + _RELEASE_S
    with interrupts.deferred():
        while left:
            try:
                # In a session of its own: an earlier one may have been interrupted.
                with writing(target, permit) as session:
                    while left:
                        session.run(_resume(session.queue(left[0]), reason))
                        left.pop(0)
            except ServiceError as error:
                if time.monotonic() > ends:
                    raise _still_held(target, left, error) from error
                time.sleep(_POLL_S)


def _still_held(target: Target, left: Sequence[str], error: ServiceError) -> BadAnswer:
    return BadAnswer(
        SYSTEM,
        f"{and_list(left)} may still be paused: {error} Run this again when Redis responds, "
        f"or: {commands.run('queues/resume', target, apply=True, queue=left[0])}",
    )


def _is_for(by: str | None, reason: str) -> bool:
    return (by or "").endswith(f" {reason}")


async def _resume(queue: Queue, reason: str) -> None:
    """Resume `queue` unless someone has resumed or paused it since."""
    row = await pause_of(queue)
    if row["paused"] and _is_for(row["by"], reason):
        await resumed(queue)

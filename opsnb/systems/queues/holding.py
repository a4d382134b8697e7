"""Hold queues still while something else is done, and let go of exactly those.

Why a queue is held is noted beside the pause, in one step with it. So a run that is killed leaves
behind what the next one needs to know which queues it paused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError, TimedOut
from opsnb.machine import interrupts
from opsnb.systems.queues import connection, layout
from opsnb.systems.queues.backlog import counts_of
from opsnb.systems.queues.connection import SYSTEM, Session, reading, writing
from opsnb.systems.queues.pause_state import pause_of
from opsnb.systems.queues.pausing import paused, resumed
from opsnb.view import commands

_POLL_S = 0.2
_RELEASE_S = 5.0
"""How long a Redis that does not respond is asked to let go of queues."""


def running(target: Target, queues: Sequence[str]) -> list[str]:
    """Return those of `queues` that are not paused. Raises UsageError for an unknown one."""
    return [row["queue"] for row in _pauses(target, queues) if not row["paused"]]


def to_hold(target: Target, queues: Sequence[str], left: Sequence[str]) -> tuple[list[str], str]:
    """Return those of `queues` that must be paused, after those that are `left` paused for us.

    And why they must not be, empty where they may. Raises UsageError for an unknown queue.
    """
    names = [*left, *running(target, queues)]
    if not names:
        return [], ""

    async def refusals(session: Session) -> list[str]:
        return [await layout.refusal(session, session.queue(name)) for name in names]

    with reading(target) as session:
        return names, " ".join(filter(None, session.run(refusals(session))))


def held(target: Target, queues: Sequence[str], reason: str) -> list[str]:
    """Return those of `queues` that a run has paused for `reason` and not let go of."""
    rows = _pauses(target, queues)
    return [row["queue"] for row in rows if row["paused"] and _is_for(row["by"], reason)]


@contextmanager
def holding(target: Target, permit: Permit, queues: Sequence[str], reason: str) -> Iterator[None]:
    """Pause `queues`, and resume them whatever happens; others are not touched.

    Those that a killed run has left held for the same `reason` may be among them. Raises Refused
    without a valid permit.
    """
    try:
        with writing(target, permit) as session:
            for name in queues:
                session.run(paused(session, session.queue(name), reason))
        yield
    finally:
        _release(target, permit, queues, reason)


def wait_until_idle(target: Target, queues: Sequence[str], seconds: float) -> None:
    """Wait until no job of `queues` is active. Raises TimedOut after `seconds`."""
    ends = time.monotonic() + seconds
    while busy := [name for name in queues if counts_of(target, name)["active"]]:
        if time.monotonic() > ends:
            raise TimedOut(
                SYSTEM,
                f"Jobs of {' and '.join(busy)} were still active after {seconds:g} s; wait longer, "
                f"or list them: {commands.run('queues/remove_stuck', target, queue=busy[0])}",
            )
        time.sleep(_POLL_S)


def _release(target: Target, permit: Permit, queues: Sequence[str], reason: str) -> None:
    """Let go of `queues`; an interrupt waits for that, and a Redis that is slow is asked again."""
    left, ends = list(queues), time.monotonic() + _RELEASE_S
    with interrupts.deferred():
        while left:
            try:
                _let_go_of(target, permit, left, reason)
            except ServiceError as error:
                if time.monotonic() > ends:
                    raise _still_held(target, left, error) from error
                time.sleep(_POLL_S)


def _let_go_of(target: Target, permit: Permit, left: list[str], reason: str) -> None:
    """Let go of the queues `left`, and take out of these which no longer are.

    In a session of its own: one before may have been interrupted.
    """
    with writing(target, permit) as session:
        while left:
            session.run(_let_go(session, session.queue(left[0]), reason))
            left.pop(0)


def _still_held(target: Target, left: Sequence[str], error: ServiceError) -> BadAnswer:
    return BadAnswer(
        SYSTEM,
        f"{' and '.join(left)} may still be paused: {error} Run this again when Redis answers, "
        f"or: {commands.run('queues/resume', target, apply=True, queue=left[0])}",
    )


def _is_for(by: str | None, reason: str) -> bool:
    return (by or "").endswith(f" {reason}")


def _pauses(target: Target, queues: Sequence[str]) -> list[dict[str, Any]]:
    async def look(session: Session) -> list[dict[str, Any]]:
        for name in queues:
            await connection.require(session, name)
        return [await pause_of(session, session.queue(name)) for name in queues]

    if not queues:
        return []
    with reading(target) as session:
        return session.run(look(session))


async def _let_go(session: Session, queue: Any, reason: str) -> None:
    """Resume `queue` unless someone has resumed or paused it meanwhile."""
    row = await pause_of(session, queue)
    if row["paused"] and _is_for(row["by"], reason):
        await resumed(session, queue)

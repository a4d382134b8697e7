"""Limit how many jobs of a queue may be active at once, over all its workers."""

from __future__ import annotations

from collections.abc import Iterator

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.queues import connection, layout
from opsnb.systems.queues.connection import SYSTEM, Session, reading, writing
from opsnb.systems.queues.pace import brakes
from opsnb.view import commands


@action(needs=(SYSTEM,))
def limit(target: Target, _: ActionRecord | None, queue: str, concurrency: int) -> Plan:
    """Limit a queue's concurrency.

    At most `concurrency` jobs are active at once, however many workers there are; 0 takes the limit
    away. It is refused where its BullMQ has no such limit. Raises UsageError for an unknown queue.
    """
    before = brakes(target, queue).concurrency
    server, refusal = _look(target, queue)
    wanted = concurrency or None
    if wanted == before:
        summary = f"{queue}: {_words(before)} already."
    else:
        summary = f"{queue}: {_words(wanted)} from now on; until now {_words(before)}."

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            at = session.queue(queue)
            if wanted:
                session.run(at.setGlobalConcurrency(wanted))
            else:
                session.run(at.removeGlobalConcurrency())
            yield 1

    def verify() -> list[Finding]:
        now = brakes(target, queue).concurrency
        status = Status.OK if now == wanted else Status.CRIT
        return [Finding(status=status, message=f"{queue}: {_words(now)}.")]

    return Plan(
        summary=summary,
        planned=0 if wanted == before else 1,
        unit="queues",
        command=f"queue.setGlobalConcurrency({wanted})"
        if wanted
        else "queue.removeGlobalConcurrency()",
        undo=commands.run(
            "troubleshooting/high_queue_length",
            target,
            apply=True,
            queue=queue,
            limit=before or "none",
        ),
        work=work,
        verify=verify,
        basis=(server, before),
        refusal=refusal,
        warning="A limit that is lower than what runs now slows the queue down."
        if wanted and before is None
        else "",
    )


def _look(target: Target, queue: str) -> tuple[str, str]:
    """Return the server's identity, and why `queue` cannot be limited."""

    async def look(session: Session) -> tuple[str, str]:
        at = session.queue(queue)
        server, why = await connection.identity(session), await layout.refusal(session, at)
        found = await layout.read(session, at)
        if found.major and not found.has_limit:
            why = (
                f"{queue} is kept by {found.version}, and BullMQ before 5.9 has no limit for a "
                "whole queue: one would be ignored. Set `concurrency` of its workers instead."
            )
        return server, why

    with reading(target) as session:
        return session.run(look(session))


def _words(concurrency: int | None) -> str:
    return f"at most {concurrency} jobs at once" if concurrency else "no limit of its own"

"""Limit how many jobs of a queue its workers may run at once."""

from __future__ import annotations

from collections.abc import Iterator

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.queues import connection, layout
from opsnb.systems.queues.connection import SYSTEM, Queue, reading, writing
from opsnb.systems.queues.workload import read_brakes
from opsnb.view import commands


@action(needs=(SYSTEM,))
def limit(target: Target, _: ActionRecord | None, queue: str, concurrency: int) -> Plan:
    """Limit a queue's concurrency.

    At most `concurrency` jobs are active at once, however many workers there are; 0 removes the
    limit. Refused where its BullMQ has no such limit. Raises UsageError for an unknown queue.
    """
    with reading(target) as session:
        known = session.run(connection.known(session, queue))
        before = session.run(read_brakes(known)).concurrency
        refusal = session.run(_refusal(known))
        server = session.run(connection.identity(session))
    wanted = concurrency or None
    if wanted == before:
        summary = f"{queue}: {_words(before)} already."
    else:
        summary = f"{queue}: {_words(wanted)} from now on; until now {_words(before)}."

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            at = session.queue(queue).bullmq
            if wanted:
                session.run(at.setGlobalConcurrency(wanted))
            else:
                session.run(at.removeGlobalConcurrency())
            yield 1

    def verify() -> list[Finding]:
        with reading(target) as session:
            now = session.run(read_brakes(session.queue(queue))).concurrency
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
        warning="A limit below the number of jobs that run now slows the queue down."
        if wanted and before is None
        else "",
    )


async def _refusal(queue: Queue) -> str:
    """Return why `queue` cannot be limited; empty if it can."""
    found = await layout.read(queue)
    if found.major and not found.has_limit:
        return (
            f"{found.version} keeps {queue.name}, and BullMQ before 5.9 has no limit for a whole "
            "queue and would ignore it. Set `concurrency` of its workers instead."
        )
    return await layout.refusal(queue)


def _words(concurrency: int | None) -> str:
    return f"at most {concurrency} jobs at once" if concurrency else "no limit of its own"

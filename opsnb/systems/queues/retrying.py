"""Retry failed jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from opsnb.guard import Permit, Plan, action
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.queues import jobs, scripts
from opsnb.systems.queues.connection import SYSTEM, Pace, Session, reading, writing
from opsnb.systems.queues.counts import connected_workers
from opsnb.systems.queues.each import Arguments, EachChosen
from opsnb.systems.queues.jobs import Chosen, Selection
from opsnb.systems.queues.words import clock
from opsnb.target import Target

_BATCH = 1000  # jobs that BullMQ moves by one call


@action(needs=(SYSTEM,), resumable=True)
def retry_failed(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    queue: str,
    *,
    name: str = "",
    reason: str = "",
    older_than: float = 0,
    within: float = 0,
) -> Plan:
    """Retry failed jobs.

    All that have failed by now; only those named `name`, with `reason` in their failed reason,
    that failed more than `older_than` or less than `within` hours ago, where these are given.
    A job with a priority keeps it. Raises UsageError for an unknown queue, ParameterError for
    times that exclude each other.
    """
    asked = jobs.Asked("failed", name, reason, older_than, within)
    with reading(target) as session:
        server, selection = session.run(jobs.select(session, queue, asked, former))
        found = session.queue(queue)
        if selection.is_by_time:
            chosen = Chosen(count=session.run(jobs.count(session, found, selection)))
            first = session.run(jobs.first_ids(session, found, selection))
        else:
            chosen = jobs.scan(session, found, selection)
            first = chosen.first
        sample = session.run(jobs.rows(session, found, first))
        paused = session.run(found.isPaused())
        workers = session.run(connected_workers(session, found))
    each = EachChosen(target, queue, selection, chosen, scripts.RETRY, _arguments)
    warnings = (
        f"{queue} is paused: they wait until it is resumed." if paused else "",
        "No worker is connected to take them." if chosen.count and not workers else "",
    )
    return Plan(
        summary=f"Retry {chosen.count} {selection.of(queue)} that failed before "
        f"{clock(selection.until_ms)}.",
        planned=chosen.count,
        unit="jobs",
        command="for (const job of await queue.getFailed()) await job.retry()",
        undo="",
        work=_All(each).work if selection.is_by_time else each.work,
        verify=lambda: [_judge(each)],
        sample=sample,
        basis=(server, queue),
        warning=" ".join(filter(None, warnings)),
        terms=selection.terms,
    )


@dataclass
class _All:
    """Retries by BullMQ's own `retryJobs`, in batches, up to the fixed time.

    That knows no priorities, so the jobs of a batch that have one go first, each by itself.
    """

    each: EachChosen

    def work(self, permit: Permit) -> Iterator[int]:
        with writing(self.each.target, permit) as session:
            queue, done, pace = session.queue(self.each.queue), 0, Pace(_BATCH)
            while True:
                size = pace.start()
                there, moved = session.run(self._batch(session, queue, size))
                pace.end()
                if not moved:
                    return
                done += moved
                yield done
                if moved == there < size:
                    return

    async def _batch(self, session: Session, queue: Any, size: int) -> tuple[int, int]:
        """Retry of the next `size` jobs; return how many were there and how many were retried."""
        until = self.each.selection.until_ms
        keys, arguments = queue.scripts.moveJobsToWaitArgs("failed", size, until)
        move = session.client.register_script(scripts.RETRY_ALL)
        there, prioritized = await move(keys=keys, args=arguments)
        if not prioritized:
            return there, there
        answers = await self.each.each(session, queue, prioritized)
        return there, answers.count(scripts.DONE)


def _arguments(queue: Any, selection: Selection, job: str) -> Arguments:
    """Return those of RETRY."""
    names = ("events", "failed", "wait", "meta", "active", "marker", "prioritized", "pc", "failed")
    keys = [queue.toKey(job), *(queue.keys[name] for name in names)]
    return keys, [job, "LPUSH", "failedReason", "failed", "0", "0", selection.until_ms]


def _judge(each: EachChosen) -> Finding:
    """Measure how many of the chosen are still failed, and where the others are."""
    selection = each.selection
    anew = replace(selection, since_ms=selection.until_ms + 1, until_ms=2**53)
    with reading(each.target) as session:
        queue = session.queue(each.queue)
        if selection.is_by_time:
            left = session.run(jobs.count(session, queue, selection))
        else:
            left = jobs.scan(session, queue, selection).count
        again = session.run(jobs.count(session, queue, anew))
        counted = session.run(queue.getJobCounts("waiting", "prioritized", "active", "paused"))
    waiting = counted["waiting"] + counted["prioritized"] + counted["paused"]
    rows: list[Row] = [
        {"jobs": "still failed", "count": left},
        {"jobs": "failed since the plan", "count": again},
        {"jobs": "waiting", "count": waiting},
        {"jobs": "active", "count": counted["active"]},
    ]
    message = (
        f"{left or 'None'} of the {selection.of(each.queue)} {'are' if left else 'is'} left; "
        f"{waiting} jobs wait, {counted['active']} are active, {again} failed since the plan."
        f"{each.words}"
    )
    return Finding(status=Status.CRIT if left else Status.OK, message=message, rows=rows)

"""Retry failed jobs."""

from __future__ import annotations

from dataclasses import replace

from opsnb.actions.action import Plan, action
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.queues import connection, jobs, layout
from opsnb.systems.queues.backlog import read_state
from opsnb.systems.queues.changing import JobChange, running_words
from opsnb.systems.queues.connection import SYSTEM, reading
from opsnb.view.formats import utc


@action(needs=(SYSTEM,))
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
    that failed more than `older_than` or less than `within` hours ago, if given. A job with a
    priority keeps it; a job that is running stays. Refused where the version of BullMQ is not
    known. Raises UsageError for an unknown queue, ParameterError for times that exclude each other.
    """
    asked = jobs.Asked("failed", name, reason, older_than, within)
    with reading(target) as session:
        found = session.run(connection.known(session, queue))
        server, selection = session.run(jobs.select(found, asked, former))
        refusal = session.run(layout.refusal(found))
        chosen = jobs.scan(found, selection)
        sample = session.run(jobs.rows(found, chosen.first))
        row, pause = session.run(read_state(found))
    change = JobChange(target, queue, selection, chosen, retries=True)
    warnings = (
        f"{queue} is paused: the jobs wait until you resume it." if pause["paused"] else "",
        "No worker is connected to take them." if chosen.count and row["workers"] == 0 else "",
        running_words(chosen),
    )
    return Plan(
        summary=f"Retry {chosen.count} {selection.of(queue)} that failed before "
        f"{utc(selection.until_ms / 1000)}."
        if chosen.count
        else f"no {selection.of(queue)} failed before {utc(selection.until_ms / 1000)}.",
        planned=chosen.count,
        unit="jobs",
        command="for (const job of await queue.getFailed()) await job.retry()",
        undo="",
        work=change.work,
        verify=lambda: [_judge(change)],
        sample=sample,
        basis=(server, queue),
        warning=" ".join(filter(None, warnings)),
        refusal=refusal,
        terms=selection.terms,
    )


def _judge(change: JobChange) -> Finding:
    """Measure how many of the chosen jobs are still failed, and where the others are."""
    selection = change.selection
    later = replace(selection, since_ms=selection.until_ms + 1, until_ms=2**53)
    with reading(change.target) as session:
        queue = session.queue(change.queue)
        found = jobs.scan(queue, selection)
        again = session.run(jobs.count_selected(queue, later))
        row, _ = session.run(read_state(queue))
    left = found.count
    rows: list[Row] = [
        {"jobs": "still failed", "count": left},
        {"jobs": "failed since the plan", "count": again},
        {"jobs": "waiting", "count": row["waiting"]},
        {"jobs": "active", "count": row["active"]},
    ]
    message = (
        f"{left or 'None'} of the {selection.of(change.queue)} {'are' if left else 'is'} left; "
        f"{row['waiting']} jobs wait, {row['active']} are active, {again} failed since the plan."
        f"{change.words}"
    )
    return Finding(status=Status.CRIT if left else Status.OK, message=message, rows=rows)

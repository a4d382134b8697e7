"""Clean finished jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Status
from opsnb.params import FinishedState, Via
from opsnb.systems.queues import connection, jobs, layout, route, scripts
from opsnb.systems.queues.batches import BatchPace
from opsnb.systems.queues.changing import JobChange, running_words
from opsnb.systems.queues.connection import SYSTEM, Queue, reading, writing
from opsnb.systems.queues.jobs import Chosen, Selection
from opsnb.systems.queues.route import Route
from opsnb.view.formats import utc

_BATCH = 250  # jobs that BullMQ removes by one call
_API_LIMIT_S = 120.0
_API_SLACK_MS = 1000  # the API's clock may be ahead; what it leaves is cleaned after it


@action(needs=(SYSTEM,))
def clean_failed(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    queue: str,
    *,
    older_than: float = 24,
    state: FinishedState = "failed",
    name: str = "",
    reason: str = "",
    via: Via = "redis",
) -> Plan:
    """Clean finished jobs.

    Removes the failed or completed jobs that ended more than `older_than` hours ago; only those
    named `name` and with `reason` in their failed reason, if given. Jobs that are running stay, and
    so do children that a parent still waits for: with the last of them BullMQ would remove or start
    the parent. Refused where the version of BullMQ is not known. Raises UsageError for an unknown
    queue.
    """
    asked = jobs.Asked(state, name, reason, older_than)
    with reading(target) as session:
        found = session.run(connection.known(session, queue))
        server, selection = session.run(jobs.select(found, asked, former))
        chosen = jobs.scan(found, selection)
        planned = chosen.count - chosen.held
        sample = session.run(jobs.rows(found, chosen.first))
        size = session.run(jobs.weight(found, chosen.first, planned))
        taken = route.choose(target, queue, via, unless=_beyond_api(selection, chosen))
        refusal = "" if taken.by_api else session.run(layout.refusal(found))
    change = JobChange(target, queue, selection, chosen, retries=False)
    at_once = selection.is_by_time and not (chosen.held or chosen.running)

    def verify() -> list[Finding]:
        with reading(target) as session:
            left = jobs.scan(session.queue(queue), selection)
        remaining = left.count - left.held
        message = (
            f"{remaining or 'None'} of the {selection.of(queue)} from before the limit "
            f"{'are' if remaining else 'is'} left.{taken.failure}{change.words}"
        )
        if left.running:
            message += f" {left.running} of them are running."
        return [Finding(status=Status.CRIT if remaining else Status.OK, message=message)]

    return Plan(
        summary=f"Remove {planned} {selection.of(queue)} that ended before "
        f"{utc(selection.until_ms / 1000)}.{taken.words}"
        if planned
        else f"no {selection.of(queue)} ended before "
        f"{utc(selection.until_ms / 1000)}.{taken.words}",
        planned=planned,
        unit="jobs",
        command=route.by_hand(target, queue, "clean"),
        undo="",
        work=_AtOnce(change, taken).work if at_once else change.work,
        verify=verify,
        sample=sample,
        bytes=size if planned else 0,
        basis=(server, queue),
        warning=" ".join(filter(None, (_held_words(chosen), running_words(chosen), taken.warning))),
        refusal=refusal,
        terms=selection.terms,
    )


@dataclass
class _AtOnce:
    """Cleans by BullMQ's own `clean`, in batches, up to the fixed time.

    If it meets a job that must stay, it removes the rest one by one.
    """

    change: JobChange
    taken: Route

    def work(self, permit: Permit) -> Iterator[int]:
        selection = self.change.selection
        with writing(self.change.target, permit) as session:
            queue, done, pace = session.queue(self.change.queue), 0, BatchPace(_BATCH)
            if self.taken.by_api:
                done = self._by_api(queue, permit)
                yield done
            keys = ("meta", selection.state, "events", "repeat")
            while True:
                size = pace.start()
                arguments = [queue[""], selection.until_ms, size, selection.state]
                there, removed = session.run(layout.run(queue, scripts.CLEAN, keys, arguments))
                pace.end()
                if removed < there:
                    yield from self.change.rest(queue, done + removed)
                    return
                if removed:
                    done += removed
                    yield done
                if there < size:
                    return

    def _by_api(self, queue: Queue, permit: Permit) -> int:
        """Let the API clean; return how many jobs are gone."""
        selection = self.change.selection
        before = queue.run(jobs.count_selected(queue, selection))
        now = queue.run(connection.server_ms(queue.session))
        grace = now - selection.until_ms + _API_SLACK_MS
        self.taken.post(queue.name, "clean", permit, limit_s=_API_LIMIT_S, grace=grace)
        return before - queue.run(jobs.count_selected(queue, selection))


def _beyond_api(selection: Selection, chosen: Chosen) -> str:
    """Return what the API cannot do of this, or nothing."""
    if selection.state != "failed":
        return "cleans failed jobs only"
    if not selection.is_by_time:
        return "cannot choose by name or reason"
    if chosen.running:
        return "would remove jobs that are running"
    return "would remove the waiting parents too" if chosen.held else ""


def _held_words(chosen: Chosen) -> str:
    words = ""
    if awaited := chosen.held - chosen.scheduled:
        words = (
            f"{awaited} more stay: they are children that a parent still waits for. "
            "Retry them instead (queues/retry_failed)."
        )
    if chosen.scheduled:
        words += f" {chosen.scheduled} more stay: a job scheduler continues from them."
    return words.strip()

"""The share of a queue's jobs that failed, also where the service removes jobs that ended.

Where nothing was removed, it is the failed jobs of all jobs in Redis. Otherwise BullMQ's counter
says how many jobs were ever added, and its newest events say how the latest ended; the worse of the
two counts. Where there is neither, the rate is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.queues import events
from opsnb.systems.queues.connection import Queue
from opsnb.view.formats import counted

_SLACK = 0.02  # of the jobs that were added: duplicates count too, and jobs come and go
_LEAST_SLACK = 5
_EVENTS = 2000
_LEAST_ENDED = 20  # fewer jobs make no rate


@dataclass(frozen=True)
class Rate:
    """How many jobs of a queue failed, and of how many."""

    queue: str
    failed: int
    """Those in Redis, or in its events."""
    of: int | None
    """None where that is not known."""
    note: str = ""
    """The source, if it is not the jobs in Redis."""
    why: str = ""
    """Why it is not known."""

    @property
    def percent(self) -> float | None:
        """The rate; None where it is not known."""
        if self.of is None:
            return None
        return round(100 * self.failed / self.of, 2) if self.of else 0.0

    @property
    def words(self) -> str:
        """The rate as a sentence without its full stop."""
        if self.of is None:
            return f"{self.queue}: {counted(self.failed, 'failed job')}, of an unknown total"
        return f"{self.queue}: {self.failed} of {self.of} jobs have failed{self.note}"

    def judged(self, target: Target) -> Finding:
        """Return the finding for it, by the target's threshold."""
        if self.percent is None:
            evidence.partial(self.why)
            return Finding(status=Status.UNKNOWN, message=f"{self.words}.", rows=[self.row()])
        threshold = target.threshold("queue_failed_percent")
        return Finding.measured(self.percent, threshold, f"{self.words}.")

    def row(self) -> Row:
        """Return what is shown of it."""
        return {
            "queue": self.queue,
            "failed": self.failed,
            "total": self.of,
            "failed_percent": self.percent,
        }


async def read(queue: Queue, row: Row) -> Rate:
    """Return the rate of a queue from its row of counts."""
    name, failed, there, added = queue.name, row["failed"], row["total"], row["added"]
    slack = max(_LEAST_SLACK, _SLACK * added)
    if added and added <= there + slack:
        return Rate(name, failed, there)
    if not added and (row["completed"] or not failed):
        return Rate(name, failed, there)
    ended = await events.ended_by_events(queue, _EVENTS)
    completed, lost = ended or (0, 0)
    lately = Rate(name, lost, completed + lost, " lately, by BullMQ's events")
    is_known = completed + lost >= _LEAST_ENDED
    if added and (ended is not None or failed):
        ever = Rate(name, failed, added, " since it was made; jobs that ended are removed")
        return max(ever, lately, key=lambda rate: rate.percent or 0.0) if is_known else ever
    if is_known:
        return lately
    return Rate(
        name,
        failed,
        None,
        why=f"the failure rate of {name}: jobs that ended are removed, and nothing counts them",
    )

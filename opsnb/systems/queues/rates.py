"""Which share of a queue's jobs has failed, also where jobs are removed once they have ended.

Where nothing was removed, that is the failed of all jobs that are there. Else BullMQ's counter of
jobs that were ever added tells how many there were, and its newest events how those end lately;
the worse of the two counts. Where neither tells, the rate is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.model import Row
from opsnb.systems.queues import events
from opsnb.systems.queues.connection import Session

_SLACK = 0.02  # of the jobs that were added: duplicates count too, and jobs come and go meanwhile
_LEAST_SLACK = 5
_EVENTS = 2000
_LEAST_ENDED = 20  # jobs by whose ends a rate is told


@dataclass(frozen=True)
class Rate:
    """How many jobs of a queue failed, and of how many."""

    queue: str
    failed: int
    """Those that Redis has, or that its events tell of."""
    of: int | None
    """None where that is not known."""
    note: str = ""
    """By what it is told, where not by the jobs that are there."""
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
        """What a sentence says of it, without its full stop."""
        if self.of is None:
            return f"{self.queue}: {self.failed} failed jobs, of how many is not known"
        return f"{self.queue}: {self.failed} of {self.of} jobs have failed{self.note}"

    def row(self) -> Row:
        """Return what is shown of it."""
        return {
            "queue": self.queue,
            "failed": self.failed,
            "total": self.of,
            "failed_percent": self.percent,
        }


async def read(session: Session, row: Row) -> Rate:
    """Return the rate of a queue by its row of counts."""
    queue, failed, there, added = row["queue"], row["failed"], row["total"], row["added"]
    slack = max(_LEAST_SLACK, _SLACK * added)
    if added and added <= there + slack:
        return Rate(queue, failed, there)
    if not added and (row["completed"] or not failed):
        return Rate(queue, failed, there)
    ended = await events.ended_by_events(session, session.at(queue)["events"], _EVENTS)
    completed, lost = ended or (0, 0)
    lately = Rate(queue, lost, completed + lost, " lately, by BullMQ's events")
    is_told = completed + lost >= _LEAST_ENDED
    if added and (ended is not None or failed):
        ever = Rate(queue, failed, added, " since it was made; jobs that ended are removed")
        return max(ever, lately, key=lambda rate: rate.percent or 0.0) if is_told else ever
    if is_told:
        return lately
    return Rate(
        queue,
        failed,
        None,
        why=f"the failure rate of {queue}: jobs that ended are removed, and nothing tells how many",
    )

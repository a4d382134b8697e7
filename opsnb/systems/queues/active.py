"""The active jobs, and whether a worker is running them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Queue, reading
from opsnb.systems.queues.worker_clients import clients
from opsnb.view.formats import span, utc

_MOST_ACTIVE = 20_000
_PAGE = 500
_MARKER = "0:"  # BullMQ 4 moves such markers there in place of jobs
_SLACK_S = 1  # a connection's age is in whole seconds
_FIELDS = ("name", "processedOn", "ats", "attemptsMade", "stc", "stalledCounter", "parentKey")


@dataclass(frozen=True)
class Active:
    """An active job, and the evidence of whether a worker is running it."""

    id: str
    name: str
    since_ms: int | None
    """When a worker took it; None when its data are gone."""
    age_s: float
    token: str
    """Of its lock; empty when the lock has expired."""
    lock_ms: int
    """How long the lock is still valid; its worker renews it."""
    attempts: int
    stalled: int
    """How often BullMQ found it stalled."""
    parent: str
    """The key of the parent that waits for it; empty for none."""
    has_data: bool
    """Whether its data exist: a job without them is only an entry in a list."""
    may_run: bool = False
    """Whether a worker may be running it without a lock: one was connected when the job was taken
    and still is, and BullMQ has not returned the job. A worker can be set not to renew locks."""

    @property
    def is_abandoned(self) -> bool:
        """Whether it has no lock; a worker that runs it holds the lock and renews it."""
        return not self.token

    def is_stuck(self, longer_than_min: float) -> bool:
        """Whether it is abandoned and was taken longer ago than so many minutes.

        A worker of BullMQ 4 moves a job first, then locks it and writes the time: it may have just
        taken a job without that time.
        """
        taken = self.since_ms is not None and self.age_s > longer_than_min * 60
        return self.is_abandoned and (taken or not self.has_data)

    @property
    def evidence(self) -> str:
        """Why it counts as stuck, or as running."""
        if not self.has_data:
            return "its data are gone, and it has no lock"
        if not self.token:
            unknown = "" if self.since_ms else ", and its start time is missing"
            still = ", but a worker that saw its start is connected" if self.may_run else ""
            return f"its lock has expired{unknown}{still}"
        if self.lock_ms >= 0:
            return f"its lock is valid for another {span(self.lock_ms / 1000)}"
        return "its lock never expires"

    def row(self) -> Row:
        """Return what is shown of it."""
        return {
            "job": self.id,
            "name": self.name,
            "active since": utc(self.since_ms / 1000) if self.since_ms else None,
            "for": span(self.age_s) if self.since_ms else "unknown",
            "evidence": self.evidence,
            "attempts": self.attempts,
            "stalled": self.stalled,
            "parent": self.parent or None,
        }


def active_jobs(target: Target, queue: str) -> list[Active]:
    """Return the active jobs of `queue`, the one taken first at the head. Raises UsageError."""
    with reading(target) as session:
        return session.run(read_active(session.run(connection.known(session, queue))))


async def read_active(queue: Queue) -> list[Active]:
    """Return the active jobs of `queue`, the one taken first at the head."""
    ids = await queue.client.lrange(queue["active"], -_MOST_ACTIVE, -1)
    there = await queue.client.llen(queue["active"])
    if there > len(ids) >= _MOST_ACTIVE:
        evidence.partial(
            f"{there - len(ids):,} of {there:,} active jobs of {queue.name}: too many to read"
        )
    now = await connection.server_ms(queue.session)
    found: list[Active] = []
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        async with queue.client.pipeline(transaction=False) as pipe:
            for job in page:
                key = queue[job]
                pipe.hmget(key, _FIELDS)
                pipe.get(f"{key}:lock")
                pipe.pttl(f"{key}:lock")
            replies = iter(await pipe.execute())
        found += [
            _read(job, fields, (token or "", int(lock_ms)), now)
            for job, fields, token, lock_ms in zip(page, replies, replies, replies, strict=True)
            if not job.startswith(_MARKER)
        ]
    if any(job.is_abandoned and job.since_ms for job in found):
        longest_s = (await clients(queue.session)).longest_s(queue)
        if longest_s is not None:
            found = [replace(job, may_run=_may_run(job, longest_s)) for job in found]
    return sorted(found, key=lambda job: -job.age_s)


def _may_run(job: Active, longest_s: int) -> bool:
    is_open = job.is_abandoned and job.since_ms is not None
    return is_open and job.age_s <= longest_s + _SLACK_S


def _read(job: str, fields: list[Any], lock: tuple[str, int], now: int) -> Active:
    name, since, attempts, attempts_4, stalled, stalled_4, parent = fields
    return Active(
        id=job,
        name=name or "",
        since_ms=int(since) if since else None,
        age_s=max(0.0, (now - int(since)) / 1000) if since else 0.0,
        token=lock[0],
        lock_ms=lock[1],
        attempts=int(attempts or attempts_4 or 0),
        stalled=int(stalled or stalled_4 or 0),
        parent=parent or "",
        has_data=name is not None,
    )

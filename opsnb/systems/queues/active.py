"""The jobs that are active, and whether somebody works on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Session, reading
from opsnb.systems.queues.worker_clients import clients
from opsnb.view.formats import span, utc

_MOST_ACTIVE = 20_000
_PAGE = 500
_MARKER = "0:"  # begins what BullMQ 4 moves there in place of a job
_SLACK_S = 1  # a connection's age is in whole seconds
_FIELDS = ("name", "processedOn", "ats", "attemptsMade", "stc", "stalledCounter", "parentKey")


@dataclass(frozen=True)
class Active:
    """An active job, and the evidence of whether somebody works on it."""

    id: str
    name: str
    since_ms: int | None
    """When a worker took it; None when its data are gone."""
    age_s: float
    token: str
    """Of its lock; empty when the lock has expired."""
    lock_ms: int
    """How long the lock still holds; a worker at work renews it."""
    attempts: int
    stalled: int
    """How often BullMQ found it stalled."""
    parent: str
    """The key of the parent that waits for it; empty for none."""

    has_data: bool
    """Whether its data are there: a job without them is only an entry in a list."""

    may_run: bool = False
    """Whether a worker may be at it without a lock: one was connected when it was taken, still is,
    and BullMQ has not given the job back. Workers may be told not to renew locks."""

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody works on it: whoever does holds its lock, and renews it."""
        return not self.token

    def is_stuck(self, longer_than_min: float) -> bool:
        """Whether it is abandoned and was taken longer ago than so many minutes.

        A worker of BullMQ 4 moves a job first, then locks it and notes when: a job without that
        time may just be taken.
        """
        taken = self.since_ms is not None and self.age_s > longer_than_min * 60
        return self.is_abandoned and (taken or not self.has_data)

    @property
    def evidence(self) -> str:
        """Why it counts as stuck, or as running."""
        if not self.has_data:
            return "its data are gone, and no lock is held"
        if not self.token:
            unknown = "" if self.since_ms else ", when it was taken is not noted"
            still = ", but a worker that was connected by then still is" if self.may_run else ""
            return f"its lock has expired{unknown}{still}"
        if self.lock_ms >= 0:
            return f"its lock holds for another {self.lock_ms / 1000:.0f} s"
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
        return session.run(read_active(session, queue))


async def read_active(session: Session, queue: str) -> list[Active]:
    """Return the active jobs of `queue`, the one taken first at the head. Raises UsageError."""
    await connection.require(session, queue)
    at = session.queue(queue)
    ids = await session.client.lrange(at.keys["active"], -_MOST_ACTIVE, -1)
    there = await session.client.llen(at.keys["active"])
    if there > len(ids) >= _MOST_ACTIVE:
        evidence.partial(
            f"{there - len(ids):,} of {there:,} active jobs of {queue}: too many to read"
        )
    now = await connection.server_ms(session)
    found: list[Active] = []
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        async with session.client.pipeline(transaction=False) as pipe:
            for job in page:
                key = at.toKey(job)
                pipe.hmget(key, _FIELDS)
                pipe.get(f"{key}:lock")
                pipe.pttl(f"{key}:lock")
            told = iter(await pipe.execute())
        found += [
            _read(job, fields, (token or "", int(lock_ms)), now)
            for job, fields, token, lock_ms in zip(page, told, told, told, strict=True)
            if not job.startswith(_MARKER)
        ]
    if any(job.is_abandoned and job.since_ms for job in found):
        longest_s = (await clients(session)).longest_s(at)
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

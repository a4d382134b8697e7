"""The jobs that are active, and who works on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Session, reading
from opsnb.systems.queues.counts import connected_workers
from opsnb.systems.queues.words import clock, span
from opsnb.target import Target

_MOST_ACTIVE = 20_000
_PAGE = 500
_FIELDS = ("name", "processedOn", "pb", "ats", "stc", "parentKey")


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
    worker: str
    """The name of the worker that took it, where workers have names."""
    worker_is_gone: bool
    attempts: int
    stalled: int
    """How often BullMQ found it stalled."""
    parent: str
    """The key of the parent that waits for it; empty for none."""

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody works on it: its lock has expired, or its worker is gone."""
        return not self.token or self.worker_is_gone

    def is_stuck(self, longer_than_min: float) -> bool:
        """Whether it is abandoned and was taken longer ago than so many minutes."""
        old_enough = self.since_ms is None or self.age_s > longer_than_min * 60
        return old_enough and self.is_abandoned

    @property
    def evidence(self) -> str:
        """Why it counts as stuck, or as running."""
        if not self.token:
            lock = "its lock has expired"
        elif self.lock_ms >= 0:
            lock = f"its lock holds for another {self.lock_ms / 1000:.0f} s"
        else:
            lock = "its lock never expires"
        worker = f"worker {self.worker}" if self.worker else "every worker"
        return f"{lock}, {worker} is gone" if self.worker_is_gone else lock

    def row(self) -> Row:
        """Return what is shown of it."""
        return {
            "job": self.id,
            "name": self.name,
            "active since": clock(self.since_ms) if self.since_ms else None,
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
    workers = await connected_workers(session, at)
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
            _read(job, fields, (token or "", int(lock_ms)), workers, now)
            for job, fields, token, lock_ms in zip(page, told, told, told, strict=True)
        ]
    return sorted(found, key=lambda job: -job.age_s)


def _read(
    job: str, fields: list[Any], lock: tuple[str, int], workers: list[str], now: int
) -> Active:
    name, since, worker, attempts, stalled, parent = fields
    return Active(
        id=job,
        name=name or "",
        since_ms=int(since) if since else None,
        age_s=max(0.0, (now - int(since)) / 1000) if since else 0.0,
        token=lock[0],
        lock_ms=lock[1],
        worker=worker or "",
        worker_is_gone=worker not in workers if worker else not workers,
        attempts=int(attempts or 0),
        stalled=int(stalled or 0),
        parent=parent or "",
    )

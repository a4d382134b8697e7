"""Whether a queue keeps up: what arrives and leaves, how long jobs take, and what holds them back.

Measurements for those who compare several of them; each is a bounded look.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from opsnb.config.target import Target
from opsnb.model import Row
from opsnb.systems.api import percentile
from opsnb.systems.queues import connection
from opsnb.systems.queues.active import Active, active_jobs
from opsnb.systems.queues.backlog import count
from opsnb.systems.queues.connection import Session, reading
from opsnb.systems.queues.metrics import newest_ended
from opsnb.systems.queues.pause_state import pause_of
from opsnb.systems.queues.values import whole

_BY_HAND = 10**12  # more than any count of jobs: queue.rateLimit() sets the greatest number
_RECENT = 10  # jobs by which it is told how long they take now
_LOOK_S = 1.5


@dataclass(frozen=True)
class Flow:
    """What happened in a queue while it was watched."""

    seconds: float
    arrived: int
    left: int
    waiting: int
    """At the end."""
    pause: Row
    """Whether it is paused, since when and by whom."""
    workers: int | None
    """None when it is not known."""

    @property
    def arriving(self) -> float:
        """Jobs a second."""
        return self.arrived / self.seconds

    @property
    def leaving(self) -> float:
        """Jobs a second."""
        return self.left / self.seconds

    @property
    def drains_in_s(self) -> float | None:
        """How long it takes at this pace until no job waits; None when it never does."""
        gained = self.leaving - self.arriving
        return self.waiting / gained if gained > 0 else None


def flow(target: Target, queue: str, seconds: float) -> Flow:
    """Watch `queue` for so many seconds. Raises UsageError for an unknown queue."""

    async def look(session: Session) -> Flow:
        await connection.require(session, queue)
        at = session.at(queue)
        began_ms, added, unfinished, _ = await _levels(session, at)
        await asyncio.sleep(seconds)
        ended_ms, added_then, unfinished_then, row = await _levels(session, at)
        arrived = added_then - added
        return Flow(
            seconds=max(0.001, (ended_ms - began_ms) / 1000),
            arrived=arrived,
            # What is tried again comes back without arriving anew.
            left=max(0, arrived - (unfinished_then - unfinished)),
            waiting=row["waiting"],
            pause=await pause_of(session, at),
            workers=row["workers"],
        )

    with reading(target) as session:
        return session.run(look(session))


async def _levels(session: Session, queue: Any) -> tuple[int, int, int, dict[str, Any]]:
    """Return the server's time in ms, the jobs ever added, those not finished, and the counts."""
    row = await count(session, queue.name)
    added = int(await session.client.get(queue.keys["id"]) or 0)
    names = ("waiting", "active", "delayed", "waiting_children")
    return await connection.server_ms(session), added, sum(int(row[name]) for name in names), row


@dataclass(frozen=True)
class Durations:
    """How long jobs take, in seconds; None where no job tells."""

    usual_s: float | None
    """The median of the older half of what is kept."""
    usual_long_s: float | None
    """The time that 95 % of those stay below."""
    recent_s: float | None
    """The median of the newest that have completed."""
    running: list[Active]
    """Those that are being worked on now, the longest first."""


def durations(target: Target, queue: str, newest: int = 1000) -> Durations:
    """Compare the newest jobs of `queue` with older ones. Raises UsageError."""
    completed, _, _ = newest_ended(target, queue, newest)
    worked = [job.worked_ms / 1000 for job in completed]
    older = worked[len(worked) // 2 :]
    return Durations(
        usual_s=median(older) if older else None,
        usual_long_s=percentile(older, 95) if older else None,
        recent_s=median(worked[:_RECENT]) if worked else None,
        running=_running(target, queue),
    )


def _running(target: Target, queue: str) -> list[Active]:
    """Return the active jobs that are worked on, at the moment when one was oldest.

    All may just have begun, so it is looked for a while, unless one is old already.
    """
    oldest = _worked_on(target, queue)
    ends = time.monotonic() + _LOOK_S
    while oldest and oldest[0].age_s < _LOOK_S and time.monotonic() < ends:
        time.sleep(_LOOK_S / 6)
        seen = _worked_on(target, queue)
        if seen and seen[0].age_s > oldest[0].age_s:
            oldest = seen
    return oldest


def _worked_on(target: Target, queue: str) -> list[Active]:
    return [job for job in active_jobs(target, queue) if not job.is_abandoned]


@dataclass(frozen=True)
class Brakes:
    """What BullMQ was told to hold a queue back by; None where it was not."""

    concurrency: int | None
    """The most jobs that all workers together may have active."""
    rate: tuple[int, int] | None
    """The most jobs, and in how many ms."""
    limited_ms: int
    """For how long no worker may take a job; 0 when they may, or when that is not known."""
    window: tuple[int, int] | None = None
    """How many jobs began in the span of a rate limit, and how many ms of it are left; None where
    none is under way, and where it is known whether the limit is reached."""


def brakes(target: Target, queue: str) -> Brakes:
    """Return the limits of `queue` that hold for all its workers. Raises UsageError."""

    async def look(session: Session) -> Brakes:
        await connection.require(session, queue)
        keys = session.at(queue).keys
        fields = ["concurrency", "max", "duration"]
        most, jobs, span_ms = await session.client.hmget(keys["meta"], fields)
        text = await session.client.get(keys["limiter"]) or ""
        began = int(text) if re.fullmatch(r"[0-9]{1,20}", text) else 0
        left_ms = max(0, await session.client.pttl(keys["limiter"]))
        # A limit of the workers' own counts there too, and its maximum is in no key.
        is_known = bool(jobs) or began >= _BY_HAND
        is_reached = is_known and began >= min(_BY_HAND, whole(jobs) or _BY_HAND)
        return Brakes(
            concurrency=int(most) if most else None,
            rate=(int(jobs), int(span_ms)) if jobs and span_ms else None,
            limited_ms=left_ms if is_reached else 0,
            window=(began, left_ms) if left_ms and not is_known else None,
        )

    with reading(target) as session:
        return session.run(look(session))

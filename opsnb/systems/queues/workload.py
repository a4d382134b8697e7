"""Whether a queue keeps up: jobs that arrive and leave, how long they take, and its limits.

Each is a bounded measurement, for callers that compare several.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from opsnb.config.target import Target
from opsnb.machine.waiting import attempts
from opsnb.model import Row
from opsnb.systems.percentiles import percentile
from opsnb.systems.queues import connection
from opsnb.systems.queues.active import Active, read_active
from opsnb.systems.queues.backlog import count
from opsnb.systems.queues.connection import Queue, reading
from opsnb.systems.queues.metrics import read_ended
from opsnb.systems.queues.pause_state import pause_of
from opsnb.systems.queues.values import whole

_BY_HAND = 10**12  # more than any count of jobs: queue.rateLimit() sets the greatest number
_RECENT = 10  # jobs that show how long they take now
_SEARCH_S = 1.5


@dataclass(frozen=True)
class Flow:
    """The jobs that arrived and left while opsnb watched a queue."""

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
        """How long until no job waits, at this pace; None for never."""
        gained = self.leaving - self.arriving
        return self.waiting / gained if gained > 0 else None


def flow(target: Target, queue: str, seconds: float) -> Flow:
    """Watch `queue` for so many seconds. Raises UsageError for an unknown queue."""
    with reading(target) as session:
        known = session.run(connection.known(session, queue))
        began_ms, added, unfinished, _ = session.run(_levels(known))
        time.sleep(seconds)
        ended_ms, added_then, unfinished_then, row = session.run(_levels(known))
        pause = session.run(pause_of(known))
    arrived = added_then - added
    return Flow(
        seconds=max(0.001, (ended_ms - began_ms) / 1000),
        arrived=arrived,
        # A job that is retried comes back without arriving again.
        left=max(0, arrived - (unfinished_then - unfinished)),
        waiting=row["waiting"],
        pause=pause,
        workers=row["workers"],
    )


async def _levels(queue: Queue) -> tuple[int, int, int, dict[str, Any]]:
    """Return the server's time in ms, the jobs ever added, the unfinished ones, and the counts."""
    row = await count(queue)
    added = int(await queue.client.get(queue["id"]) or 0)
    names = ("waiting", "active", "delayed", "waiting_children")
    return (
        await connection.server_ms(queue.session),
        added,
        sum(int(row[name]) for name in names),
        row,
    )


@dataclass(frozen=True)
class Durations:
    """How long jobs take, in seconds; None where no job shows it."""

    usual_s: float | None
    """The median of the older half of the jobs in Redis."""
    usual_long_s: float | None
    """The time that 95 % of those stay below."""
    recent_s: float | None
    """The median of the newest that completed."""
    running: list[Active]
    """Those that workers are running now, the longest first."""


def durations(target: Target, queue: str, newest: int = 1000) -> Durations:
    """Compare the newest jobs of `queue` with older ones. Raises UsageError."""
    with reading(target) as session:
        found = session.run(connection.known(session, queue))
        completed, _, _ = session.run(read_ended(found, newest))
        running = _running(found)
    worked = [job.worked_ms / 1000 for job in completed]
    older = worked[len(worked) // 2 :]
    return Durations(
        usual_s=median(older) if older else None,
        usual_long_s=percentile(older, 95) if older else None,
        recent_s=median(worked[:_RECENT]) if worked else None,
        running=running,
    )


def _running(queue: Queue) -> list[Active]:
    """Return the active jobs that workers run, at the moment when one was oldest.

    All may have just begun, so it watches for a while, unless one is old already.
    """
    oldest: list[Active] = []
    for _ in attempts(_SEARCH_S, _SEARCH_S / 6):
        seen = queue.run(_with_worker(queue))
        if seen and (not oldest or seen[0].age_s > oldest[0].age_s):
            oldest = seen
        if not oldest or oldest[0].age_s >= _SEARCH_S:
            break
    return oldest


async def _with_worker(queue: Queue) -> list[Active]:
    return [job for job in await read_active(queue) if not job.is_abandoned]


@dataclass(frozen=True)
class Brakes:
    """The limits that are set for a queue in BullMQ; None where there is none."""

    concurrency: int | None
    """The most jobs that all workers together may have active."""
    rate: tuple[int, int] | None
    """The most jobs, and in how many ms."""
    limited_ms: int
    """How long no worker may take a job; 0 when they may, or when that is unknown."""
    window: tuple[int, int] | None = None
    """How many jobs began in the window of a rate limit, and how many ms of it are left; None where
    there is no window, and where it is known whether the limit is reached."""


def brakes(target: Target, queue: str) -> Brakes:
    """Return the limits of `queue` that hold for all its workers. Raises UsageError."""
    with reading(target) as session:
        return session.run(read_brakes(session.run(connection.known(session, queue))))


async def read_brakes(queue: Queue) -> Brakes:
    """Return the limits of `queue` that hold for all its workers."""
    fields = ["concurrency", "max", "duration"]
    most, jobs, span_ms = await queue.client.hmget(queue["meta"], fields)
    text = await queue.client.get(queue["limiter"]) or ""
    began = int(text) if re.fullmatch(r"[0-9]{1,20}", text) else 0
    left_ms = max(0, await queue.client.pttl(queue["limiter"]))
    # A limit that workers set themselves counts there too, and its maximum is in no key.
    is_known = bool(jobs) or began >= _BY_HAND
    is_reached = is_known and began >= min(_BY_HAND, whole(jobs) or _BY_HAND)
    return Brakes(
        concurrency=int(most) if most else None,
        rate=(int(jobs), int(span_ms)) if jobs and span_ms else None,
        limited_ms=left_ms if is_reached else 0,
        window=(began, left_ms) if left_ms and not is_known else None,
    )

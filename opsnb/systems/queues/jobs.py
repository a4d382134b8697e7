"""Finished jobs: choosing them, paging through them, and showing them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import redis.exceptions

from opsnb.config.target import Target
from opsnb.errors import ParameterError
from opsnb.model import ActionRecord, Row
from opsnb.redaction.outside import first_line
from opsnb.systems.queues import connection, scripts
from opsnb.systems.queues.batches import BatchPace
from opsnb.systems.queues.connection import Queue, Session
from opsnb.systems.queues.values import read_fields, whole
from opsnb.view.formats import utc

_HOUR_MS = 3_600_000
_PAGE = 500
_SAMPLE = 5
_WEIGHED = 20
_SHOWN_BYTES = 1000


@dataclass(frozen=True)
class Asked:
    """The finished jobs that an engineer asks for: times in hours; empty or 0 means any."""

    state: str
    name: str = ""
    reason: str = ""
    older_than: float = 0
    within: float = 0

    def __post_init__(self) -> None:
        """Raise ParameterError when the two times exclude each other."""
        if self.within and self.within <= self.older_than:
            raise ParameterError(
                f"No job ended within the last {self.within:g} h and before the last "
                f"{self.older_than:g} h; set within to more than that, or to 0."
            )


@dataclass(frozen=True)
class Selection:
    """The chosen finished jobs: they ended by `until_ms` and match the other fields."""

    state: str
    until_ms: int
    since_ms: int = 0
    name: str = ""
    """The job's full name."""
    reason: str = ""
    """A part of the failed reason."""

    @property
    def terms(self) -> dict[str, int]:
        """The part that the time of the plan fixes."""
        return {"until_ms": self.until_ms, "since_ms": self.since_ms}

    @property
    def is_by_time(self) -> bool:
        """Whether only the time of its end decides on a job."""
        return not (self.name or self.reason or self.since_ms)

    def of(self, queue: str) -> str:
        """Return the choice of jobs of `queue` in words, without the time."""
        parts = [f"{self.state} jobs of {queue}"]
        if self.name:
            parts.append(f"named '{self.name}'")
        if self.reason:
            parts.append(f"whose reason contains '{self.reason}'")
        return " ".join(parts)


@dataclass
class Chosen:
    """The jobs that match, from one pass over the jobs of a state."""

    read: int = 0
    """How many jobs were read, each once."""
    count: int = 0
    pages: list[str] = field(default_factory=list)
    """The ids, each page as JSON: a million of them takes 10 MB so."""
    held: int = 0
    """How many of them must stay: a parent or a scheduler needs them."""
    held_pages: list[str] = field(default_factory=list)
    scheduled: int = 0
    """How many of those a scheduler needs."""
    running: int = 0
    """How many more match and are running: a worker holds their lock."""

    def ids(self, *, with_held: bool) -> Iterator[str]:
        """Yield the chosen ids, the oldest first."""
        for page, held in zip(self.pages, self.held_pages, strict=True):
            without = set() if with_held else set(json.loads(held))
            yield from (job for job in json.loads(page) if job not in without)

    @property
    def first(self) -> list[str]:
        """A few of the ids, the oldest."""
        return list(islice(self.ids(with_held=True), _SAMPLE))


async def select(queue: Queue, asked: Asked, former: ActionRecord | None) -> tuple[str, Selection]:
    """Return the server's identity and the selection, its times fixed by the server's clock.

    If there is a `former` record, its times hold.
    """
    now = await connection.server_ms(queue.session)
    until = round(now - asked.older_than * _HOUR_MS)
    since = round(now - asked.within * _HOUR_MS) if asked.within else 0
    times = former.terms if former else {"until_ms": until, "since_ms": since}
    selection = Selection(asked.state, name=asked.name, reason=asked.reason, **times)
    return await connection.identity(queue.session), selection


def scan(queue: Queue, selection: Selection) -> Chosen:
    """Return the jobs that `selection` chooses. Redis reads each once, a page at a time."""
    chosen, pace = Chosen(), BatchPace(_PAGE)
    keys = [queue[selection.state], queue["repeat"]]
    first, offset = str(selection.since_ms), 0
    while True:
        size = pace.start()
        arguments = [queue[""], first, selection.until_ms, offset, size]
        arguments += [selection.name, selection.reason]
        read, last, ties, count, ids, held, held_ids, scheduled, running = queue.run(
            scripts.call(queue.client, scripts.PAGE, keys, arguments)
        )
        pace.end()
        chosen.read += read
        chosen.running += running
        chosen.scheduled += scheduled
        if count:
            chosen.count += count
            chosen.held += held
            chosen.pages.append(ids)
            chosen.held_pages.append(held_ids if held else "[]")
        if read < size:
            return chosen
        # Jobs that ended in the same millisecond may be on both sides of the page's edge.
        offset = ties + (offset if last == first else 0)
        first = last


async def count_selected(queue: Queue, selection: Selection) -> int:
    """Return how many jobs ended in the selection's time, whatever else it asks for."""
    key = queue[selection.state]
    return int(await queue.client.zcount(key, selection.since_ms, selection.until_ms))


async def rows(queue: Queue, ids: list[str]) -> list[Row]:
    """Return one row for each of `ids`: the facts that an engineer asks for."""
    # The 4th is that of BullMQ 4.
    fields = ["name", "finishedOn", "atm", "attemptsMade", "failedReason"]
    found = await read_fields(queue, ids, fields, most=_SHOWN_BYTES)
    return [
        {
            "job": job,
            "name": first_line(name or ""),
            "ended": utc(whole(ended) / 1000) if whole(ended) else None,
            "attempts": whole(attempts or attempts_4),
            "reason": first_line(reason or ""),
        }
        for job, (name, ended, attempts, attempts_4, reason) in zip(ids, found, strict=True)
    ]


async def weight(queue: Queue, ids: list[str], jobs: int) -> int | None:
    """Return the memory of `jobs` jobs in bytes, extrapolated from a few; None if unknown."""
    if not ids:
        return None
    async with queue.client.pipeline(transaction=False) as pipe:
        for job in ids[:_WEIGHED]:
            pipe.memory_usage(queue[job])
        try:
            found = [size for size in await pipe.execute() if size]
        except redis.exceptions.ResponseError:
            return None  # a server or a login without MEMORY
    return round(jobs * sum(found) / len(found)) if found else None


def failed_jobs(target: Target, queue: str, limit: int = 10) -> list[Row]:
    """The newest failed jobs"""

    async def newest(session: Session) -> list[Row]:
        known = await connection.known(session, queue)
        ids = await session.client.zrevrange(known["failed"], 0, limit - 1)
        return await rows(known, list(ids))

    with connection.reading(target) as session:
        return session.run(newest(session))

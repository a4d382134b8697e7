"""Who works on a queue, as far as Redis tells: by the names of connections, else by held locks."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.exceptions

from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Session
from opsnb.systems.queues.values import whole

_LOOKED_AT = 100  # active jobs whose locks are looked at
_WAITS = ("bzpopmin", "brpoplpush", "blmove")  # what a worker without work waits in
_OURS = re.compile(r".+:(?:[A-Za-z0-9+/]+={0,2}|[^:]+)(?::w:.*|:qe)?")


@dataclass(frozen=True)
class Clients:
    """What CLIENT LIST says, or why it says nothing."""

    names: list[str] = field(default_factory=list)
    """The name of each connection that has one."""
    ages_s: list[int] = field(default_factory=list)
    """How long each of those is connected."""
    nameless: int = 0
    """How many wait as a worker does and have no name to tell of which queue."""
    why: str = ""
    """Why workers are not known; empty when they are."""

    def of(self, queue: Any) -> list[str]:
        """Return the name of each worker of `queue` that is connected, empty for one without."""
        return [name for name, _ in self._of(queue)]

    def longest_s(self, queue: Any) -> int | None:
        """Return for how long the worker of `queue` is connected that is so longest, if any is."""
        return max((age for _, age in self._of(queue)), default=None)

    def _of(self, queue: Any) -> Iterator[tuple[str, int]]:
        # Node's client names its connection after the queue in base64, Python's in plain.
        encoded = base64.b64encode(queue.name.encode()).decode()
        for ours in (f"{queue.prefix}:{encoded}", f"{queue.prefix}:{queue.name}"):
            for name, age in zip(self.names, self.ages_s, strict=True):
                if name == ours or name.startswith(f"{ours}:w:"):
                    yield name[len(ours) + len(":w:") :], age


async def clients(session: Session) -> Clients:
    """Return who is connected; that CLIENT LIST is refused stops nothing else."""
    try:
        told = await session.client.client_list()
    except redis.exceptions.ResponseError as error:
        return Clients(why=f"the workers: Redis {_refusal(session, error)}")
    if await connection.is_replica(session):
        return Clients(why="the workers: this Redis is a replica, and they work on its primary")
    # A queue of the same name in another database, of a test system for one, has its own workers.
    ours = str(session.client.connection_pool.connection_kwargs.get("db") or 0)
    here = [client for client in told if client.get("db", ours) == ours]
    named = [client for client in here if client.get("name")]
    nameless = sum(
        client.get("cmd") in _WAITS and not _OURS.fullmatch(client.get("name", ""))
        for client in here
    )
    ages = [whole(client.get("age")) for client in named]
    return Clients([client["name"] for client in named], ages, nameless)


def _refusal(session: Session, error: Exception) -> str:
    if "unknown" in str(error).lower():
        return "has no command CLIENT LIST"
    return session.refusal(error).rstrip(".")


async def number(session: Session, queue: Any, known: Clients) -> int | None:
    """Return how many workers of `queue` are connected; None when that is not known.

    None is connected only where nothing hints at one: no active job is locked, and no connection
    waits for jobs without a name.
    """
    if found := known.of(queue):
        return len(found)
    if known.why or known.nameless or await held_locks(session, queue):
        return None
    return 0


async def held_locks(session: Session, queue: Any) -> int:
    """Return how many of the newest active jobs a worker holds the lock of."""
    try:
        ids = await session.client.lrange(queue.keys["active"], 0, _LOOKED_AT - 1)
        async with session.client.pipeline(transaction=False) as pipe:
            for job in ids:
                pipe.exists(f"{queue.toKey(job)}:lock")
            return sum(await pipe.execute()) if ids else 0
    except redis.exceptions.ResponseError:
        return 0


def in_words(row: Row) -> str:
    """Return `3 workers`, or that they are not known, of a queue's row of counts."""
    workers = row["workers"]
    if workers is None:
        return "an unknown number of workers"
    return f"{workers} worker{'' if workers == 1 else 's'}"


def shown(row: Row) -> Row:
    """Return a queue's row of counts for a person: workers that are not known are no blank."""
    return {**row, "workers": "unknown" if row["workers"] is None else row["workers"]}


def why_unknown(known: Clients, queues: Sequence[str]) -> str:
    """Return why the number of workers of some queues is not known, for a sentence."""
    if known.why:
        return known.why
    which = f"{len(queues)} queues" if len(queues) > 3 else ", ".join(queues)
    return f"the workers of {which}: those that are connected have no name"

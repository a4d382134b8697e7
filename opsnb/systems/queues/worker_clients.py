"""The workers of a queue, by the names of their connections, else by the locks that they hold."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import redis.exceptions

from opsnb.model import Row
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Queue, Session
from opsnb.systems.queues.values import whole
from opsnb.view.formats import counted

_MOST_LOCKS = 100  # active jobs whose locks are read
_WAITS = ("bzpopmin", "brpoplpush", "blmove")  # the commands in which an idle worker waits
_OURS = re.compile(r".+:(?:[A-Za-z0-9+/]+={0,2}|[^:]+)(?::w:.*|:qe)?")


@dataclass(frozen=True)
class Clients:
    """What CLIENT LIST shows, or why it shows nothing."""

    names: list[str] = field(default_factory=list)
    """The name of each connection that has one."""
    ages_s: list[int] = field(default_factory=list)
    """How long each of those has been connected."""
    nameless: int = 0
    """How many wait like a worker and have no name that shows their queue."""
    why: str = ""
    """Why workers are not known; empty when they are."""

    def of(self, queue: Queue) -> list[str]:
        """Return the name of each connected worker of `queue`, empty for one without."""
        return [name for name, _ in self._of(queue)]

    def longest_s(self, queue: Queue) -> int | None:
        """Return the age of the oldest connection of a worker of `queue`, if there is one."""
        return max((age for _, age in self._of(queue)), default=None)

    def _of(self, queue: Queue) -> Iterator[tuple[str, int]]:
        # Node's client names its connection after the queue in base64, Python's in plain.
        encoded = base64.b64encode(queue.name.encode()).decode()
        for ours in (
            f"{queue.session.settings.prefix}:{encoded}",
            f"{queue.session.settings.prefix}:{queue.name}",
        ):
            for name, age in zip(self.names, self.ages_s, strict=True):
                if name == ours or name.startswith(f"{ours}:w:"):
                    yield name[len(ours) + len(":w:") :], age


async def clients(session: Session) -> Clients:
    """Return the connected clients; a refusal of CLIENT LIST stops nothing else."""
    try:
        listed = await session.client.client_list()
    except redis.exceptions.ResponseError as error:
        return Clients(why=f"the workers: Redis {_refusal(session, error)}")
    if await connection.is_replica(session):
        return Clients(why="the workers: this Redis is a replica, and they work on its primary")
    # A queue of the same name in another database, such as a test system's, has its own workers.
    ours = str(session.client.connection_pool.connection_kwargs.get("db") or 0)
    here = [client for client in listed if client.get("db", ours) == ours]
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


async def number(queue: Queue, known: Clients) -> int | None:
    """Return how many workers of `queue` are connected; None when that is not known.

    It is 0 only if nothing hints at a worker: no active job is locked, and no connection without a
    name waits for jobs.
    """
    if found := known.of(queue):
        return len(found)
    if known.why or known.nameless or await held_locks(queue):
        return None
    return 0


async def held_locks(queue: Queue) -> int:
    """Return how many of the newest active jobs are locked by a worker."""
    try:
        ids = await queue.client.lrange(queue["active"], 0, _MOST_LOCKS - 1)
        async with queue.client.pipeline(transaction=False) as pipe:
            for job in ids:
                pipe.exists(f"{queue[job]}:lock")
            return sum(await pipe.execute()) if ids else 0
    except redis.exceptions.ResponseError:
        return 0


def in_words(row: Row) -> str:
    """Return `3 workers` from a queue's row of counts, or that they are not known."""
    workers = row["workers"]
    if workers is None:
        return "an unknown number of workers"
    return counted(workers, "worker")


def shown(row: Row) -> Row:
    """Return a queue's row of counts to show: it says so when the workers are not known."""
    return {**row, "workers": "unknown" if row["workers"] is None else row["workers"]}


def why_unknown(known: Clients, queues: Sequence[str]) -> str:
    """Return why the number of workers of some queues is not known, for a sentence."""
    if known.why:
        return known.why
    which = f"{len(queues)} queues" if len(queues) > 3 else ", ".join(queues)
    return f"the workers of {which}: the connected ones have no name"

"""BullMQ queues, through its official Python client on the target's Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import bullmq
import redis.asyncio

from opsnb.check import check
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row
from opsnb.systems import cache
from opsnb.target import Target

STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "prioritized",
    "waiting-children",
    "paused",
)
"""BullMQ's states of a job. Jobs in `paused` wait in a paused queue."""

_MOST_QUEUES = 200


@check(needs=(cache.SYSTEM,))
def depth(target: Target) -> Finding:
    """Queue length"""
    rows = counts(target)
    threshold = target.threshold("queue_waiting")
    longest = max(rows, key=lambda row: int(row["waiting"]))
    others = sum(1 for row in rows if int(row["waiting"]) > (threshold.warn or 0))
    message = f"{longest['queue']} has {longest['waiting']} waiting jobs"
    if not longest["waiting"]:
        message = f"No job waits in any of {len(rows)} queues"
    elif not longest["workers"]:
        message += " and no worker"
    elif others > 1:
        message += f"; {others} queues are too long"
    return Finding.measured(longest["waiting"], threshold, message + ".", rows=rows)


@check(needs=(cache.SYSTEM,))
def failures(target: Target) -> Finding:
    """Failed jobs"""
    rows = [
        {
            "queue": row["queue"],
            "failed": row["failed"],
            "total": row["total"],
            "failed_percent": round(100 * row["failed"] / row["total"], 2) if row["total"] else 0.0,
        }
        for row in counts(target)
    ]
    high = max(rows, key=lambda row: float(row["failed_percent"]))
    message = f"{high['queue']}: {high['failed']} of {high['total']} jobs have failed."
    if not any(row["failed"] for row in rows):
        message = "No failed job in any queue."
    threshold = target.threshold("queue_failed_percent")
    return Finding.measured(high["failed_percent"], threshold, message, rows=rows)


def counts(target: Target) -> list[Row]:
    """Return one row a queue: jobs by state, total, whether it is paused, and its workers.

    `waiting` is what a worker could take once the queue runs: prioritized jobs and those of a
    paused queue are in it.
    """

    async def read(client: redis.asyncio.Redis) -> list[Row]:
        names = target.queues or await _discover(client, target)
        queues = [
            bullmq.Queue(name, {"connection": client, "prefix": target.queue_prefix})
            for name in names
        ]
        return [await _count(queue) for queue in queues]

    return _with_redis(target, read)


async def _count(queue: Any) -> Row:
    jobs = await queue.getJobCounts(*STATES)
    return {
        "queue": queue.name,
        "waiting": jobs["waiting"] + jobs["prioritized"] + jobs["paused"],
        "active": jobs["active"],
        "delayed": jobs["delayed"],
        "failed": jobs["failed"],
        "completed": jobs["completed"],
        "total": sum(jobs.values()),
        "paused": bool(await queue.isPaused()),
        "workers": await queue.get_workers_count(),
    }


async def _discover(client: redis.asyncio.Redis, target: Target) -> list[str]:
    """Return the names of the queues that have a `meta` key in Redis, by a bounded scan."""
    head, tail = f"{target.queue_prefix}:", ":meta"
    names: set[str] = set()
    async for key in client.scan_iter(match=f"{head}*{tail}", count=1000, _type="hash"):
        names.add(key[len(head) : -len(tail)])
        if len(names) >= _MOST_QUEUES:
            break
    if not names:
        raise BadAnswer(
            cache.SYSTEM,
            f"There is no BullMQ queue under the prefix '{target.queue_prefix}'; "
            f"set queues or queue_prefix of target {target.name} in opsnb.toml.",
        )
    return sorted(names)


def _with_redis(
    target: Target, read: Callable[[redis.asyncio.Redis], Awaitable[list[Row]]]
) -> list[Row]:
    """Return what `read` returns. It gets its own event loop: the caller's may be Jupyter's."""

    async def run() -> list[Row]:
        async with redis.asyncio.Redis.from_url(
            target.redis_url,
            socket_timeout=target.time_limit_s,
            socket_connect_timeout=target.time_limit_s,
            client_name="opsnb",
            decode_responses=True,
            retry=None,
        ) as client:
            return await read(client)

    with cache.errors(target):
        return asyncio.run(run())

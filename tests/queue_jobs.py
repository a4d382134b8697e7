"""Jobs for the tests of queues: written in BullMQ's layout, or made by its Node client."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from opsnb.config.target import Target
from opsnb.demo import node
from opsnb.systems.cache.settings import Cache
from opsnb.systems.queues.settings import Queues

META = {"opts.maxLenEvents": "10000", "version": "bullmq:6.7.0"}
"""What BullMQ notes of a queue."""

_PRELUDE = """
const { Queue, Worker, FlowProducer } = require("bullmq");
const { Redis } = require("ioredis");
const { url, prefix, given } = JSON.parse(process.argv[1]);
const connection = new Redis(url, { maxRetriesPerRequest: null });
const options = { connection, prefix };
const queue = (name) => new Queue(name, options);
(async () => {
  const result = await (async () => { BODY })();
  process.stdout.write(JSON.stringify(result ?? null), () => process.exit(0));
})().catch((error) => { console.error(error); process.exit(1); });
"""

WORK_OFF = """
const worker = new Worker(given.queue, async (job) => ({ done: job.id }), options);
const finished = new Promise((resolve) => {
  const done = [];
  worker.on("completed", (job) => {
    done.push(job.id);
    if (done.length === given.jobs) resolve(done);
  });
});
return await finished;
"""
"""Work off `jobs` jobs of `queue`, and return their ids."""


def in_node(target: Target, body: str, **given: Any) -> Any:
    """Return what `body` (JavaScript) returns, with the app's own BullMQ at hand."""
    app = node.install(lambda _: None)
    about = {"url": Cache.of(target).url, "prefix": Queues.of(target).prefix, "given": given}
    done = subprocess.run(
        [app.node, "-e", _PRELUDE.replace("BODY", body), json.dumps(about)],
        cwd=app.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def connected(target: Target) -> Iterator[Any]:
    with redis.Redis.from_url(Cache.of(target).url, decode_responses=True) as client:
        yield client


def key(target: Target, queue: str, part: str) -> str:
    return f"{Queues.of(target).prefix}:{queue}:{part}"


def write(  # noqa: PLR0913
    target: Target,
    queue: str,
    count: int,
    *,
    state: str = "failed",
    name: str = "work",
    reason: str = "boom",
    age_s: float = 48 * 3600,
    priority: int = 0,
    first: int = 1,
) -> list[str]:
    """Write `count` finished jobs, each of which ended a millisecond after the one before."""
    ended = round((time.time() - age_s) * 1000)
    ids = [str(number) for number in range(first, first + count)]
    with connected(target) as client:
        pipe = client.pipeline(transaction=False)
        pipe.hset(key(target, queue, "meta"), mapping=META)
        pipe.set(key(target, queue, "id"), first + count)
        for number, job in enumerate(ids):
            pipe.hset(
                key(target, queue, job),
                mapping={
                    "name": name,
                    "data": "{}",
                    "opts": "{}",
                    "priority": priority,
                    "delay": 0,
                    "ats": 1,
                    "atm": 1,
                    "timestamp": ended + number - 500,
                    "processedOn": ended + number - 200,
                    "finishedOn": ended + number,
                    **({"failedReason": reason} if state == "failed" else {"returnvalue": "1"}),
                },
            )
            pipe.zadd(key(target, queue, state), {job: ended + number})
        pipe.execute()
    return ids


def write_active(  # noqa: PLR0913
    target: Target, queue: str, job: str, *, age_s: float, lock_s: float = 0, worker: str = ""
) -> None:
    """Write a job that a worker took `age_s` seconds ago, locked for another `lock_s` seconds."""
    taken = round((time.time() - age_s) * 1000)
    fields = {"name": "long", "data": "{}", "opts": "{}", "timestamp": taken, "ats": 1}
    with connected(target) as client:
        client.hset(key(target, queue, "meta"), mapping=META)
        client.hset(key(target, queue, job), mapping={**fields, "processedOn": taken})
        if worker:
            client.hset(key(target, queue, job), "pb", worker)
        if job not in client.lrange(key(target, queue, "active"), 0, -1):
            client.lpush(key(target, queue, "active"), job)
        if lock_s:
            client.set(key(target, queue, f"{job}:lock"), "token", px=round(lock_s * 1000))


def finish(target: Target, queue: str, job: str) -> None:
    """Let a job that was written as active be gone."""
    with connected(target) as client:
        client.lrem(key(target, queue, "active"), 0, job)
        client.delete(key(target, queue, job), key(target, queue, f"{job}:lock"))


def ids_in(target: Target, queue: str, part: str) -> list[str]:
    """Return the ids of a state, in its order."""
    with connected(target) as client:
        where = key(target, queue, part)
        if client.type(where) == "list":
            return list(client.lrange(where, 0, -1))
        return list(client.zrange(where, 0, -1))


def forget(target: Target, *queues: str) -> None:
    """Remove every key of `queues`."""
    with connected(target) as client:
        for queue in queues:
            found = list(client.scan_iter(match=key(target, queue, "*"), count=1000))
            for start in range(0, len(found), 1000):
                client.unlink(*found[start : start + 1000])

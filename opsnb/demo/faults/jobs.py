"""Faults of the jobs: a batch that is heavy, and one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bullmq import Job, Queue

from opsnb.demo import processes, service
from opsnb.demo.faults.fault import SETTLE_LIMIT_S, Fault
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError

AI_ANALYSIS = "ai-analysis"

BACKLOG_JOBS = 600
FAILING_JOBS = 60

# What the service writes, by which its jobs are known.
JOB_ERROR = "model answer is not valid JSON"

# Jobs that a fault added are told from the users' own by their names.
FAULT_JOB = "drill"


def _fill_queue(stack: Parts) -> None:
    async def fill(queue: Queue) -> None:
        waiting = await queue.getJobCountByTypes("waiting")
        await _add_jobs(queue, BACKLOG_JOBS - waiting)

    _with_queue(stack, fill)


def _empty_queue(stack: Parts) -> None:
    async def empty(queue: Queue) -> None:
        # The active ones end by themselves: the worker sees that the upstream is well again.
        while jobs := [j for j in await queue.getJobs(["waiting", "active"]) if _is_ours(j)]:
            await asyncio.gather(*(_remove(job) for job in jobs))
            await asyncio.sleep(processes.PAUSE_S)

    _with_queue(stack, empty)


def _fail_jobs(stack: Parts) -> None:
    async def fail(queue: Queue) -> None:
        missing = FAILING_JOBS - len(await _failed_by_us(queue))
        if missing > 0:
            await _add_jobs(queue, missing)
        if not service.running(stack.home, service.WORKER):
            return
        for _ in range(int(SETTLE_LIMIT_S / 0.1)):
            if len(await _failed_by_us(queue)) >= FAILING_JOBS:
                return
            await asyncio.sleep(0.1)
        raise DemoError("The fault is set, but no jobs fail; see: opsnb demo status")

    _with_queue(stack, fail)


def _forget_failed_jobs(stack: Parts) -> None:
    async def forget(queue: Queue) -> None:
        # Those that were begun before the fault was cleared still end as failed.
        while True:
            jobs = await _failed_by_us(queue)
            jobs += [j for j in await queue.getJobs(["waiting", "active"]) if _is_ours(j)]
            if not jobs:
                return
            await asyncio.gather(*(_remove(job) for job in jobs))
            await asyncio.sleep(0.2)

    _with_queue(stack, forget)


async def _add_jobs(queue: Queue, count: int) -> None:
    options = {"removeOnComplete": True}
    jobs = [{"name": FAULT_JOB, "data": {"scene_id": n + 1}, "opts": options} for n in range(count)]
    if jobs:
        await queue.addBulk(jobs)


async def _failed_by_us(queue: Queue) -> list[Job]:
    return [job for job in await queue.getFailed(0, -1) if job.failedReason == JOB_ERROR]


def _is_ours(job: Job | None) -> bool:
    return job is not None and job.name == FAULT_JOB


async def _remove(job: Job) -> None:
    try:
        await job.remove()
    except Exception as error:
        # A job that a worker holds is locked; it ends soon and is met on the next round.
        if "locked" not in str(error):
            raise


def _with_queue(stack: Parts, work: Callable[[Queue], object]) -> None:
    async def session() -> None:
        queue = Queue(AI_ANALYSIS, {"connection": stack.settings.redis_url})
        try:
            await work(queue)  # type: ignore[misc]
        finally:
            await queue.close()

    asyncio.run(session())


FAULTS = (
    Fault(
        "queue-backlog",
        f"A batch of {BACKLOG_JOBS} heavy jobs is added to ai-analysis, 3 seconds each.",
        "queues.depth",
        None,
        frozenset({"valkey"}),
        _fill_queue,
        _empty_queue,
    ),
    Fault(
        "failing-jobs",
        f"The upstream answers {FAILING_JOBS} jobs of ai-analysis with what cannot be read.",
        "queues.failures",
        None,
        frozenset({"valkey"}),
        _fail_jobs,
        _forget_failed_jobs,
    ),
)

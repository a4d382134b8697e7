"""Faults of the jobs: slow ones, failing ones, one that hangs, and a paused queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bullmq import Job, Queue

from opsnb.demo import processes, service
from opsnb.demo.faults.fault import SETTLE_LIMIT_S, Fault, see
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError

AI_ANALYSIS, EXPORTS = "ai-analysis", "exports"

BACKLOG_JOBS = 600
FAILING_JOBS = 60
WAITING_JOBS = 150
"""More than the handbook's limit for a queue."""
KEPT_JOBS = 20
HANGS_S = 22.0
"""How long a job has to run, where others take milliseconds, before it counts as hanging."""

T = TypeVar("T")

# What the service writes, by which its jobs are known.
JOB_ERROR = "model answer is not valid JSON"

# The names of the jobs distinguish those of a fault from the users'.
FAULT_JOB, BATCH_JOB = "drill", "drill-batch"


def _fill_queue(stack: Parts) -> None:
    async def fill(queue: Queue) -> None:
        waiting = await queue.getJobCountByTypes("waiting")
        await _add_jobs(queue, BACKLOG_JOBS - waiting)

    _with_queue(stack, AI_ANALYSIS, fill)


def _empty_queue(stack: Parts, name: str = AI_ANALYSIS) -> None:
    _with_queue(stack, name, _forget_unfinished)


async def _forget_unfinished(queue: Queue) -> None:
    # The active ones end by themselves: the worker sees that the upstream is healthy again.
    while jobs := await _unfinished(queue):
        await asyncio.gather(*(_remove(job) for job in jobs))
        await asyncio.sleep(processes.PAUSE_S)


async def _unfinished(queue: Queue) -> list[Job]:
    """Return the jobs of this fault that wait, also in a paused queue, or are active."""
    return [j for j in await queue.getJobs(["waiting", "paused", "active"]) if _is_ours(j)]


def _fail_jobs(stack: Parts) -> None:
    async def fail(queue: Queue) -> None:
        missing = FAILING_JOBS - len(await _failed_by_us(queue))
        if missing > 0:
            await _add_jobs(queue, missing)
        if not service.running(stack.home, service.WORKER) or await queue.isPaused():
            return  # they fail as soon as somebody takes them
        for _ in range(int(SETTLE_LIMIT_S / 0.1)):
            if len(await _failed_by_us(queue)) >= FAILING_JOBS:
                return
            await asyncio.sleep(0.1)
        raise DemoError("The fault is active, but no jobs fail; see: opsnb demo status")

    _with_queue(stack, AI_ANALYSIS, fail)


def _forget_failed_jobs(stack: Parts) -> None:
    async def forget(queue: Queue) -> None:
        # Those that were begun before the fault was cleared still end as failed.
        while True:
            jobs = await _failed_by_us(queue) + await _unfinished(queue)
            if not jobs:
                return
            await asyncio.gather(*(_remove(job) for job in jobs))
            await asyncio.sleep(0.2)

    _with_queue(stack, AI_ANALYSIS, forget)


def _hang_job(stack: Parts) -> None:
    async def hang(queue: Queue) -> None:
        if await _unfinished(queue):
            return
        # Completed jobs show how long an export usually takes.
        await _add_jobs(queue, KEPT_JOBS, BATCH_JOB, kept=True)
        while await _unfinished(queue):
            await asyncio.sleep(processes.PAUSE_S)
        await _add_jobs(queue, 1)
        await _add_jobs(queue, WAITING_JOBS, BATCH_JOB)

    def hangs() -> bool:
        async def ages(queue: Queue) -> list[float]:
            jobs = [job for job in await queue.getJobs(["active"]) if job.name == FAULT_JOB]
            return [time.time() - job.processedOn / 1000 for job in jobs if job.processedOn]

        return any(age > HANGS_S for age in _with_queue(stack, EXPORTS, ages))

    _with_queue(stack, EXPORTS, hang)
    see(hangs, "no job hangs")


def _pause_queue(stack: Parts) -> None:
    async def pause(queue: Queue) -> None:
        await queue.pause()
        await _add_jobs(queue, WAITING_JOBS - len(await _unfinished(queue)))

    _with_queue(stack, AI_ANALYSIS, pause)


def _resume_queue(stack: Parts) -> None:
    async def resume(queue: Queue) -> None:
        await queue.resume()
        await _forget_unfinished(queue)

    _with_queue(stack, AI_ANALYSIS, resume)


async def _add_jobs(queue: Queue, count: int, name: str = FAULT_JOB, *, kept: bool = False) -> None:
    options = {"removeOnComplete": not kept}
    of = "project_id" if queue.name == EXPORTS else "scene_id"
    jobs = [{"name": name, "data": {of: n % 50 + 1}, "opts": options} for n in range(count)]
    if jobs:
        await queue.addBulk(jobs)


async def _failed_by_us(queue: Queue) -> list[Job]:
    return [job for job in await queue.getFailed(0, -1) if job.failedReason == JOB_ERROR]


def _is_ours(job: Job | None) -> bool:
    return job is not None and job.name in (FAULT_JOB, BATCH_JOB)


async def _remove(job: Job) -> None:
    try:
        await job.remove()
    except Exception as error:
        # A job that a worker holds is locked; it ends soon and is met on the next round.
        if "locked" not in str(error):
            raise


def _with_queue(stack: Parts, name: str, work: Callable[[Queue], Awaitable[T]]) -> T:
    async def session() -> T:
        queue = Queue(name, {"connection": stack.settings.redis_url})
        try:
            return await work(queue)
        finally:
            await queue.close()

    return asyncio.run(session())


FAULTS = (
    Fault(
        name="queue-backlog",
        description=f"A batch of {BACKLOG_JOBS} slow jobs was added to "
        "ai-analysis, 2 seconds each.",
        symptom="Analyses that usually take seconds arrive many minutes late.",
        runbook="troubleshooting/high_queue_length",
        cause="backlog.slow_jobs",
        parameters={"queue": "ai-analysis"},
        needs=frozenset({"valkey"}),
        break_it=_fill_queue,
        fix_it=_empty_queue,
    ),
    Fault(
        name="failing-jobs",
        description=f"The upstream sends invalid data to {FAILING_JOBS} jobs of ai-analysis.",
        symptom="Users report that their analyses fail.",
        runbook="troubleshooting/failed_jobs",
        cause="failures.defect",
        parameters={"queue": "ai-analysis"},
        needs=frozenset({"valkey"}),
        break_it=_fail_jobs,
        fix_it=_forget_failed_jobs,
    ),
    Fault(
        name="stuck-job",
        description="A job of exports waits for a response that never arrives; "
        f"{WAITING_JOBS} more jobs wait.",
        symptom="No exports have arrived for a while; everything else works.",
        runbook="troubleshooting/high_queue_length",
        cause="backlog.hung",
        parameters={"queue": "exports"},
        needs=frozenset({"valkey", service.WORKER}),
        break_it=_hang_job,
        fix_it=lambda stack: _empty_queue(stack, EXPORTS),
    ),
    Fault(
        name="queue-paused",
        description="Someone paused ai-analysis and forgot to resume it; "
        f"{WAITING_JOBS} jobs wait.",
        symptom="Analyses no longer finish, and nothing reports an error.",
        runbook="troubleshooting/high_queue_length",
        cause="backlog.paused",
        parameters={"queue": "ai-analysis"},
        needs=frozenset({"valkey"}),
        break_it=_pause_queue,
        fix_it=_resume_queue,
    ),
)

"""Faults of the demo stack: each really breaks something, and can be taken back.

A file in the stack's `faults/` folder says that a fault is active. It is written before anything
is broken, renamed before anything is mended and removed after that, so that an interrupted command
can be given again. Faults inside the service are switched by the very same file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set
from dataclasses import dataclass

import httpx
from bullmq import Job, Queue

from opsnb.demo import parts, processes, service
from opsnb.demo.home import Home, write_private
from opsnb.demo.parts import Parts
from opsnb.demo.postgres import Postgres
from opsnb.demo.valkey import Valkey
from opsnb.errors import DemoError, UsageError, did_you_mean

AI_ANALYSIS = "ai-analysis"

SETTLE_LIMIT_S = 30.0

BACKLOG_JOBS = 700
FAILING_JOBS = 60
LEAST_LOG_ERRORS = 60
SLOW_S = 1.2

# What the service writes, by which its lines and its jobs are known.
LOG_ERROR = "upstream model endpoint answered 502"
JOB_ERROR = "model answer is not valid JSON"

# Within this time the service has written the lines that it was about to write.
BURST_S = 0.3

# The suffix of the file of a fault that is being cleared.
CLEARING = ".clearing"

# Jobs that a fault added are told from the users' own by their names.
FAULT_JOB = "drill"


@dataclass(frozen=True)
class Fault:
    """Something that can be broken on purpose."""

    name: str
    description: str
    """What is really done, in one sentence."""
    finding: str
    """The finding that turns."""
    holds: str | None
    """The part that the fault takes away, if it does."""
    needs: frozenset[str]
    """The parts without which it cannot be injected."""
    break_it: Callable[[Parts], None]
    mend_it: Callable[[Parts], None]
    hangs: bool = False
    """The part stays there, and does not answer."""


def inject(name: str) -> None:
    """Break what the fault `name` breaks; one that is active already stays as it is.

    Returns when the effect is there to be seen. Raises UsageError when there is no such fault,
    and DemoError when the stack is not up, another fault holds what this one needs, or the effect
    does not come.
    """
    fault = _known(name)
    with Home.current().locked(_silent):
        stack = parts.current(_silent)
        _require(stack.home, fault, fault.needs)
        write_private(stack.home.faults / name, "")
        fault.break_it(stack)
        _see_held(stack, fault)


def clear(name: str) -> None:
    """Mend what the fault `name` broke; nothing happens when it is not active.

    Returns when the stack is as healthy as the other active faults let it be. Raises UsageError
    and DemoError as `inject` does.
    """
    fault = _known(name)
    with Home.current().locked(_silent):
        stack = parts.current(_silent)
        if name not in _active(stack.home):
            return
        # Without its store no job can be removed; all else can be mended at any time.
        _require(stack.home, fault, {stack.valkey.name})
        flag = stack.home.faults / name
        clearing = flag.with_suffix(CLEARING)
        if flag.exists():
            flag.rename(clearing)
        fault.mend_it(stack)
        clearing.unlink()
        parts.settle(stack, held(stack.home))


def active() -> list[str]:
    """Return the names of the faults that are active, none when the stack is not up."""
    return _active(Home.current())


def held(home: Home) -> set[str]:
    """Return the parts that active faults take away."""
    return {part for name in _active(home) if (part := FAULTS[name].holds)}


def hanging(home: Home) -> set[str]:
    """Return the parts that active faults let hang: their processes are to be there."""
    return {part for name in _active(home) if (part := FAULTS[name].holds) and FAULTS[name].hangs}


def hang_again(stack: Parts) -> None:
    """Let a part hang again that had died in a fault and was started."""
    for name in _active(stack.home):
        if FAULTS[name].hangs:
            FAULTS[name].break_it(stack)


def _silent(_: str) -> None:
    """Say nothing: a fault is quick."""


def _known(name: str) -> Fault:
    if name not in FAULTS:
        raise UsageError(f"There is no fault '{name}'." + did_you_mean(name, FAULTS))
    return FAULTS[name]


def _active(home: Home) -> list[str]:
    return [
        name
        for name in FAULTS
        if any((home.faults / f"{name}{suffix}").exists() for suffix in ("", CLEARING))
    ]


def _require(home: Home, fault: Fault, needed: Set[str]) -> None:
    for other in _active(home):
        if other != fault.name and FAULTS[other].holds in fault.needs & needed:
            raise DemoError(
                f"The fault '{fault.name}' needs {FAULTS[other].holds}, which the fault '{other}' "
                f"holds; clear that one first with: opsnb demo fault {other} --clear"
            )


def _see(effect: Callable[[], bool], what: str) -> None:
    if not processes.wait_until(effect, SETTLE_LIMIT_S):
        raise DemoError(f"The fault is set, but {what}; see: opsnb demo status")


def _see_held(stack: Parts, fault: Fault) -> None:
    """Wait until the API knows that a part is away which it depends on."""
    away = held(stack.home)
    dependency = {"valkey": "redis", "postgres": "postgres"}.get(fault.holds or "")
    if dependency is None or service.API in away:
        return

    def known() -> bool:
        health = service.health(stack.settings)
        return health is not None and health.get(dependency) == "down"

    _see(known, "the API does not notice")


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
        if service.WORKER in held(stack.home):
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


def _see_slow_api(stack: Parts) -> None:
    def slow() -> bool:
        try:
            answer = httpx.get(f"{stack.settings.api_url}/health", timeout=10, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.elapsed.total_seconds() >= SLOW_S

    _see(slow, "the API is not slow")


def _see_log_errors(stack: Parts) -> None:
    log = stack.service.log
    _see(lambda: log.read_text().count(LOG_ERROR) >= LEAST_LOG_ERRORS, "the log has no errors")


def _take_errors_out_of_log(stack: Parts) -> None:
    def clean() -> bool:
        with stack.service.log.open("r+", encoding="utf-8") as log:
            lines = log.readlines()
            kept = [line for line in lines if LOG_ERROR not in line]
            # Written in place: pm2 holds the file open, in append mode.
            log.seek(0)
            log.writelines(kept)
            log.truncate()
        return len(kept) == len(lines)

    # The service may be in the midst of a second's worth of lines.
    while not clean():
        time.sleep(BURST_S)


def _thaw(server: Postgres | Valkey) -> None:
    server.thaw()
    if not server.answers():
        server.start()


def _nothing(_: Parts) -> None:
    """Do nothing more: the fault's file is enough."""


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
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
        Fault(
            "worker-down",
            "pm2 stops the worker process.",
            "processes.up",
            service.WORKER,
            frozenset(),
            lambda stack: stack.service.halt(service.WORKER),
            lambda stack: stack.service.start([service.WORKER]),
        ),
        Fault(
            "api-down",
            "pm2 stops the API process.",
            "api.health",
            service.API,
            frozenset(),
            lambda stack: stack.service.halt(service.API),
            lambda stack: stack.service.start([service.API]),
        ),
        Fault(
            "api-slow",
            "The API waits 1.5 seconds before it handles each request.",
            "api.latency",
            None,
            frozenset({service.API}),
            _see_slow_api,
            _nothing,
        ),
        Fault(
            "redis-down",
            "Valkey is ended; its data stays on disk.",
            "cache.ping",
            "valkey",
            frozenset({"valkey"}),
            lambda stack: stack.valkey.stop(),
            lambda stack: stack.valkey.start(),
        ),
        Fault(
            "redis-hang",
            "Valkey is stopped with SIGSTOP: it takes connections and never answers.",
            "cache.ping",
            "valkey",
            frozenset({"valkey"}),
            lambda stack: stack.valkey.freeze(),
            lambda stack: _thaw(stack.valkey),
            hangs=True,
        ),
        Fault(
            "postgres-down",
            "PostgreSQL is shut down.",
            "database.ping",
            "postgres",
            frozenset({"postgres"}),
            lambda stack: stack.postgres.stop(),
            lambda stack: stack.postgres.start(),
        ),
        Fault(
            "postgres-hang",
            "Every PostgreSQL process is stopped with SIGSTOP: it takes connections and never "
            "answers.",
            "database.ping",
            "postgres",
            frozenset({"postgres"}),
            lambda stack: stack.postgres.freeze(),
            lambda stack: _thaw(stack.postgres),
            hangs=True,
        ),
        Fault(
            "log-errors",
            "The service writes 80 ERROR lines a second into its log.",
            "logs.errors",
            None,
            frozenset({service.API}),
            _see_log_errors,
            _take_errors_out_of_log,
        ),
    )
}

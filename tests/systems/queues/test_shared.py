"""A queue that a service and opsnb pause, resume, retry and clean at the same time loses no job."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.machine.waiting import attempts
from opsnb.systems import queues
from opsnb.systems.queues.settings import Queues
from tests.bullmq import VERSIONS, Service, ServiceFailed
from tests.systems import redis_server
from tests.systems.redis_server import Server

QUEUE = "shared"
STEPS = 100  # of opsnb; the service does at least as many meanwhile


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@dataclass
class Side:
    """What one side has done."""

    added: list[str] = field(default_factory=list)
    retried: int = 0
    cleaned: int = 0
    done: list[str] = field(default_factory=list)


def service_steps(
    service: Service, dice: random.Random, side: Side, is_over: threading.Event
) -> None:
    """Do random steps by the service's own client, and add jobs, until opsnb has done its steps."""

    def add() -> None:
        some: dict[str, Any] = {"data": {"ms": dice.randrange(4), "fail": dice.random() < 0.3}}
        if dice.random() < 0.2:
            some["priority"] = dice.randrange(1, 5)
        elif dice.random() < 0.2:
            some["delay"] = dice.randrange(1, 50)
        some["lifo"] = dice.random() < 0.1
        side.added += service.add(QUEUE, dice.randrange(1, 12), **some)

    def retry() -> None:
        failed = service.ids(QUEUE, "failed")
        for job in dice.sample(failed, min(3, len(failed))):
            with suppress(ServiceFailed):  # opsnb was quicker
                service.job(QUEUE, job, "retry", "failed")
                side.retried += 1

    def clean() -> None:
        side.cleaned += len(service.queue(QUEUE, "clean", 0, dice.randrange(1, 6), "failed"))

    steps: dict[str, Callable[[], Any]] = {
        "add": add,
        "pause": lambda: service.queue(QUEUE, "pause"),
        "resume": lambda: service.queue(QUEUE, "resume"),
        "retry": retry,
        "clean": clean,
    }
    while len(side.done) < STEPS or not is_over.is_set():
        (name,) = dice.choices(list(steps), weights=[4, 2, 3, 2, 1])
        steps[name]()
        side.done.append(name)
        is_over.wait(dice.uniform(0, 0.06))


def opsnb_steps(target: Target, dice: random.Random, side: Side) -> None:
    """Do random steps by opsnb."""

    def act(action: Action[Any], **chosen: Any) -> int:
        try:
            record, _ = Guard(target, True, "", lambda _: None).act(action, QUEUE, **chosen)
        except Refused:  # the service was quicker than the plan
            return 0
        return record.applied

    for name in dice.choices(["pause", "resume", "retry", "clean"], weights=[3, 4, 3, 1], k=STEPS):
        chosen = {"reason": "boom"} if dice.random() < 0.5 else {}
        if name == "pause":
            act(queues.pause)
        elif name == "resume":
            act(queues.resume)
        elif name == "retry":
            side.retried += act(queues.retry_failed, **chosen)
        else:
            side.cleaned += act(queues.clean_failed, older_than=0, **chosen)
        side.done.append(name)


def ended_runs(workers: Service) -> dict[str, dict[str, int]]:
    """Return the runs of each job when the workers know how each ended.

    They hear of it after Redis has it, and others may have removed the job by then.
    """
    for _ in attempts(60, 0.05):
        runs = workers.runs(QUEUE)
        ended = (run.get("completed", 0) + run.get("failed", 0) for run in runs.values())
        if sum(ended) == sum(run["began"] for run in runs.values()):
            break
    return runs


@pytest.mark.parametrize("version", VERSIONS)
def test_no_job_is_lost_and_none_runs_but_when_it_is_asked_for(
    server: Server, version: int
) -> None:
    seed = int(os.environ.get("OPSNB_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"To repeat it: OPSNB_TEST_SEED={seed}")  # noqa: T201 - shown when it fails
    target, ours, theirs = server.target(), Side(), Side()
    with (
        Service(version, Queues.of(target).url) as workers,
        Service(version, Queues.of(target).url) as service,
    ):
        theirs.added += service.add(QUEUE, 300, data={"ms": 1})
        workers.work(QUEUE, concurrency=4, name="first")
        workers.work(QUEUE, concurrency=2)
        is_over = threading.Event()
        given = (service, random.Random(seed), theirs, is_over)
        thread = threading.Thread(target=service_steps, args=given)
        thread.start()
        try:
            opsnb_steps(target, random.Random(seed + 1), ours)
        finally:
            is_over.set()
            thread.join()
        assert ours.retried + theirs.retried > 0
        assert ours.cleaned + theirs.cleaned > 0
        Guard(target, True, "", lambda _: None).act(queues.resume, QUEUE)
        assert not service.queue(QUEUE, "isPaused")
        service.until_idle(QUEUE)
        runs = ended_runs(workers)
        kept = service.ids(QUEUE, "completed", "failed")
    added, cleaned = theirs.added, ours.cleaned + theirs.cleaned
    assert len(added) == len(set(added))
    gone = set(added) - set(kept)
    assert set(kept) <= set(added)
    never_failed = {job: runs.get(job) for job in gone if not runs.get(job, {}).get("failed")}
    assert never_failed == {}, "only failed jobs are cleaned"
    assert len(gone) == cleaned
    assert set(runs) == set(added), "each job has run"
    began = sum(run["began"] for run in runs.values())
    assert began == len(added) + ours.retried + theirs.retried

"""What is planned is done, and nothing else; what moved meanwhile is left alone."""

from __future__ import annotations

import _thread
import asyncio
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import redis

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.errors import ParameterError, Refused, UsageError
from opsnb.model import ActionRecord, ActionState, Finding, RunResult, Status
from opsnb.systems import queues
from opsnb.systems.queues import connection
from opsnb.systems.queues.batches import BatchPace
from opsnb.systems.queues.settings import Queues
from tests import queue_jobs

QUEUE, PARENTS = "test-actions", "test-parents"


@pytest.fixture(params=["bull", "{bull}"])
def own(demo: Target, request: pytest.FixtureRequest) -> Iterator[Target]:
    """The demo target under a prefix, with queues of the test's own that no worker serves."""
    target = demo.changed(queues=(), queue_prefix=request.param)
    queue_jobs.forget(target, QUEUE, PARENTS)
    yield target
    queue_jobs.forget(target, QUEUE, PARENTS)


def act(
    target: Target,
    action: Action[Any],
    *args: Any,
    between: Callable[[], None] = lambda: None,
    apply: bool = True,
    **kwargs: Any,
) -> tuple[ActionRecord, list[Finding], list[ActionRecord]]:
    """Do `action`; `between` happens after it was planned and before its first batch."""
    journal: list[ActionRecord] = []

    def show(record: ActionRecord) -> None:
        journal.append(record)
        if record.state is ActionState.APPLYING and len(journal) == 2:
            between()

    record, found = Guard(target, apply, "", show).act(action, *args, **kwargs)
    return record, found, journal


def write(target: Target, count: int = 3, **about: Any) -> list[str]:
    return queue_jobs.write(target, QUEUE, count, **about)


def failed(target: Target) -> list[str]:
    return queue_jobs.ids_in(target, QUEUE, "failed")


def waiting(target: Target) -> list[str]:
    return queue_jobs.ids_in(target, QUEUE, "wait")


# pause and resume


def test_a_paused_queue_says_since_when_and_by_whom_until_it_is_resumed(own: Target) -> None:
    write(own)
    record, (effect,), _ = act(own, queues.pause, QUEUE)
    assert (record.planned, record.applied, record.verified) == (1, 1, True)
    assert effect.status is Status.OK
    assert queue_jobs.in_node(own, "return await queue(given.queue).isPaused()", queue=QUEUE)
    (row,) = queues.pauses(own).rows
    assert row["by"] not in ("", "someone without opsnb")
    assert str(row["since"]).startswith(time.strftime("%Y-", time.gmtime()))

    again, _, _ = act(own, queues.pause, QUEUE)
    assert (again.planned, again.verified) == (0, None)
    assert f"by {row['by']} already" in again.summary

    record, _, _ = act(own, queues.resume, QUEUE)
    assert record.verified
    assert f"paused since {row['since']} by {row['by']}" in record.summary
    meta = queue_jobs.key(own, QUEUE, "meta")
    with queue_jobs.connected(own) as client:
        assert set(client.hgetall(meta)) == {"opts.maxLenEvents", "version"}
    assert act(own, queues.resume, QUEUE)[0].planned == 0


def test_a_dry_run_of_resume_shows_the_pause_and_how_to_end_it(own: Target) -> None:
    write(own)
    act(own, queues.pause, QUEUE)
    (found,) = Measurement(own).run([queues.running.given(QUEUE)])
    assert found.status is Status.WARN
    (remedy,) = found.remedies
    assert (remedy.runbook, remedy.apply) == ("queues/resume", True)
    assert remedy.parameters == {"queue": QUEUE}
    act(own, queues.resume, QUEUE)
    assert queues.running(own, QUEUE).status is Status.OK


def test_an_earlier_pause_of_ours_is_not_taken_for_a_later_one_of_others(own: Target) -> None:
    write(own)
    act(own, queues.pause, QUEUE)
    with queue_jobs.connected(own) as client:  # as if it had been an hour ago
        mark = f"{round((time.time() - 3600) * 1000)} anna"
        client.hset(queue_jobs.key(own, QUEUE, "meta"), "opsnb:paused", mark)
    script = "const one = queue(given.queue); await one.resume(); await one.pause();"
    queue_jobs.in_node(own, script, queue=QUEUE)
    assert "by someone without opsnb" in queues.state(own, QUEUE).message


def test_by_the_api_a_queue_is_paused_and_resumed(demo: Target) -> None:
    record, _, _ = act(demo, queues.pause, "exports", via="api")
    assert record.verified
    assert record.summary.endswith("By the API.")
    assert queues.pauses(demo).rows[0]["by"] not in ("", "someone without opsnb")
    record, _, _ = act(demo, queues.resume, "exports", via="api")
    assert record.verified
    assert queues.pauses(demo).rows == []


def test_without_the_api_redis_is_used_and_the_plan_says_so(demo: Target) -> None:
    faults.inject("api-down")
    for action in (queues.pause, queues.resume):
        record, _, _ = act(demo, action, "exports", via="api")
        assert record.verified
        assert "cannot be reached" in record.warning
        assert record.warning.endswith("opsnb changes Redis instead.")
    record, _, _ = act(demo, queues.clean_failed, "exports", via="api")
    assert "opsnb changes Redis instead" in record.warning


def test_an_api_that_dies_after_the_plan_is_stood_in_for(demo: Target) -> None:
    record, (effect,), _ = act(
        demo, queues.pause, "exports", via="api", between=lambda: faults.inject("api-down")
    )
    assert record.verified
    assert "so opsnb changed Redis" in effect.message
    faults.clear("api-down")
    assert act(demo, queues.resume, "exports")[0].verified


@pytest.mark.parametrize(
    "action", [queues.pause, queues.resume, queues.clean_failed, queues.retry_failed]
)
def test_an_unknown_queue_is_refused_before_anything(demo: Target, action: Action[Any]) -> None:
    with pytest.raises(UsageError, match="Did you mean 'exports'"):
        act(demo, action, "export")


@pytest.mark.parametrize(
    "action",
    [
        queues.pause,
        queues.resume,
        queues.clean_failed,
        queues.retry_failed,
        queues.remove_stuck,
    ],
)
def test_no_work_without_a_permit(own: Target, action: Action[Any]) -> None:
    write(own)
    queue_jobs.write_active(own, QUEUE, "77", age_s=7200)
    if action is queues.resume:
        act(own, queues.pause, QUEUE)
    plan = action(own, QUEUE)
    assert plan.planned
    with pytest.raises(Refused):
        list(plan.work(None))  # type: ignore[arg-type]
    assert len(failed(own)) == 3


# clean


def test_only_what_is_old_enough_is_cleaned(own: Target) -> None:
    write(own, 2500)
    young = write(own, 2, age_s=3600, first=9001)
    record, _, _ = act(own, queues.clean_failed, QUEUE)
    assert (record.planned, record.applied, record.verified) == (2500, 2500, True)
    assert record.bytes
    assert record.bytes > 2500 * 50
    assert failed(own) == young
    with queue_jobs.connected(own) as client:
        assert not client.exists(queue_jobs.key(own, QUEUE, "1"))


def test_completed_jobs_are_cleaned_when_asked_for(own: Target) -> None:
    kept = write(own)
    queue_jobs.write(own, QUEUE, 4, state="completed", first=50)
    record, _, _ = act(own, queues.clean_failed, QUEUE, state="completed")
    assert (record.applied, record.verified) == (4, True)
    assert failed(own) == kept


def test_by_reason_and_name_only_these_are_cleaned(own: Target) -> None:
    kept = write(own, 1200)
    write(own, 300, reason="Error: quota (429) exceeded", first=5001)
    other = write(own, 3, reason="quota (429)", name="other", first=8001)
    record, _, _ = act(own, queues.clean_failed, QUEUE, reason="quota (429)", name="work")
    assert (record.planned, record.applied, record.verified) == (300, 300, True)
    assert set(failed(own)) == {*kept, *other}


def test_what_fails_after_the_plan_is_not_cleaned(own: Target) -> None:
    write(own)
    late: list[str] = []
    record, _, _ = act(
        own,
        queues.clean_failed,
        QUEUE,
        older_than=1e-6,
        between=lambda: late.extend(write(own, 2, age_s=-1, first=500)),
    )
    assert (record.applied, record.verified) == (3, True)
    assert failed(own) == late


def test_chosen_jobs_that_have_left_are_neither_cleaned_nor_counted(own: Target) -> None:
    first, *_ = write(own, reason="quota")
    script = "const job = await queue(given.queue).getJob(given.job); await job.retry();"
    record, (effect,), _ = act(
        own,
        queues.clean_failed,
        QUEUE,
        reason="quota",
        between=lambda: queue_jobs.in_node(own, script, queue=QUEUE, job=first),
    )
    assert (record.planned, record.applied, record.verified) == (3, 2, True)
    assert "Skipped, no longer in that state: 1 job." in effect.message
    assert waiting(own) == [first]
    with queue_jobs.connected(own) as client:
        assert client.exists(queue_jobs.key(own, QUEUE, first))


FAMILY = """
const made = await new FlowProducer(options).add({
  name: "whole", queueName: given.parents,
  children: [{ name: "part", queueName: given.queue, data: {} }],
});
const worker = new Worker(given.queue, async () => { throw new Error("boom"); }, options);
await new Promise((resolve) => worker.on("failed", resolve));
await worker.close();
return { parent: made.job.id, child: made.children[0].job.id };
"""


@pytest.mark.parametrize("parents", [QUEUE + "-same", PARENTS])
def test_a_child_that_a_parent_waits_for_is_not_cleaned(own: Target, parents: str) -> None:
    parents = QUEUE if parents.endswith("-same") else parents
    worked_at = {"queue": QUEUE, "parents": parents}
    write(own)
    family = queue_jobs.in_node(own, FAMILY, **worked_at)
    record, _, _ = act(own, queues.clean_failed, QUEUE, older_than=1e-7)
    assert (record.planned, record.applied, record.verified) == (3, 3, True)
    assert "1 more stay" in record.warning
    assert failed(own) == [family["child"]]
    assert queue_jobs.ids_in(own, parents, "waiting-children") == [family["parent"]]

    assert act(own, queues.retry_failed, QUEUE)[0].verified
    done = queue_jobs.in_node(own, queue_jobs.WORK_OFF, queue=QUEUE, jobs=1)
    assert done == [family["child"]]
    assert queue_jobs.ids_in(own, parents, "waiting-children") == []


def test_the_api_cleans_and_what_it_cannot_goes_to_redis(demo: Target) -> None:
    queue_jobs.write(demo, "exports", 5, first=900_001)
    record, _, _ = act(demo, queues.clean_failed, "exports", via="api")
    assert (record.planned, record.applied, record.verified) == (5, 5, True)
    assert "By the API" in record.summary
    queue_jobs.write(demo, "exports", 5, first=900_001, reason="quota")
    record, _, _ = act(demo, queues.clean_failed, "exports", reason="quota", via="api")
    assert (record.applied, record.verified) == (5, True)
    assert "cannot choose by name or reason; opsnb changes Redis instead" in record.warning


# retry


def test_all_failed_jobs_are_retried_and_worked_off_by_node(own: Target) -> None:
    ids = write(own, 30)
    record, _, _ = act(own, queues.retry_failed, QUEUE)
    assert (record.planned, record.applied, record.verified) == (30, 30, True)
    assert "No worker is connected" in record.warning
    done = queue_jobs.in_node(own, queue_jobs.WORK_OFF, queue=QUEUE, jobs=30)
    assert sorted(done) == sorted(ids)
    assert len(queue_jobs.ids_in(own, QUEUE, "completed")) == 30


def test_many_are_retried_in_batches_and_keep_their_priority(own: Target) -> None:
    plain = write(own, 2200)
    urgent = write(own, 30, priority=3, first=7001, age_s=47 * 3600)
    record, _, _ = act(own, queues.retry_failed, QUEUE)
    assert (record.applied, record.verified) == (2230, True)
    assert sorted(waiting(own)) == sorted(plain)
    assert queue_jobs.ids_in(own, QUEUE, "prioritized") == urgent


def test_by_reason_and_age_only_these_are_retried(own: Target) -> None:
    write(own, 5, reason="quota exceeded", age_s=90 * 3600)
    wanted = write(own, 250, reason="quota exceeded", first=100, age_s=10 * 3600)
    write(own, 5, first=900, age_s=10 * 3600)
    chosen: dict[str, Any] = {"reason": "quota", "within": 24, "older_than": 2}
    planned, _, _ = act(own, queues.retry_failed, QUEUE, apply=False, **chosen)
    assert planned.planned == 250
    assert len(failed(own)) == 260
    record, _, _ = act(own, queues.retry_failed, QUEUE, **chosen)
    assert (record.applied, record.verified) == (250, True)
    assert sorted(waiting(own)) == sorted(wanted)


def test_jobs_that_ended_in_the_same_millisecond_are_each_read_once(own: Target) -> None:
    write(own, 3300, reason="quota")
    with queue_jobs.connected(own) as client:
        same = {str(number): 1_700_000_000_000 for number in range(500, 3100)}
        client.zadd(queue_jobs.key(own, QUEUE, "failed"), same)
    selection = queues.Selection("failed", 2**53, reason="quota")
    with connection.reading(own) as session:
        chosen = queues.scan(session.queue(QUEUE), selection)
    ids = list(chosen.ids(with_held=True))
    assert (chosen.read, len(ids), len(set(ids))) == (3300, 3300, 3300)


def test_a_job_that_failed_again_after_the_plan_is_left_alone(own: Target) -> None:
    first, *_ = write(own, reason="quota")

    def fail_again() -> None:
        with queue_jobs.connected(own) as client:
            score = round(time.time() * 1000) + 5000
            client.zadd(queue_jobs.key(own, QUEUE, "failed"), {first: score})

    record, _, _ = act(own, queues.retry_failed, QUEUE, reason="quota", between=fail_again)
    assert (record.applied, record.verified) == (2, True)
    assert failed(own) == [first]


def test_a_retry_into_a_paused_queue_says_that_it_waits(own: Target) -> None:
    write(own)
    act(own, queues.pause, QUEUE)
    record, _, _ = act(own, queues.retry_failed, QUEUE)
    assert record.verified
    assert "is paused: the jobs wait until you resume it" in record.warning


def test_times_that_leave_nothing_are_refused(own: Target) -> None:
    write(own)
    with pytest.raises(ParameterError, match="set within to more than that"):
        act(own, queues.retry_failed, QUEUE, within=1, older_than=2)


# stuck


def test_only_jobs_that_nobody_works_on_are_removed(own: Target) -> None:
    queue_jobs.write_active(own, QUEUE, "expired", age_s=7200)
    queue_jobs.write_active(own, QUEUE, "young", age_s=60)
    # Its worker is in no list of clients: its name may be one that Redis refuses.
    queue_jobs.write_active(own, QUEUE, "locked", age_s=7200, lock_s=600, worker="host 3")
    assert queues.stuck(own, QUEUE).value == 1
    record, _, _ = act(own, queues.remove_stuck, QUEUE)
    assert (record.planned, record.applied, record.verified) == (1, 1, True)
    evidence = {row["job"]: row["evidence"] for row in record.sample}
    assert evidence == {"expired": "its lock has expired"}
    assert sorted(queue_jobs.ids_in(own, QUEUE, "active")) == ["locked", "young"]
    with queue_jobs.connected(own) as client:
        left = set(client.scan_iter(match=queue_jobs.key(own, QUEUE, "*")))
    assert not any("expired" in name for name in left)


@pytest.fixture
def running(demo: Target) -> Iterator[str]:
    """A job of ai-analysis that is active for long, and whose lock somebody renews."""
    queue_jobs.write_active(demo, "ai-analysis", "long", age_s=7200, lock_s=600)
    yield "long"
    with queue_jobs.connected(demo) as client:
        client.lrem(queue_jobs.key(demo, "ai-analysis", "active"), 0, "long")
        client.delete(*client.scan_iter(match=queue_jobs.key(demo, "ai-analysis", "long*")))


def test_a_running_job_is_refused(demo: Target, running: str) -> None:
    assert act(demo, queues.remove_stuck, "ai-analysis", 0.0001)[0].planned == 0
    with pytest.raises(Refused, match="a worker is running job"):
        act(demo, queues.remove_stuck, "ai-analysis", 0.0001, running)
    assert running in queue_jobs.ids_in(demo, "ai-analysis", "active")


def test_a_job_that_is_named_must_be_there_active_and_old_enough(own: Target) -> None:
    write(own)
    queue_jobs.write_active(own, QUEUE, "young", age_s=60)
    with pytest.raises(UsageError, match="no job 'nine'"):
        act(own, queues.remove_stuck, QUEUE, job="nine")
    with pytest.raises(UsageError, match="Job 1 of test-actions is failed, not active"):
        act(own, queues.remove_stuck, QUEUE, job="1")
    with pytest.raises(Refused, match=r"for only 6\d s"):
        act(own, queues.remove_stuck, QUEUE, job="young")
    record, _, _ = act(own, queues.remove_stuck, QUEUE, 0.5, "young")
    assert (record.applied, record.verified) == (1, True)


def test_a_stuck_job_that_a_worker_takes_after_the_plan_is_left_to_it(own: Target) -> None:
    queue_jobs.write_active(own, QUEUE, "one", age_s=7200)
    queue_jobs.write_active(own, QUEUE, "two", age_s=7200)

    def take() -> None:
        with queue_jobs.connected(own) as client:
            client.set(queue_jobs.key(own, QUEUE, "one:lock"), "another", px=60_000)

    record, (effect,), _ = act(own, queues.remove_stuck, QUEUE, between=take)
    assert (record.planned, record.applied) == (2, 1)
    assert "with a worker or no longer active: 1 job." in effect.message
    assert queue_jobs.ids_in(own, QUEUE, "active") == ["one"]


def test_a_parent_that_waits_for_a_stuck_child_is_told_and_starts(own: Target) -> None:
    script = """
    const made = await new FlowProducer(options).add({
      name: "whole", queueName: given.parents,
      children: [{ name: "part", queueName: given.queue, data: {} }],
    });
    const worker = new Worker(given.queue, null, options);
    const job = await worker.getNextJob("token");
    return { parent: made.job.id, child: job.id };
    """
    family = queue_jobs.in_node(own, script, queue=QUEUE, parents=PARENTS)
    with queue_jobs.connected(own) as client:
        client.hset(queue_jobs.key(own, QUEUE, "meta"), mapping=queue_jobs.META)
        client.hincrby(queue_jobs.key(own, QUEUE, family["child"]), "processedOn", -7_200_000)
        client.delete(queue_jobs.key(own, QUEUE, f"{family['child']}:lock"))
    record, _, _ = act(own, queues.remove_stuck, QUEUE)
    assert (record.applied, record.verified) == (1, True)
    assert "1 parent waiting" in record.warning
    assert queue_jobs.ids_in(own, PARENTS, "wait") == [family["parent"]]


# what goes wrong half-way


def test_redis_lost_half_way_says_how_far_it_came_and_the_rest_is_done_again(
    demo: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_jobs.forget(demo, QUEUE)
    write(demo, 3000)
    batches: list[int] = []
    start = BatchPace.start

    def lose(pace: BatchPace) -> int:
        batches.append(1)
        if len(batches) == 3:
            faults.inject("redis-down")
        return start(pace)

    record, found, _ = act(
        demo,
        queues.retry_failed,
        QUEUE,
        name="work",
        between=lambda: monkeypatch.setattr(BatchPace, "start", lose),
    )
    assert record.state is ActionState.FAILED
    assert found[0].status is Status.CRIT
    monkeypatch.undo()
    faults.clear("redis-down")
    assert 0 < record.applied < 3000
    assert f"{record.applied:,} of 3,000 jobs done" in found[0].message
    assert len(waiting(demo)) == record.applied
    again, _, _ = act(demo, queues.retry_failed, QUEUE, name="work")
    assert (again.planned, again.verified) == (3000 - record.applied, True)
    queue_jobs.forget(demo, QUEUE)


@pytest.mark.parametrize("chosen", [{}, {"reason": "boom"}])
def test_interrupted_it_says_what_was_done_and_doing_it_again_finishes(
    own: Target, chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(own, 3000)
    end, ended = BatchPace.end, []

    def interrupt(pace: BatchPace) -> None:
        end(pace)
        ended.append(1)
        if pace.size < 1000 or not chosen:
            raise KeyboardInterrupt

    action = queues.clean_failed if chosen else queues.retry_failed
    planned = action(own, QUEUE, **chosen)
    assert planned.planned == 3000
    journal: list[ActionRecord] = []

    def show(record: ActionRecord) -> None:
        journal.append(record)
        if record.state is ActionState.APPLYING and len(journal) == 2:
            monkeypatch.setattr(BatchPace, "end", interrupt)

    with pytest.raises(KeyboardInterrupt):
        Guard(own, True, "", show).act(action, QUEUE, **chosen)
    monkeypatch.undo()
    assert journal[-1].state is ActionState.INTERRUPTED
    left = len(failed(own))
    assert 0 < left < 3000
    again, _, _ = act(own, action, QUEUE, **chosen)
    assert (again.planned, again.applied, again.verified) == (left, left, True)


def test_ctrl_c_waits_for_the_batch_under_way_so_that_it_is_counted(own: Target) -> None:
    async def step(client: Any) -> int:
        threading.Timer(0.2, _thread.interrupt_main).start()
        await asyncio.sleep(0.5)
        return int(await client.dbsize())

    done = []

    def two_steps() -> None:
        with connection.reading(own) as session:
            done.append(session.run(step(session.client)))
            session.run(step(session.client))

    with pytest.raises(KeyboardInterrupt):
        two_steps()
    assert len(done) == 1


@pytest.mark.parametrize(
    ("at", "within"),
    [(0, "submit"), (0, "_adjust_thread_count"), (0, "wait"), (1, "submit"), (1, "acquire")],
)
def test_ctrl_c_while_a_step_is_handed_to_its_thread_loses_nothing(
    own: Target, at: int, within: str
) -> None:
    async def add(client: Any) -> None:
        await asyncio.sleep(0.2)
        await client.incr(steps_done)

    def interrupt(frame: FrameType, event: str, _: Any) -> None:
        callers = [line.f_code.co_name for line, _ in traceback.walk_stack(frame)]
        if event == "call" and callers[0] == within and "submit" in callers:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    steps_done, returned = f"{QUEUE}:steps", []

    def steps() -> None:
        with connection.reading(own) as session:
            for number in range(3):
                if number == at:
                    sys.setprofile(interrupt)
                session.run(add(session.client))
                returned.append(number)

    before = set(threading.enumerate())
    with redis.Redis.from_url(Queues.of(own).url) as client:
        try:
            with pytest.raises(KeyboardInterrupt):
                steps()
        finally:
            sys.setprofile(None)
        assert set(threading.enumerate()) <= before
        assert len(returned) == at + 1
        assert int(client.getdel(steps_done)) == len(returned)


@pytest.mark.parametrize(
    ("queue", "exit_code", "words"),
    [("exprots", 64, "Did you mean 'exports'?"), ("ai-analysis", 77, "a worker is running job")],
)
def test_a_run_that_is_refused_ends_with_its_exit_code(
    running: str, queue: str, exit_code: int, words: str
) -> None:
    command = [sys.executable, "-m", "opsnb", "run", "queues/remove_stuck", "--apply", "--json"]
    given = ["-p", f"queue={queue}", "-p", f"job={running}", "-p", "longer_than=0.001"]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code
    assert words in str(RunResult.model_validate_json(done.stdout).error)

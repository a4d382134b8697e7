"""What is counted and measured, on jobs that BullMQ's Node client made."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from opsnb.checks.check import Check
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.demo.faults.jobs import FAILING_JOBS
from opsnb.errors import BadAnswer, Unreachable, UsageError
from opsnb.model import Finding, Status
from opsnb.systems import queues
from opsnb.systems.queues.settings import Queues
from tests import queue_jobs

QUEUE = "test-counts"
KINDS = """
const one = queue(given.queue), parents = new FlowProducer(options);
await one.add("plain", {}); await one.add("plain", {});
await one.add("urgent", {}, { priority: 2 });
await one.add("later", {}, { delay: 3600000 });
await parents.add({ name: "whole", queueName: given.queue, children: [
  { name: "part", queueName: given.queue, data: {} }] });
await one.upsertJobScheduler("hourly", { every: 3600000, startDate: Date.now() + 3600000 },
  { name: "tick" });
return (await one.getJobCounts());
"""


@pytest.fixture(params=["bull", "{bull}"])
def own(demo: Target, request: pytest.FixtureRequest) -> Iterator[Target]:
    """The demo target under a prefix, with no queues named in its configuration."""
    target = demo.changed(queues=(), queue_prefix=request.param)
    queue_jobs.forget(target, QUEUE)
    yield target
    queue_jobs.forget(target, QUEUE)


def row_of(target: Target) -> dict[str, object]:
    (row,) = (row for row in queues.counts(target) if row["queue"] == QUEUE)
    return row


def measure(target: Target, check: Check[[]]) -> Finding:
    *_, finding = Measurement(target).run([check])
    return finding


def test_every_kind_of_job_is_counted_where_it_is(own: Target) -> None:
    theirs = queue_jobs.in_node(own, KINDS, queue=QUEUE)
    row = row_of(own)
    assert theirs["waiting"] == 3  # two plain ones and the child
    assert row["waiting"] == 4
    assert row["prioritized"] == theirs["prioritized"] == 1
    assert row["delayed"] == theirs["delayed"] == 2  # one later, and the scheduler's next
    assert row["waiting_children"] == theirs["waiting-children"] == 1
    assert row["schedulers"] == 1
    assert row["total"] == sum(theirs.values())
    assert (row["paused"], row["workers"]) == (False, 0)
    states = {line["state"]: line["jobs"] for line in queues.states(own, QUEUE).rows}
    assert states["waiting for children"] == 1
    assert states["prioritized"] == 1


def test_a_queue_paused_by_others_is_seen_and_since_when(own: Target) -> None:
    queue_jobs.in_node(own, "await queue(given.queue).add('a', {});", queue=QUEUE)
    assert measure(own, queues.workers).status is Status.CRIT
    queue_jobs.in_node(own, "await queue(given.queue).pause();", queue=QUEUE)
    row = row_of(own)
    assert (row["paused"], row["waiting"]) == (True, 1)
    found = queues.pauses(own)
    assert found.status is Status.WARN
    assert "by someone without opsnb" in found.message
    assert found.rows[0]["since"] is not None


def test_a_queue_that_is_long_because_it_is_paused_is_one_alarm(own: Target) -> None:
    jobs = "Array(120).fill({ name: 'a', data: {} })"
    queue_jobs.in_node(own, f"await queue(given.queue).addBulk({jobs});", queue=QUEUE)
    long, pauses = Measurement(own).run([queues.depth, queues.pauses])
    assert (long.status, long.explained_by, pauses.status) == (Status.WARN, None, Status.OK)
    queue_jobs.in_node(own, "await queue(given.queue).pause();", queue=QUEUE)
    long, pauses = Measurement(own).run([queues.depth, queues.pauses])
    assert (long.status, long.explained_by) == (Status.WARN, "queues.pauses")
    assert (long.remedies, pauses.status) == ([], Status.WARN)
    assert [remedy.runbook for remedy in pauses.remedies] == ["queues/resume"]


def test_the_oldest_waiting_job_is_found(own: Target) -> None:
    queue_jobs.in_node(
        own,
        "await queue(given.queue).add('old', {}, { timestamp: Date.now() - 600000, priority: 1 });"
        "await queue(given.queue).add('new', {});",
        queue=QUEUE,
    )
    found = queues.oldest(own)
    assert "(old)" in found.message
    assert found.value == pytest.approx(600, abs=30)


def test_the_service_s_workers_are_seen(demo: Target) -> None:
    assert {row["queue"]: row["workers"] for row in queues.counts(demo)} == {
        "ai-analysis": 1,
        "exports": 1,
        "notifications": 1,
    }
    assert queues.workers(demo).status is Status.OK


@pytest.mark.parametrize("check", [queues.states, queues.throughput, queues.times, queues.stuck])
def test_an_unknown_queue_is_refused_with_the_nearest_name(
    demo: Target, check: Check[[str]]
) -> None:
    with pytest.raises(UsageError, match="'ai-analysis'"):
        check(demo, "ai-anlysis")


def test_a_prefix_without_queues_says_so(demo: Target) -> None:
    empty = demo.changed(queues=(), queue_prefix="no*such")
    with pytest.raises(BadAnswer, match="queue_prefix"):
        queues.depth(empty)
    with pytest.raises(UsageError, match="There is no queue 'x'"):
        queues.state(empty, "x")


def test_times_are_those_of_the_jobs_own_stamps(own: Target) -> None:
    queue_jobs.write(own, QUEUE, 60, state="completed", age_s=120)
    times = {row["time"]: row["ms"] for row in queues.times(own, QUEUE).rows}
    assert times["wait p50"] == times["wait p99"] == 300
    assert times["processing p95"] == 200
    found = queues.throughput(own, QUEUE)
    assert found.value == pytest.approx(30, rel=0.2)
    assert sum(row["completed"] for row in found.rows) == 60
    assert len({row["until"] for row in found.rows}) == len(found.rows) >= 4


def test_a_delay_is_no_wait_and_a_retried_job_tells_none(own: Target) -> None:
    first, second = queue_jobs.write(own, QUEUE, 2, state="completed")
    with queue_jobs.connected(own) as client:
        client.hset(queue_jobs.key(own, QUEUE, first), "delay", 250)
        client.hset(queue_jobs.key(own, QUEUE, second), "ats", 2)
    rows = {row["time"]: row for row in queues.times(own, QUEUE).rows}
    assert (rows["wait p50"]["ms"], rows["wait p50"]["jobs"]) == (50, 1)
    assert rows["processing p50"]["jobs"] == 2


def test_failures_with_the_same_cause_are_one_reason(own: Target) -> None:
    for first, reason in enumerate(("boom", "scene 17 not found", "scene 99 not found"), 1):
        queue_jobs.write(own, QUEUE, first, reason=reason, first=first * 10)
    rows = queues.reasons(own, QUEUE).rows
    assert [(row["reason"], row["jobs"]) for row in rows] == [("scene # not found", 5), ("boom", 1)]
    newest = queues.failed_jobs(own, QUEUE, 2)
    assert [row["job"] for row in newest] == ["32", "31"]


def test_a_queue_with_too_many_failed_jobs_is_no_ok(own: Target) -> None:
    queue_jobs.write(own, QUEUE, 9)
    queue_jobs.write(own, QUEUE, 81, state="completed", first=10)
    found = queues.failure_rate(own, QUEUE)
    assert (found.status, found.value) == (Status.CRIT, 10)
    assert [remedy.parameters for remedy in found.remedies] == [{"queue": QUEUE}]
    queue_jobs.forget(own, QUEUE)
    queue_jobs.write(own, QUEUE, 91, state="completed")
    found = queues.failure_rate(own, QUEUE)
    assert (found.status, found.message) == (Status.OK, f"{QUEUE} has no failed job.")


def test_a_queue_without_finished_jobs_measures_nothing_and_is_ok(own: Target) -> None:
    queue_jobs.in_node(own, "await queue(given.queue).add('a', {});", queue=QUEUE)
    for check in (queues.throughput, queues.times, queues.reasons):
        assert check(own, QUEUE).status is Status.OK
    assert queues.state(own, QUEUE).value == 1


def test_bull_board_shows_the_same_counts(demo: Target) -> None:
    faults.inject("failing-jobs")
    queues_of = {row["queue"]: row for row in queues.counts(demo)}
    for _ in range(20):
        board = httpx.get(f"{Queues.of(demo).dashboard}/api/queues", timeout=10).json()["queues"]
        queues_of = {row["queue"]: row for row in queues.counts(demo)}
        theirs = {queue["name"]: queue["counts"] for queue in board}
        if all(
            theirs[name][state] == row[state]
            for name, row in queues_of.items()
            for state in ("failed", "completed", "delayed")
        ):
            break
        time.sleep(0.3)  # a job ended between the two looks
    else:
        pytest.fail(f"Bull Board says {theirs}, we say {queues_of}")
    assert queues_of["ai-analysis"]["failed"] >= FAILING_JOBS


def test_a_dead_redis_is_one_sentence(demo: Target) -> None:
    faults.inject("redis-down")
    with pytest.raises(Unreachable, match="cannot be reached"):
        queues.depth(demo)


def test_reasons_that_begin_alike_stay_apart(own: Target) -> None:
    same = "the upstream of the analysis has answered with "
    queue_jobs.write(own, QUEUE, 2, reason=same + "nothing")
    queue_jobs.write(own, QUEUE, 1, reason=same + "nonsense", first=10)
    rows = queues.reasons(own, QUEUE).rows
    assert [row["jobs"] for row in rows] == [2, 1]
    assert len({row["reason"] for row in rows}) == 2
    assert rows[0]["example"].endswith("nothing")

"""Scenarios of the queues' runbooks."""

from __future__ import annotations

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.model import Finding, RunResult, Status
from opsnb.systems import queues
from opsnb.systems.queues.settings import Queues
from tests import queue_jobs
from tests.operate import Scenario

QUEUE = "drill"
"""A queue that no worker serves, so that what is put there stays."""


def found(result: RunResult) -> dict[str, Finding]:
    return {finding.name: finding for finding in result.findings}


def is_paused(target: Target, queue: str) -> bool:
    with queue_jobs.connected(target) as client:
        return bool(client.hexists(queue_jobs.key(target, queue, "meta"), "paused"))


def do(target: Target, action: Action[[str]], queue: str) -> None:
    Guard(target, apply=True, confirm="", show=lambda _: None).act(action, queue)


def all_are_seen(target: Target, result: RunResult) -> None:
    shown = found(result)
    assert {finding.status for finding in shown.values()} == {Status.OK}
    rows = {row["queue"]: row["completed"] for row in shown["queues.depth"].rows}
    completed = {
        name: len(queue_jobs.ids_in(target, name, "completed")) for name in Queues.of(target).names
    }
    assert rows == completed


def exports_run(target: Target) -> None:
    do(target, queues.resume, "exports")


def exports_are_paused(target: Target) -> None:
    do(target, queues.pause, "exports")


def only_exports_were_paused(target: Target, result: RunResult) -> None:
    assert [name for name in Queues.of(target).names if is_paused(target, name)] == ["exports"]
    assert result.actions[0].planned == 1
    assert result.operator in queues.pauses(target).message
    exports_run(target)


def all_run(target: Target, result: RunResult) -> None:
    assert not any(is_paused(target, name) for name in Queues.of(target).names)
    assert result.actions[0].planned == 1
    assert f"by {result.operator}" in result.actions[0].summary


def failed_jobs(target: Target) -> None:
    """Two causes of failure, and jobs that failed a moment ago."""
    queue_jobs.forget(target, QUEUE)
    queue_jobs.write(target, QUEUE, 1500, reason="quota exceeded")
    queue_jobs.write(target, QUEUE, 20, first=5001)
    queue_jobs.write(target, QUEUE, 7, reason="quota exceeded", age_s=60, first=9001)


def only_old_ones_were_cleaned(target: Target, result: RunResult) -> None:
    assert result.actions[0].applied == 1520
    left = queue_jobs.ids_in(target, QUEUE, "failed")
    assert left == [str(number) for number in range(9001, 9008)]
    queue_jobs.forget(target, QUEUE)


def only_one_cause_was_retried(target: Target, result: RunResult) -> None:
    assert result.actions[0].applied == 1507
    assert len(queue_jobs.ids_in(target, QUEUE, "wait")) == 1507
    left = queue_jobs.ids_in(target, QUEUE, "failed")
    assert left == [str(number) for number in range(5001, 5021)]
    queue_jobs.forget(target, QUEUE)


def stuck_jobs(target: Target) -> None:
    queue_jobs.forget(target, QUEUE)
    queue_jobs.write_active(target, QUEUE, "stuck", age_s=7200)
    queue_jobs.write_active(target, QUEUE, "young", age_s=60)


def only_the_stuck_one_was_removed(target: Target, result: RunResult) -> None:
    assert [row["job"] for row in result.actions[0].sample] == ["stuck"]
    assert queue_jobs.ids_in(target, QUEUE, "active") == ["young"]
    queue_jobs.forget(target, QUEUE)


def finished_jobs(target: Target) -> None:
    queue_jobs.forget(target, QUEUE)
    queue_jobs.write(target, QUEUE, 40, state="completed", age_s=60)
    queue_jobs.write(target, QUEUE, 10, age_s=60, first=101)


def they_were_measured(target: Target, result: RunResult) -> None:
    shown = found(result)
    assert shown["queues.states"].value == 50
    assert shown["queues.times"].value == 200
    assert [row["jobs"] for row in shown["queues.reasons"].rows] == [10]
    assert sum(row["completed"] for row in shown["queues.throughput"].rows) == 40
    queue_jobs.forget(target, QUEUE)


SCENARIOS: dict[str, Scenario] = {
    "queues/monitor": Scenario(all_are_seen),
    "queues/pause": Scenario(only_exports_were_paused, {"queue": "exports"}, exports_run),
    "queues/resume": Scenario(all_run, {"queue": "exports"}, exports_are_paused),
    "queues/clean_failed": Scenario(only_old_ones_were_cleaned, {"queue": QUEUE}, failed_jobs),
    "queues/retry_failed": Scenario(
        only_one_cause_was_retried, {"queue": QUEUE, "reason": "quota"}, failed_jobs
    ),
    "queues/remove_stuck": Scenario(only_the_stuck_one_was_removed, {"queue": QUEUE}, stuck_jobs),
    "queues/metrics": Scenario(they_were_measured, {"queue": QUEUE}, finished_jobs),
}

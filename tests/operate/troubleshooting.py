"""Scenarios of the troubleshooting runbooks."""

from __future__ import annotations

from opsnb.guard import Guard
from opsnb.model import RunResult, Status
from opsnb.systems import processes
from opsnb.target import Target
from tests.operate import Scenario
from tests.operate.queues import found


def nothing_is_found(_: Target, result: RunResult) -> None:
    told = {
        name: finding.message
        for name, finding in found(result).items()
        if finding.status is not Status.OK
    }
    assert not told


def one_worker(target: Target) -> None:
    guard = Guard(target, apply=True, confirm="", show=lambda _: None)
    guard.act(processes.scale, "worker", 1)


def two_workers_ran(target: Target, result: RunResult) -> None:
    nothing_is_found(target, result)
    assert [process.name for process in processes.listed(target)].count("worker") == 2
    one_worker(target)


SCENARIOS = {
    "troubleshooting/high_queue_length": Scenario(two_workers_ran, {"workers": "2"}, one_worker),
    "troubleshooting/failed_jobs": Scenario(nothing_is_found),
}

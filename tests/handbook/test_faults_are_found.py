"""Each fault is injected; its diagnosis ranks it first, and what that links to mends it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.demo.faults import Fault
from opsnb.demo.practice import not_well
from opsnb.model import Finding, RunResult
from opsnb.systems import queues
from opsnb.systems.logs.settings import Logs
from tests.incident import mended
from tests.operate.troubleshooting import one_worker
from tests.runs import run_once

DRILLS = faults.all_drills()
PATIENCE_S = 180.0  # a long queue takes a while to work off

BRIEF = {
    "troubleshooting/high_queue_length": {"seconds": "1s"},
    "troubleshooting/slow_queries": {"seconds": "2s"},
}
# Parameters of the runbooks that mend, which only shorten their runs.
SHORTER = BRIEF | {
    "incidents/service_down": {"minutes": "1s"},
    "deployment/rollback": {"minutes": "1s"},
    "troubleshooting/memory": {"seconds": "1s"},
}
# Those of a diagnosis that is made again: so long each fault still needs to be seen.
AGAIN = BRIEF | {
    "troubleshooting/memory": {"seconds": "5s"},
    "incidents/high_error_rate": {"hours": "20s"},
}


def causes(result: RunResult) -> list[Finding]:
    """Return the causes that a diagnosis found, in the order in which it ranked them."""
    # The symptom stands first; one that names what mends it is the cause itself.
    symptom, *_ = result.findings
    found: dict[str, Finding] = {}
    for finding in not_well(result.findings):
        if finding.remedies or finding.name != symptom.name:
            found.setdefault(finding.name, finding)  # looked at again in the end
    return list(found.values())


def diagnosed(target: Target, drill: Fault, **more: str) -> RunResult:
    return run_once(target, drill.runbook, {**drill.parameters, **more})


def still_found(target: Target, drill: Fault, **more: str) -> list[str]:
    """Return what is still wrong after a while; the machine itself is busy with other tests."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        wrong = not_well(diagnosed(target, drill, **more).findings)
        left = [each.message for each in wrong if each.name != "degradation.load"]
        if not left or time.monotonic() > ends:
            return left
        time.sleep(2)


def test_every_fault_has_a_drill() -> None:
    # The log's errors are another service's, which we cannot mend.
    assert set(DRILLS) == set(faults.FAULTS) - {"log-errors"}
    assert all(drill.runbook and drill.cause for drill in DRILLS.values())


@pytest.mark.parametrize(
    "drill",
    {each.runbook: each for each in DRILLS.values()}.values(),
    ids=lambda drill: drill.runbook,
)
def test_on_a_healthy_stack_nothing_is_found(demo: Target, drill: Fault) -> None:
    assert still_found(demo, drill) == []


@pytest.mark.parametrize("name", DRILLS)
def test_a_fault_is_found_and_mended_by_what_the_diagnosis_links_to(
    demo: Target, name: str
) -> None:
    drill = DRILLS[name]
    Path(Logs.of(demo).files[0]).write_text("")  # what earlier tests broke is another story
    faults.inject(name)
    first = causes(diagnosed(demo, drill))[0]
    assert first.name == drill.cause
    mended(demo, first, **SHORTER.get(first.remedies[0].runbook, {}))
    assert still_found(demo, drill, **AGAIN.get(drill.runbook, {})) == []
    one_worker(demo)  # a long queue was worked off by more


@pytest.mark.parametrize(
    "names",
    [
        ("slow-statement", "blocked-table"),
        ("slow-statement", "connection-flood"),
        ("queue-paused", "worker-down"),
        ("redis-down", "postgres-down"),
        ("bad-release", "full-disk"),
    ],
    ids=" and ".join,
)
def test_two_faults_at_once_are_both_in_the_first_two_places(
    demo: Target, names: tuple[str, str]
) -> None:
    Path(Logs.of(demo).files[0]).write_text("")
    drills = [DRILLS[name] for name in names]
    for drill in drills:
        faults.inject(drill.name)
    first, second, *_ = causes(diagnosed(demo, drills[0]))
    assert {first.name, second.name} == {drill.cause for drill in drills}


def test_a_fault_and_a_limit_at_once_are_both_in_the_first_two_places(demo: Target) -> None:
    faults.inject("queue-backlog")
    guard = Guard(demo, apply=True, confirm="", show=lambda _: None)
    guard.act(queues.limit, "ai-analysis", 1)
    try:
        result = run_once(demo, "troubleshooting/high_queue_length", {"queue": "ai-analysis"})
    finally:
        guard.act(queues.limit, "ai-analysis", 0)
    found = {cause.name for cause in causes(result)[:2]}
    assert found == {"backlog.held_back", "backlog.slow_jobs"}

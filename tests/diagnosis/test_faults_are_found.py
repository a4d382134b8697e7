"""Each fault is injected; its diagnosis ranks it first, and what that links to mends it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from opsnb.demo import faults
from opsnb.guard import Guard
from opsnb.model import Finding, RunResult, Status
from opsnb.systems import queues
from opsnb.target import Target
from tests.incident import mended
from tests.operate.troubleshooting import one_worker
from tests.test_operate import run_once

PATIENCE_S = 180.0  # a long queue takes a while to work off
_HARMLESS = (Status.OK, Status.SKIPPED)


@dataclass(frozen=True)
class Drill:
    """A fault, and the diagnosis that is to find it."""

    fault: str
    runbook: str
    cause: str
    shorter: dict[str, str] = field(default_factory=dict)
    """Parameters of the runbook that mends it, which only shorten its run."""

    def diagnosed(self, target: Target) -> RunResult:
        return run_once(target, self.runbook, {})


DRILLS = [
    Drill("queue-backlog", "troubleshooting/high_queue_length", "backlog.slow_jobs"),
    Drill(
        "worker-down", "troubleshooting/high_queue_length", "backlog.no_worker", {"minutes": "1s"}
    ),
    Drill("failing-jobs", "troubleshooting/failed_jobs", "failures.defect"),
    Drill("cold-cache", "troubleshooting/high_cache_miss_rate", "misses.cold"),
    Drill("slow-statement", "troubleshooting/slow_queries", "slowness.missing_index"),
    Drill("memory-leak", "troubleshooting/memory", "memory.leaking"),
    Drill("blocked-table", "troubleshooting/slow_queries", "slowness.blocked"),
    Drill("connection-flood", "troubleshooting/slow_queries", "slowness.flooded"),
]


def causes(result: RunResult) -> list[Finding]:
    """Return the causes that a diagnosis found, in the order in which it ranked them."""
    symptom = result.findings[0].name
    found = {f.name: f for f in reversed(result.findings) if f.status not in _HARMLESS}
    ranked = [f.name for f in result.findings if f.name in found and f.name != symptom]
    return [found[name] for name in dict.fromkeys(ranked)]


@pytest.mark.parametrize("drill", DRILLS, ids=[drill.fault for drill in DRILLS])
def test_a_fault_is_found_and_mended_by_what_the_diagnosis_links_to(
    demo: Target, drill: Drill
) -> None:
    faults.inject(drill.fault)
    first = causes(drill.diagnosed(demo))[0]
    assert first.name == drill.cause
    mended(demo, first, **drill.shorter)
    ends = time.monotonic() + PATIENCE_S
    while left := causes(drill.diagnosed(demo)):
        assert time.monotonic() < ends, [finding.message for finding in left]
    one_worker(demo)  # a long queue was worked off by more


def test_two_faults_at_once_are_both_in_the_first_two_places(demo: Target) -> None:
    faults.inject("queue-backlog")
    guard = Guard(demo, apply=True, confirm="", show=lambda _: None)
    guard.act(queues.limit, "ai-analysis", 1)
    try:
        result = run_once(demo, "troubleshooting/high_queue_length", {})
    finally:
        guard.act(queues.limit, "ai-analysis", 0)
    found = {cause.name for cause in causes(result)[:2]}
    assert found == {"backlog.held_back", "backlog.slow_jobs"}

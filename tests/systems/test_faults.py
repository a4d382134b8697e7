"""A fault turns the findings that name it, and no other.

Those that one number of the daily check tells; what takes more is found in tests/diagnosis.
"""

from __future__ import annotations

import time

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.handbook.incidents import data_inconsistency
from opsnb.handbook.troubleshooting import slow_queries
from opsnb.model import Finding, Status
from opsnb.systems import api, cache, database, host, logs, processes, queues

CHECKS = (
    api.health,
    api.latency.given(5),
    api.queue_stats,
    queues.depth,
    queues.failures,
    queues.pauses,
    cache.ping,
    cache.memory,
    cache.hit_rate,
    database.ping,
    slow_queries.blocked.given(),
    database.connections,
    slow_queries.pace.given(),
    processes.up,
    host.disk,
    host.memory,
    logs.errors,
    data_inconsistency.integrity.given(),
)

NAMED_BY = {
    "queue-backlog": {"queues.depth"},
    "failing-jobs": {"queues.failures"},
    "worker-down": {"processes.up"},
    "api-down": {"api.health", "processes.up"},
    "api-slow": {"api.latency"},
    "redis-down": {"cache.ping"},
    "redis-hang": {"cache.ping"},
    "postgres-down": {"database.ping"},
    "postgres-hang": {"database.ping"},
    "log-errors": {"logs.errors"},
}
ON_REDIS = {
    "api.health",  # which says that it is degraded
    "api.queue_stats",
    "queues.depth",
    "queues.failures",
    "queues.pauses",
    "cache.memory",
    "cache.hit_rate",
}
ON_POSTGRES = {
    "api.health",
    "repair.integrity",
    "slowness.blocked",
    "database.connections",
    "slowness.pace",
}
DEPENDENT = {
    "api-down": {"api.latency", "api.queue_stats"},
    "redis-down": ON_REDIS,
    "redis-hang": ON_REDIS,
    "postgres-down": ON_POSTGRES,
    "postgres-hang": ON_POSTGRES,
}


def measure(target: Target) -> dict[str, Finding]:
    return {finding.name: finding for finding in Measurement(target).run(CHECKS)}


def turned(found: dict[str, Finding]) -> dict[str, Status]:
    return {
        name: finding.status for name, finding in found.items() if finding.status is not Status.OK
    }


def settle(target: Target, expected: set[str]) -> dict[str, Status]:
    """Measure until the findings `expected` to be not ok are; a fault may need seconds to show."""
    for _ in range(20):
        seen = turned(measure(target))
        if set(seen) == expected:
            break
        time.sleep(1)
    return seen


def test_a_healthy_stack_is_all_ok(demo: Target) -> None:
    assert turned(measure(demo)) == {}


@pytest.mark.parametrize("name", NAMED_BY)
def test_a_fault_turns_its_own_finding_and_clearing_it_turns_it_back(
    demo: Target, name: str
) -> None:
    faults.inject(name)
    named, dependent = NAMED_BY[name], DEPENDENT.get(name, set())
    seen = settle(demo, named | dependent)
    assert {finding for finding, status in seen.items() if status is not Status.SKIPPED} == named
    assert {finding for finding, status in seen.items() if status is Status.SKIPPED} == dependent
    if name == "api-down":  # one alarm: the process that is down explains why nothing answers
        down = measure(demo)
        assert down["api.health"].explained_by == "processes.up"
        assert down["api.health"].remedies == []
        assert down["processes.up"].remedies[0].runbook == "incidents/service_down"
    assert Status.UNKNOWN not in seen.values()

    faults.clear(name)
    assert settle(demo, set()) == {}

"""One sweep finds what is slow, and nothing on a healthy stack ranks above it."""

from __future__ import annotations

from opsnb.demo import faults
from opsnb.diagnosis import degradation, outage
from opsnb.model import Status
from opsnb.ranking import Diagnosis
from opsnb.systems import api
from opsnb.target import Target
from tests import incident
from tests.operate.database import running, wait_for

# What the machine itself, shared with other tests, is busy with is none of the demo's business.
CAUSES = (
    outage.redis,
    outage.postgres,
    *degradation.RESOURCES[1:],
    *degradation.DATABASE,
    *degradation.QUEUES,
    degradation.api_itself,
)


def diagnosed(target: Target) -> Diagnosis:
    return incident.diagnosed(target, api.latency.given(), *CAUSES)


def test_a_backlog_and_a_slow_api_are_the_first_two(demo: Target) -> None:
    faults.inject("queue-backlog")
    faults.inject("api-slow")
    found = diagnosed(demo)
    assert incident.names(found)[:2] == ["queues.depth", "degradation.api_itself"]
    (remedy,) = found.causes[0].remedies
    assert remedy.command == (
        "opsnb run troubleshooting/high_queue_length -t demo -p queue=ai-analysis"
    )
    restart = found.causes[1].remedies[0]
    assert (restart.runbook, restart.parameters) == ("incidents/service_down", {"process": "app"})


def test_a_session_that_blocks_is_first(demo: Target) -> None:
    lock = "BEGIN; LOCK projects; SELECT pg_sleep(60)"
    with (
        running(demo, lock, "blocks"),
        running(demo, "SELECT count(*) FROM projects", "waits"),
    ):
        blocked = degradation.DATABASE[0]
        wait_for(lambda: blocked(demo).status is Status.WARN)
        finding = blocked(demo)
        assert finding.share == 0.9
        assert [remedy.runbook for remedy in finding.remedies] == ["database/connections"]


def test_no_worker_leads_to_the_runbook_that_starts_it(demo: Target) -> None:
    faults.inject("worker-down")
    workers = next(cause for cause in degradation.QUEUES if cause.name == "queues.workers")
    wait_for(lambda: workers(demo).status is not Status.OK)
    found = workers(demo)
    assert found.remedies[0].command == "opsnb run incidents/service_down -t demo --apply"
    incident.mended(demo, found, minutes="1s")
    wait_for(lambda: workers(demo).status is Status.OK)

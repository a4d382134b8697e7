"""One sweep finds what is slow, and nothing on a healthy stack ranks above it."""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from opsnb.checks.ranking import Diagnosis
from opsnb.config.settings import Limits
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.handbook.incidents import performance_degradation, service_down
from opsnb.model import Status
from opsnb.systems import api, database
from opsnb.systems.database.settings import Database
from tests import incident
from tests.operate.database import query, running, wait_for

# What the machine itself, shared with other tests, is busy with is none of the demo's business.
CAUSES = (
    service_down.redis,
    service_down.postgres,
    *performance_degradation.RESOURCES[1:],
    *performance_degradation.DATABASE,
    *performance_degradation.QUEUES,
    performance_degradation.api_itself,
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
        blocked = performance_degradation.DATABASE[0]
        wait_for(lambda: blocked(demo).status is Status.WARN)
        finding = blocked(demo)
        assert finding.share == 0.9
        (remedy,) = finding.remedies
        assert remedy.runbook == "troubleshooting/slow_queries"
        assert remedy.parameters == {"end_pid": int(finding.rows[0]["session"])}


def test_a_session_that_blocks_while_it_is_idle_is_ended_by_what_it_leads_to(demo: Target) -> None:
    blocked = performance_degradation.DATABASE[0]
    with psycopg.connect(Database.of(demo).url, application_name="forgotten") as forgotten:
        forgotten.execute("LOCK projects")
        with running(demo, "SELECT count(*) FROM projects", "waits"):
            wait_for(lambda: blocked(demo).status is Status.WARN)
            incident.mended(demo, blocked(demo), seconds="1")
            wait_for(lambda: blocked(demo).status is Status.OK)
        assert forgotten.closed or forgotten.broken or not _answers(forgotten)


def _answers(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_statements_that_were_slow_are_the_past_and_those_that_are_slow_a_cause(
    demo: Target,
) -> None:
    pace = next(
        cause for cause in performance_degradation.DATABASE if cause.name == "slowness.pace"
    )
    for _ in range(3):
        query(demo, "SELECT pg_sleep(1.5), 'bygone'")
    assert database.slow_statements(demo).status is not Status.OK
    assert "bygone" not in pace(demo).message

    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            query(demo, "SELECT pg_sleep(0.4), 'present'")

    user = threading.Thread(target=ask)
    user.start()
    try:
        found = pace(demo)
    finally:
        ended.set()
        user.join()
    assert found.status is not Status.OK
    assert "pg_sleep" in found.message
    assert [remedy.runbook for remedy in found.remedies] == ["troubleshooting/slow_queries"]


def test_a_pause_ranks_above_the_length_that_it_explains(demo: Target) -> None:
    faults.inject("queue-paused")
    for limits in ({}, {"queue_waiting": Limits(warn=50, crit=100)}):
        target = demo.model_copy(update={"thresholds": limits})
        found = incident.diagnosed(target, api.latency.given(), *performance_degradation.QUEUES)
        assert incident.names(found)[:2] == ["queues.pauses", "queues.depth"]
        assert found.causes[0].remedies[0].runbook == "queues/resume"


def test_no_worker_leads_to_the_runbook_that_starts_it(demo: Target) -> None:
    faults.inject("worker-down")
    workers = next(
        cause for cause in performance_degradation.QUEUES if cause.name == "queues.workers"
    )
    wait_for(lambda: workers(demo).status is not Status.OK)
    found = workers(demo)
    # That it mends this is proven where each drill's diagnosis leads to the same.
    assert found.remedies[0].command == "opsnb run incidents/service_down -t demo --apply"

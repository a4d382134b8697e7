"""What is down is found, ranked before what follows from it, and started by the runbook."""

from __future__ import annotations

import pytest

from opsnb.checks.ranking import Diagnosis
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.errors import BadAnswer
from opsnb.handbook.incidents import service_down
from opsnb.model import Status
from opsnb.systems import dependencies, host, processes
from opsnb.systems.cache.settings import Cache
from opsnb.systems.processes.settings import Processes
from tests import incident

CAUSES = (
    host.reachable,
    service_down.disk_full,
    service_down.redis,
    service_down.postgres,
    service_down.not_up,
    service_down.silent,
)


def diagnosed(target: Target) -> Diagnosis:
    return incident.diagnosed(target, service_down.service, *CAUSES)


def test_a_healthy_stack_has_nothing(demo: Target) -> None:
    assert {finding.status for finding in diagnosed(demo).findings} == {Status.OK}


def test_the_cause_is_first_and_its_runbook_mends_all_that_is_down(demo: Target) -> None:
    faults.inject("worker-down")
    assert incident.names(diagnosed(demo)) == ["outage.not_up"]
    faults.inject("api-down")
    faults.inject("postgres-down")
    before = diagnosed(demo)
    assert incident.names(before) == ["outage.postgres", "outage.not_up"]
    result = incident.mended(demo, before.causes[0], minutes="1s")
    assert (result.status, result.exit_code) == (Status.OK, 0)
    before_it = {finding.name for finding in result.findings if finding.superseded}
    assert {"outage.service", "outage.postgres", "outage.not_up"} <= before_it
    assert incident.names(diagnosed(demo)) == []


def test_a_server_that_refuses_us_is_not_restarted(demo: Target) -> None:
    """A wrong password, or too many clients, is no outage of the server."""
    url = Cache.of(demo).url.replace("redis://:", "redis://:wrong")
    target = demo.changed(redis_url=url)
    with pytest.raises(BadAnswer, match="refuses the login"):
        service_down.redis(target)
    plan = dependencies.start(target)
    assert plan.planned == 0
    assert "so it is not restarted" in plan.warning


def test_what_nothing_says_how_to_start_is_left_to_the_engineer(demo: Target) -> None:
    faults.inject("redis-down")
    target = demo.changed(restart={"redis": (), "postgres": ()})
    assert "set redis in [targets.demo.restart]" in service_down.redis(target).message
    plan = dependencies.start(target)
    assert plan.planned == 0
    assert "start it by hand" in plan.warning


def test_an_api_that_its_manager_takes_for_up_can_be_restarted(demo: Target) -> None:
    elsewhere = demo.changed(api_url="http://127.0.0.1:9")
    finding = service_down.silent(elsewhere)
    assert finding.status is Status.CRIT
    assert [remedy.parameters for remedy in finding.remedies] == [
        {"process": "app"},
        {"process": "worker"},
    ]
    plan = processes.restart(demo, "app")
    assert plan.terms == {"names": ["app"]}


def test_a_process_that_its_manager_does_not_know_is_named(demo: Target) -> None:
    settings = Processes(manager="pm2", names=("app", "mailer"), command=Processes.of(demo).command)
    plan = processes.restart(demo.changed(processes=settings))
    assert plan.planned == 0
    assert "pm2 does not know mailer" in plan.warning

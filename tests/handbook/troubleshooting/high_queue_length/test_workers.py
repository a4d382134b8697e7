"""Workers that stand still are told from those that have too much to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from opsnb.config.target import Target
from opsnb.demo import service
from opsnb.demo.home import Home
from opsnb.handbook.troubleshooting import high_queue_length
from opsnb.model import Status
from tests import incident, queue_jobs
from tests.operate.database import wait_for

CAUSES = (
    high_queue_length.paused,
    high_queue_length.no_worker,
    high_queue_length.held_back,
    high_queue_length.stuck,
    high_queue_length.slow_jobs,
    high_queue_length.too_much_work,
)
ADD = """
const jobs = Array.from({ length: given.jobs }, () => (
  { name: "export", data: { project_id: 1 }, opts: { removeOnComplete: true } }
));
return (await queue("exports").addBulk(jobs)).length;
"""


@pytest.fixture
def worker(demo: Target) -> Iterator[psutil.Process]:
    (found,) = service.running(Home.current(), service.WORKER)
    yield found
    with suppress(psutil.NoSuchProcess):
        found.resume()
    wait_for(lambda: high_queue_length.length(demo, "exports").value == 0, 60)


def test_a_worker_that_is_frozen_is_found_and_restarted(
    demo: Target, worker: psutil.Process
) -> None:
    worker.suspend()
    queue_jobs.in_node(demo, ADD, jobs=150)
    found = incident.diagnosed(
        demo,
        high_queue_length.length.given("exports"),
        *(cause.given("exports") for cause in CAUSES),
        high_queue_length.hung.given("exports", process="worker"),
        high_queue_length.standstill.given("exports", process="worker"),
    )
    first = found.causes[0]
    assert (first.name, first.status) == ("backlog.standstill", Status.CRIT)
    assert incident.names(found) == ["backlog.standstill"]
    incident.mended(demo, first, minutes="1s")
    wait_for(lambda: high_queue_length.length(demo, "exports").value == 0, 60)
    assert high_queue_length.standstill(demo, "exports").status is Status.OK


@pytest.mark.usefixtures("worker")
def test_a_queue_that_drains_does_not_stand_still(demo: Target) -> None:
    queue_jobs.in_node(demo, ADD, jobs=400)
    assert high_queue_length.standstill(demo, "exports", 2).status is Status.OK
    told = high_queue_length.too_much_work(demo, "exports", 1)
    assert " and 0 leave" not in told.message

"""A rate limit of the workers' own is only a cause where it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsnb.checks.running import Measurement
from opsnb.handbook.troubleshooting import high_queue_length
from opsnb.model import Finding, Status
from opsnb.systems.queues.settings import Queues
from tests.bullmq import Service
from tests.systems import redis_server
from tests.systems.redis_server import Server

MAIL = "mail"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = redis_server.start(tmp_path / "redis")
    yield server
    server.kill()


def held_back(server: Server) -> Finding:
    (found,) = Measurement(server.target()).run([high_queue_length.held_back.given(MAIL)])
    return found


def test_a_limit_that_is_not_reached_holds_nothing_back_for_sure(server: Server) -> None:
    with Service(5, Queues.of(server.target()).url) as mail:
        mail.add(MAIL, 9, data={"hold": True})
        mail.work(MAIL, limiter={"max": 1000, "duration": 60_000})
        while not mail.runs(MAIL):
            pass
        found = held_back(server)
        assert found.status is Status.UNKNOWN
        assert "1 jobs began in a rate limit's span" in found.message
        assert "its maximum is an option of the workers" in found.message


def test_a_limit_that_lets_no_job_begin_is_a_cause(server: Server) -> None:
    with Service(5, Queues.of(server.target()).url) as mail:
        mail.add(MAIL, 9)
        mail.work(MAIL, limiter={"max": 1, "duration": 60_000})
        while mail.counts(MAIL)["completed"] != 1:
            pass
        found = held_back(server)
        assert (found.status, found.share) == (Status.WARN, 0.9)
        assert "8 jobs wait" in found.message
        mail.stop(MAIL)
        client: Any = server.client()
        client.set("bull:mail:limiter", 2**53 - 1, px=60_000)  # what queue.rateLimit() does
        assert "no job may begin for another" in held_back(server).message


def test_a_maximum_that_the_queue_itself_has_is_known(server: Server) -> None:
    with Service(5, Queues.of(server.target()).url) as mail:
        mail.add(MAIL, 9)
        mail.queue(MAIL, "waitUntilReady")
        client: Any = server.client()
        client.hset("bull:mail:meta", mapping={"max": 5, "duration": 60_000})
        client.set("bull:mail:limiter", 4, px=60_000)
        assert held_back(server).status is Status.OK
        client.set("bull:mail:limiter", 5, px=60_000)
        assert held_back(server).status is Status.WARN

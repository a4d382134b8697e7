"""Scenarios of the monitoring runbooks."""

from __future__ import annotations

from opsnb.config.target import Target
from opsnb.model import RunResult, Status
from tests.operate import Scenario
from tests.operate.queues import found


def all_is_measured(_: Target, result: RunResult) -> None:
    told = found(result)
    assert {"logs.error_rate", "queues.depth", "cache.hit_rate", "host.cpu"} <= set(told)
    unmeasured = (Status.UNKNOWN, Status.SKIPPED)
    assert not [each.message for each in told.values() if each.status in unmeasured]
    assert told["api.p95"].value is not None


def real_requests_were_read(target: Target, result: RunResult) -> None:
    all_is_measured(target, result)
    assert "p99" in found(result)["logs.requests"].message


def the_queues_were_watched(_: Target, result: RunResult) -> None:
    watched = next(each for each in result.findings if each.name == "queues.depth")
    assert "(3 samples from " in watched.message


SCENARIOS = {
    "monitoring/alert_thresholds": Scenario(all_is_measured),
    "monitoring/key_metrics": Scenario(real_requests_were_read),
    "monitoring/queue_watch": Scenario(the_queues_were_watched, {"minutes": "2s", "every": "1"}),
}

"""Scenarios of the incidents' runbooks."""

from __future__ import annotations

from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.handbook.incidents import data_inconsistency
from opsnb.model import ActionRecord, RunResult, Status
from opsnb.systems import processes
from opsnb.systems.queues.settings import Queues
from tests.operate import Scenario
from tests.operate.database import query
from tests.operate.queues import found, is_paused


def the_worker_is_down(_: Target) -> None:
    faults.inject("worker-down")


def actions(result: RunResult) -> dict[str, ActionRecord]:
    return {action.name: action for action in result.actions}


def only_the_worker_was_started(target: Target, result: RunResult) -> None:
    done = actions(result)
    assert done["processes.restart"].terms == {"names": ["worker"]}
    assert done["dependencies.start"].planned == 0
    assert processes.up(target).status is Status.OK
    told = found(result)
    assert told["outage.not_up"].status is Status.OK  # measured again
    before = {each.name: each.status for each in result.findings if each.superseded}
    assert before["outage.not_up"] is Status.CRIT
    assert result.exit_code == 0
    assert told["outage.stable"].status is Status.OK
    faults.clear("worker-down")


def scores_are_wrong(target: Target) -> None:
    # Also where a repair before has deleted them: there is always something to mend.
    query(
        target,
        "INSERT INTO analyses (scene_id, model, score)"
        " SELECT id, 'gemini', 7 FROM scenes WHERE id % 100 = 0"
        " ON CONFLICT (scene_id) DO UPDATE SET score = excluded.score",
    )


def only_wrong_scores_went(target: Target, result: RunResult) -> None:
    (done,) = result.actions
    assert done.terms == {"checks": ["scores-out-of-range"]}
    assert {row["what"] for row in done.sample} == {"violates", "would be deleted"}
    assert data_inconsistency.integrity(target).status is Status.OK
    ((left,),) = query(target, "SELECT count(*) FROM analyses WHERE scene_id % 100 = 0")
    assert left == 0
    assert not any(is_paused(target, queue) for queue in Queues.of(target).names)


def errors_were_read(_: Target, result: RunResult) -> None:
    told = found(result)
    assert told["errors.rate"].status in (Status.OK, Status.WARN)
    assert told["errors.redis"].status is Status.OK
    assert told["errors.postgres"].status is Status.OK
    assert len(told["errors.course"].rows) == 60


def everything_was_measured(_: Target, result: RunResult) -> None:
    told = found(result)
    assert {"api.latency", "host.memory", "database.blocking", "queues.depth"} <= set(told)
    unmeasured = (Status.UNKNOWN, Status.SKIPPED)
    assert not [each.message for each in told.values() if each.status in unmeasured]


SCENARIOS: dict[str, Scenario] = {
    "incidents/service_down": Scenario(
        only_the_worker_was_started, {"minutes": "1s"}, the_worker_is_down
    ),
    "incidents/high_error_rate": Scenario(errors_were_read),
    "incidents/performance_degradation": Scenario(everything_was_measured),
    "incidents/data_inconsistency": Scenario(only_wrong_scores_went, {}, scores_are_wrong),
}

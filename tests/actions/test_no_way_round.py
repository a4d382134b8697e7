"""No action changes anything but under the guard, on the real systems."""

from __future__ import annotations

from typing import Any

import pytest

from opsnb.actions.action import Action, Permit
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.handbook.deployment import deploy as deploying
from opsnb.handbook.deployment import rollback
from opsnb.handbook.incidents import data_inconsistency
from opsnb.systems import cache, database, dependencies, logs, processes, queues
from tests import queue_jobs
from tests.operate.queues import QUEUE as DRILL
from tests.test_operate import SCENARIOS, quiet, snapshot

__all__ = ["quiet"]  # the fixture

QUEUE = "ai-analysis"
# Each action, with the runbook whose scenario makes it have something to do.
ACTIONS: list[tuple[str, Action[...], tuple[Any, ...], dict[str, Any]]] = [
    ("queues/pause", queues.pause, (QUEUE,), {}),
    ("queues/resume", queues.resume, ("exports",), {}),
    ("queues/clean_failed", queues.clean_failed, (QUEUE,), {"older_than": 0}),
    ("queues/retry_failed", queues.retry_failed, (QUEUE,), {}),
    ("queues/remove_stuck", queues.remove_stuck, (QUEUE,), {}),
    ("cache/clear", cache.clear, (), {}),
    ("cache/warm_up", cache.warm_up, (), {}),
    ("database/analyze", database.analyze, (), {}),
    ("database/reindex", database.reindex, ("idx_scenes_project_id",), {}),
    ("database/connections", database.end_long_queries, (), {"minutes": 0.01}),
    ("database/backup", database.backup, (), {}),
    ("database/restore", database.restore, (), {}),
    ("troubleshooting/slow_queries", database.create_index, ("scenes", "title"), {}),
    ("troubleshooting/slow_queries", database.end_sessions, (), {"application": "left-behind"}),
    ("incidents/data_inconsistency", data_inconsistency.repair_rows, (), {}),
    ("incidents/service_down", dependencies.start, (), {}),
    ("incidents/service_down", processes.restart, (), {}),
    ("troubleshooting/high_queue_length", processes.scale, ("worker", 2), {}),
    ("troubleshooting/high_queue_length", queues.limit, (QUEUE, 2), {}),
    ("maintenance/weekly", logs.clear, (), {}),
    ("maintenance/monthly", database.prove, (), {}),
    ("deployment/deploy", deploying.release, (), {}),
    # To the one that was fetched: that it is newer makes no difference to the work.
    ("deployment/deploy", rollback.go_back, ("FETCH_HEAD",), {}),
]
AREAS = list(dict.fromkeys(runbook.partition("/")[0] for runbook, _, _, _ in ACTIONS))

# Here the scenario prepares what would disturb the next test; the same work, let through, ends it.
LEAVES_SOMETHING = {"queues/resume", "database/connections", "incidents/data_inconsistency"}


def test_every_action_is_tried() -> None:
    found = {
        item
        for module in (
            queues,
            cache,
            database,
            processes,
            dependencies,
            logs,
            data_inconsistency,
            deploying,
            rollback,
        )
        for item in vars(module).values()
        if isinstance(item, Action)
    }
    assert found == {action for _, action, _, _ in ACTIONS}


@pytest.mark.parametrize("area", AREAS)
def test_the_work_of_a_plan_is_refused_without_the_guard(quiet: Target, area: str) -> None:
    for runbook, action, args, kwargs in ACTIONS:
        if not runbook.startswith(f"{area}/"):
            continue
        SCENARIOS[runbook].prepare(quiet)
        before = snapshot(quiet)
        plan = action(quiet, *args, **kwargs)
        for permit in (None, object()):
            with pytest.raises(Refused):
                list(plan.work(permit))  # type: ignore[arg-type]
        with pytest.raises(Refused):
            list(plan.work(Permit(object())))
        assert snapshot(quiet) == before, action.name
        if runbook in LEAVES_SOMETHING:
            Guard(quiet, True, "", lambda _: None).act(action, *args, **kwargs)
        queue_jobs.forget(quiet, DRILL)

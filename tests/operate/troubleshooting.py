"""Scenarios of the troubleshooting runbooks."""

from __future__ import annotations

import psycopg

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.model import RunResult, Status, now
from opsnb.systems import processes
from opsnb.systems.database.settings import Database
from tests.operate import Scenario
from tests.operate.queues import found


def nothing_is_found(_: Target, result: RunResult) -> None:
    told = {
        name: finding.message
        for name, finding in found(result).items()
        if finding.status not in (Status.OK, Status.SKIPPED)
    }
    assert not told


def one_worker(target: Target) -> None:
    guard = Guard(target, apply=True, confirm="", show=lambda _: None)
    guard.act(processes.scale, "worker", 1)


def two_workers_ran(target: Target, result: RunResult) -> None:
    nothing_is_found(target, result)
    assert [process.name for process in processes.listed(target)].count("worker") == 2
    one_worker(target)


def index_names(target: Target) -> list[str]:
    with psycopg.connect(Database.of(target).url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'scenes' ORDER BY 1"
        ).fetchall()
    return [row[0] for row in rows]


def no_index_on_titles(target: Target) -> None:
    with psycopg.connect(Database.of(target).url, autocommit=True) as connection:
        connection.execute("DROP INDEX IF EXISTS idx_scenes_title")


def titles_have_an_index(target: Target, result: RunResult) -> None:
    assert "idx_scenes_title" in index_names(target)
    assert result.actions[0].undo == 'DROP INDEX CONCURRENTLY "public"."idx_scenes_title";'
    no_index_on_titles(target)


def only_the_worker_was_restarted(target: Target, result: RunResult) -> None:
    nothing_is_found(target, result)
    (done,) = result.actions
    assert done.terms == {"names": ["worker"]}
    assert done.started is not None
    started = {process.name: process.uptime_s or 0.0 for process in processes.listed(target)}
    since_s = (now() - done.started).total_seconds()
    assert started["worker"] < since_s < started["app"]


SCENARIOS = {
    "troubleshooting/slow_queries": Scenario(
        titles_have_an_index,
        {"index_table": "scenes", "index_columns": "title", "seconds": "1"},
        no_index_on_titles,
    ),
    "troubleshooting/high_cache_miss_rate": Scenario(nothing_is_found),
    "troubleshooting/high_queue_length": Scenario(
        two_workers_ran, {"workers": "2", "seconds": "1"}, one_worker
    ),
    "troubleshooting/failed_jobs": Scenario(nothing_is_found),
    "troubleshooting/memory": Scenario(
        only_the_worker_was_restarted, {"restart": "worker", "seconds": "1"}
    ),
}

"""Errors are grouped, when they began is found, and what happened just before is laid beside it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsnb.checks import evidence
from opsnb.checks.ranking import Diagnosis
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.handbook.incidents import high_error_rate
from opsnb.model import ActionRecord, Status
from opsnb.systems import processes
from opsnb.systems.cache.settings import Cache
from opsnb.systems.logs.settings import Logs
from opsnb.view import charts
from tests import incident
from tests.handbook.records import keep


@pytest.fixture(autouse=True)
def nothing_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No action of another test of this process cuts what is read."""
    monkeypatch.setattr(evidence, "_changes", [])


def diagnosed(target: Target, hours: float = 1) -> Diagnosis:
    window = high_error_rate.Window(hours)
    in_window = (
        high_error_rate.deployed,
        high_error_rate.started,
        high_error_rate.redis,
        high_error_rate.postgres,
        high_error_rate.upstream,
        high_error_rate.code,
    )
    causes = [cause.given(window) for cause in in_window]
    return incident.diagnosed(
        target, high_error_rate.rate.given(window), *causes, high_error_rate.failing_jobs
    )


def written(target: Target, path: Path, *lines: tuple[float, str]) -> Target:
    """Return the target with a log of its own, its lines so many seconds old."""
    now = datetime.now(UTC)
    text = "".join(
        f"{(now - timedelta(seconds=age)).isoformat(timespec='milliseconds')} {line}\n"
        for age, line in lines
    )
    path.write_text(text)
    return target.changed(logs=(str(path),))


def test_a_healthy_service_has_nothing(demo: Target, tmp_path: Path) -> None:
    found = diagnosed(written(demo, tmp_path / "app.log", (1, "INFO all is well")))
    assert {finding.status for finding in found.findings} == {Status.OK}


def test_an_upstream_that_fails_is_first(demo: Target) -> None:
    faults.inject("log-errors")
    found = diagnosed(demo, 0.1)
    assert found.symptom.status is Status.WARN
    assert incident.names(found)[0] == "errors.upstream"
    assert "They began at" in found.symptom.message
    faults.clear("log-errors")
    assert "errors.upstream" not in incident.names(diagnosed(demo, 0.1))


def test_redis_that_is_down_is_first_and_its_runbook_mends_it(demo: Target, tmp_path: Path) -> None:
    faults.inject("redis-down")
    port = Cache.of(demo).url.rpartition(":")[2].partition("/")[0]
    refused = [(20 - n, f"ERROR connect ECONNREFUSED 127.0.0.1:{port}") for n in range(20)]
    target = written(demo, tmp_path / "app.log", *refused)
    found = diagnosed(target)
    assert incident.names(found)[0] == "errors.redis"
    incident.mended(demo, found.causes[0], minutes="1s")
    (told,) = (each for each in diagnosed(target).findings if each.name == "errors.redis")
    assert told.status is Status.WARN
    assert "20 of 20 errors mention it" in told.message


def test_errors_that_began_with_a_start_say_so(demo: Target, tmp_path: Path) -> None:
    (app,) = (each for each in processes.listed(demo) if each.name == "app")
    assert app.uptime_s is not None
    step = (app.uptime_s - 1) / 20  # they go on until now
    began = [((20 - n) * step, f"ERROR x is not a function {n}") for n in range(20)]
    target = written(demo, tmp_path / "app.log", (app.uptime_s + 30, "INFO well"), *began)
    found = diagnosed(target, app.uptime_s / 3600 + 1)
    assert incident.names(found)[:2] == ["errors.started", "errors.code"]
    assert found.causes[0].remedies[0].runbook == "deployment/rollback"
    assert "after the start of app" in found.causes[0].message


def record(runbook: str, began: datetime) -> None:
    """Leave a record of a run that changed something, as far as a diagnosis reads it."""
    name = {"deployment/deploy": "deploying.release", "deployment/rollback": "deploying.go_back"}
    done = ActionRecord(
        id="a1", name=name[runbook], title="", target="demo", applied=1, started=began
    )
    keep(began, runbook=runbook, actions=[done], seconds=20)


def test_errors_that_began_with_a_deployment_lead_to_the_rollback(
    demo: Target, tmp_path: Path
) -> None:
    failed = [(20.0 - n, "ERROR x is not a function") for n in range(20)]
    target = written(demo, tmp_path / "app.log", *failed)
    record("deployment/deploy", datetime.now(UTC) - timedelta(seconds=45))
    found = diagnosed(target)
    assert incident.names(found)[0] == "errors.deployed"
    assert found.causes[0].remedies[0].runbook == "deployment/rollback"
    events = high_error_rate.events(target, high_error_rate.Window(1))
    assert "deployment/deploy" in [row["event"] for row in events.rows]
    record("deployment/rollback", datetime.now(UTC))
    assert "errors.deployed" not in incident.names(diagnosed(target))


def test_older_errors_are_not_the_beginning_of_new_ones(demo: Target, tmp_path: Path) -> None:
    lines = [(1800.0, "ERROR old"), *((60.0 - n, "ERROR new") for n in range(20))]
    found = high_error_rate.rate(
        written(demo, tmp_path / "app.log", *lines), high_error_rate.Window(1)
    )
    began = datetime.fromtimestamp(time.time() - 60, UTC)
    assert f"{began:%F %H:}" in found.message
    assert found.value == 21
    assert [row["count"] for row in found.rows] == [20, 1]


OOM = "ERROR OOM command not allowed when used memory > 'maxmemory'."


def test_other_errors_before_do_not_hide_a_start(demo: Target, tmp_path: Path) -> None:
    (app,) = (each for each in processes.listed(demo) if each.name == "app")
    assert app.uptime_s is not None
    step = (app.uptime_s - 1) / 40
    before = [(app.uptime_s + 260 - n, OOM) for n in range(16)]
    after = [((40 - n) * step, f"ERROR x is not a function {n}") for n in range(40)]
    target = written(demo, tmp_path / "app.log", *before, *after)
    found = diagnosed(target, app.uptime_s / 3600 + 1)
    assert incident.names(found)[0] == "errors.started"
    assert found.causes[0].message.startswith("40 of 56 errors, most of all")
    assert "40 of 40 point to the service" in found.causes[0].message
    assert "40 of 56 errors" in found.symptom.message
    assert "errors.redis" not in incident.names(found)  # it was full, and is no more


def test_other_errors_before_do_not_hide_a_deployment(demo: Target, tmp_path: Path) -> None:
    lines = [*((280.0 - n, OOM) for n in range(16)), *((20.0 - n, "ERROR x") for n in range(20))]
    target = written(demo, tmp_path / "app.log", *lines)
    record("deployment/deploy", datetime.now(UTC) - timedelta(seconds=45))
    first = diagnosed(target).causes[0]
    assert (first.name, first.remedies[0].runbook) == ("errors.deployed", "deployment/rollback")
    assert first.message.startswith('20 of 36 errors, most of all "x", began')


def test_errors_that_began_at_another_time_lessen_the_share(demo: Target, tmp_path: Path) -> None:
    others = [(600.0 - 10 * n, "ERROR other") for n in range(60)]
    lines = sorted([*others, *((20.0 - n, "ERROR x") for n in range(20))], reverse=True)
    target = written(demo, tmp_path / "app.log", *lines)
    record("deployment/deploy", datetime.now(UTC) - timedelta(seconds=45))
    (found,) = (each for each in diagnosed(target).causes if each.name == "errors.deployed")
    assert found.share is not None
    assert 0.2 < found.share < 0.3


def test_groups_that_have_all_ended_need_no_cause(demo: Target, tmp_path: Path) -> None:
    # The pause between the two is no pause of either, and asks for no quiet as long.
    lines = [*((420.0 - n, OOM) for n in range(16)), *((160.0 - n, "ERROR x") for n in range(100))]
    found = diagnosed(written(demo, tmp_path / "app.log", *lines))
    assert incident.names(found) == []
    assert (found.symptom.status, found.symptom.value) == (Status.OK, 116)
    assert "ended at" in found.symptom.message


def test_errors_that_all_differ_are_judged_together(demo: Target, tmp_path: Path) -> None:
    lines = [(20.0 - n, f"ERROR no {'x' * (n + 1)}") for n in range(20)]
    found = diagnosed(written(demo, tmp_path / "app.log", *lines))
    assert "errors.code" in incident.names(found)
    assert "20 of 20 errors point to" in next(
        each.message for each in found.causes if each.name == "errors.code"
    )


def test_a_full_redis_is_known_by_its_own_words(demo: Target, tmp_path: Path) -> None:
    script = "ERROR script: 4f1d, on @user_script:1."
    lines = [(20.0 - n / 2, OOM if n % 4 else script) for n in range(40)]
    target = written(demo, tmp_path / "app.log", *lines)
    found = diagnosed(target)
    assert incident.names(found)[0] == "errors.redis"
    assert "errors.code" not in incident.names(found)
    first = found.causes[0]
    assert "full: 40 of 40 errors mention it" in first.message
    assert [each.runbook for each in first.remedies] == ["cache/health", "cache/key_patterns"]
    told = [row["event"] for row in high_error_rate.events(target, high_error_rate.Window(1)).rows]
    assert "redis full" in told
    assert "redis lost" not in told


def test_a_redis_that_takes_no_writes_is_known_by_its_own_words(
    demo: Target, tmp_path: Path
) -> None:
    lines = [(20.0 - n, "ERROR READONLY You can't write against a replica.") for n in range(20)]
    found = diagnosed(written(demo, tmp_path / "app.log", *lines))
    assert incident.names(found)[0] == "errors.redis"
    assert "20 of 20 errors mention it" in found.causes[0].message


def test_errors_that_have_ended_need_no_cause(demo: Target, tmp_path: Path) -> None:
    lines = [(140.0 - n, "ERROR x is not a function") for n in range(100)]
    target = written(demo, tmp_path / "app.log", *lines)
    found = diagnosed(target)
    assert incident.names(found) == []
    assert (found.symptom.status, found.symptom.value) == (Status.OK, 100)
    ended = datetime.fromtimestamp(time.time() - 41, UTC)
    assert f"ended at {ended:%F %H:}" in found.symptom.message


def test_errors_that_come_again_and_again_have_not_ended(demo: Target, tmp_path: Path) -> None:
    bursts = [(600.0 * burst + 100 - n, "ERROR no answer") for burst in range(5) for n in range(20)]
    target = written(demo, tmp_path / "app.log", *sorted(bursts, reverse=True))
    assert diagnosed(target).symptom.status is Status.WARN


def answered(target: Target, path: Path, *statuses: tuple[float, int]) -> Target:
    """Return the target with an access log of its own, its requests so many seconds old."""
    lines = [(age, f"GET /api/projects {status} 12.3 ms") for age, status in statuses]
    logs = Logs.of(written(target, path, *lines)).files
    return target.changed(access_logs=logs)


def test_failed_requests_are_seen_where_the_log_has_no_error(demo: Target, tmp_path: Path) -> None:
    requests = [(240.0 - n / 2, 503 if n % 12 == 0 else 200) for n in range(480)]
    found = high_error_rate.failed_requests(
        answered(demo, tmp_path / "access.log", *requests), high_error_rate.Window(1)
    )
    assert found.status is Status.WARN
    assert "40 of 480 requests failed in the last 15 minutes" in found.message
    assert found.remedies[0].runbook == "incidents/performance_degradation"


def test_requests_that_fail_no_more_need_no_cause(demo: Target, tmp_path: Path) -> None:
    requests = [(240.0 - n / 2, 503 if n < 40 else 200) for n in range(480)]
    target = answered(demo, tmp_path / "access.log", *requests)
    found = high_error_rate.failed_requests(target, high_error_rate.Window(1))
    assert found.status is Status.OK
    assert "None of them did in the last 60 s" in found.message
    without = target.changed(access_logs=())
    assert (
        high_error_rate.failed_requests(without, high_error_rate.Window(1)).status is Status.SKIPPED
    )


def test_one_axis_has_errors_and_events(demo: Target, tmp_path: Path) -> None:
    target = written(
        demo, tmp_path / "app.log", (40, "WARN redis lost: no connection"), (30, "ERROR failed")
    )
    window = high_error_rate.Window(1)
    course, events = (
        high_error_rate.over_time(target, window),
        high_error_rate.events(target, window),
    )
    assert sum(row["errors"] for row in course.rows) == 1
    assert "redis lost" in [row["event"] for row in events.rows]
    chart = charts.timeline(course, value="errors", events=events)
    assert "redis lost" in chart.svg
    assert "app started" in chart.svg


def test_after_an_action_only_what_was_logged_since_counts_and_is_called_so(
    demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = written(demo, tmp_path / "app.log", *[(1200.0, "ERROR upstream timed out")] * 30)
    assert (
        "30 error lines in the last hour"
        in high_error_rate.rate(target, high_error_rate.Window(1)).message
    )
    monkeypatch.setattr(evidence, "_changes", [time.time()])
    found = high_error_rate.rate(target, high_error_rate.Window(1))
    assert found.message.startswith("No error lines since the action.")

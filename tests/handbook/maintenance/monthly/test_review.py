"""The review of a period beside the one before, by its records."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.maintenance.monthly import past, review
from opsnb.model import Finding, Row, Status, now
from tests.handbook.records import keep

TARGET = Target(name="demo")


def latency(ms: float) -> Finding:
    limits = TARGET.threshold("api_response_ms")
    made = Finding.measured(ms, limits, "")
    return made.model_copy(update={"name": "api.latency", "title": "API response time"})


def hits(percent: float) -> Finding:
    limits = TARGET.threshold("cache_hit_percent")
    made = Finding.measured(percent, limits, "")
    return made.model_copy(update={"name": "cache.hit_rate", "title": "Hit rate"})


def two_periods(before: Finding, since: Finding) -> None:
    for day in range(1, 11):
        keep(now() - timedelta(days=10 + day), before)
        keep(now() - timedelta(days=day - 0.5), since)


def metrics() -> tuple[Finding, dict[str, Row]]:
    found = review.metrics(TARGET, past.periods(10))
    return found, {row["metric"]: row for row in found.rows}


@pytest.mark.parametrize(
    ("before", "since", "told", "status"),
    [
        (latency(20), latency(150), "worse", Status.WARN),
        (latency(20), latency(60), "worse", Status.OK),
        (latency(60), latency(63), "same", Status.OK),
        (latency(90), latency(30), "better", Status.OK),
        (latency(150), latency(150), "same", Status.WARN),
        (hits(95), hits(60), "worse", Status.WARN),
        (hits(60), hits(95), "better", Status.OK),
    ],
)
def test_this_period_is_compared_with_the_one_before(
    before: Finding, since: Finding, told: str, status: Status
) -> None:
    two_periods(before, since)
    found, rows = metrics()
    assert rows[since.title]["compared"] == told
    assert found.status is status


def test_the_numbers_are_those_of_the_records() -> None:
    two_periods(latency(20), latency(60))
    keep(now() - timedelta(days=1), latency(180))
    _, rows = metrics()
    assert rows["API response time"] == {
        "metric": "API response time",
        "compared": "worse",
        "median": "60 ms",
        "before": "20 ms",
        "worst": "180 ms",
        "how_often": "10 ok, 1 warn",
    }


def test_of_what_may_not_fall_the_lowest_is_the_worst() -> None:
    two_periods(hits(95), hits(95))
    keep(now() - timedelta(days=1), hits(40))
    assert metrics()[1]["Hit rate"]["worst"] == "40 %"


def test_without_records_it_is_unknown_with_the_mend() -> None:
    for check in (review.metrics, review.runs):
        with pytest.raises(BadAnswer, match=r"no records.*health/daily on a schedule"):
            check(TARGET, past.periods(10))


def test_few_records_are_not_compared() -> None:
    keep(now() - timedelta(days=1), latency(20))
    found, rows = metrics()
    assert rows["API response time"]["compared"] == "new"
    assert "nothing is compared" in found.message
    keep(now() - timedelta(days=12), latency(200))
    assert metrics()[1]["API response time"]["compared"] == "too few records"


def test_what_has_no_limit_and_what_a_review_said_is_left_out() -> None:
    own = latency(5).model_copy(update={"name": "capacity.forecast", "title": "Days"})
    free = Finding(name="x.y", title="Free", status=Status.OK, message="", value=1.0)
    two_periods(latency(20), latency(20))
    keep(now() - timedelta(days=1), own, free)
    assert set(metrics()[1]) == {"API response time"}


def test_runs_are_counted_by_runbook_and_outcome() -> None:
    two_periods(latency(20), latency(150))
    keep(now() - timedelta(days=2), runbook="queues/pause", exit_code=77)
    found = review.runs(TARGET, past.periods(10))
    rows = {row["runbook"]: row for row in found.rows}
    daily, pause = rows["health/daily"], rows["queues/pause"]
    assert (daily["runs"], daily["warn"], daily["ok"], daily["runs_before"]) == (10, 10, 0, 10)
    assert (pause["runs"], pause["broke"], pause["ok"]) == (1, 1, 0)
    assert "Refused or broken: 1" in found.message


def test_a_record_that_is_none_is_passed_over() -> None:
    two_periods(latency(20), latency(20))
    month = Path(os.environ["OPSNB_RECORDS"], f"{now():%Y/%m}")
    broken = month / f"{now():%Y%m%dT%H%M%SZ}-health.daily-demo-0000"
    broken.mkdir(parents=True)
    (broken / "result.json").write_text('{"target": "demo"}')
    assert metrics()[0].status is Status.OK


def test_the_course_of_both_periods_is_drawn() -> None:
    two_periods(latency(20), latency(150))
    (chart,) = review.drawn(TARGET, past.periods(10))
    assert chart.title == "API response time"
    assert "this period" in chart.svg
    assert "warn 100" in chart.svg

"""What is watched: each alert from its beginning to its end, gaps, and the course."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opsnb.checks.check import Check
from opsnb.checks.watching import Series, Watched
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.model import Finding, Status, Threshold
from opsnb.runbook import Runbook
from opsnb.systems import queues
from opsnb.view import charts

LIMIT = Threshold(metric="queue_waiting", label="Queue length", unit="jobs", warn=100, crit=500)
BEGAN = datetime(2026, 11, 23, 3, tzinfo=UTC)
DEPTH = Series(queues.depth, by="queue", value="waiting")


def depth(**waiting: int) -> Finding:
    rows = [{"queue": name, "waiting": jobs} for name, jobs in waiting.items()]
    return Finding.measured(max(waiting.values()), LIMIT, "", rows=rows)


def watched(*findings: Finding, series: Series = DEPTH) -> tuple[Watched, list[str]]:
    """Take in one finding a minute, and return what was told on the way."""
    seen = Watched(series)
    told = [
        sentence
        for minute, finding in enumerate(findings)
        for sentence in seen.add(BEGAN + timedelta(minutes=minute), finding)
    ]
    return seen, told


def test_an_alert_is_told_when_it_begins_and_when_it_ends() -> None:
    sizes = (50, 120, 700, 130, 90, 80)
    seen, told = watched(*(depth(mail=size, other=1) for size in sizes))
    assert told == [
        "03:01:00 WARN begins: Queue length of mail 120 jobs.",
        "03:04:00 OK again after 180 s: Queue length of mail 90 jobs.",
    ]
    (row,) = seen.finding().rows
    assert (row["alert"], row["status"], row["worst"]) == ("mail", Status.CRIT, "700 jobs")
    assert seen.finding().status is Status.WARN


def test_an_alert_that_goes_on_keeps_its_status() -> None:
    seen, _ = watched(depth(mail=50), depth(mail=600))
    finding = seen.finding()
    assert finding.status is Status.CRIT
    assert finding.rows[0]["ended"] == "continues"


def test_each_queue_has_its_own_alert() -> None:
    seen, told = watched(depth(a=120, b=1), depth(a=120, b=300), depth(a=1, b=300))
    assert [sentence.split("of ")[1][0] for sentence in told] == ["a", "b", "a"]
    assert len(seen.finding().rows) == 2


def test_a_gap_is_told_once_and_is_no_end_of_an_alert() -> None:
    gone = Finding(status=Status.SKIPPED, message="Redis does not answer.")
    seen, told = watched(depth(mail=120), gone, gone, depth(mail=120))
    assert [sentence.partition(" ")[2] for sentence in told[1:]] == [
        "Queue length cannot be measured: Redis does not answer.",
        "Queue length is measured again.",
    ]
    assert len(seen.finding().rows) == 1
    assert [row["mail"] for row in seen.over_time().rows] == [120, None, None, 120]
    assert "not measured 2 times" in seen.finding().message


def test_what_was_never_measured_is_unknown() -> None:
    seen, _ = watched(Finding(status=Status.UNKNOWN, message="Redis does not answer."))
    assert seen.finding().status is Status.UNKNOWN
    assert charts.lines(seen.over_time(), over="at").svg == ""


def test_a_long_course_is_thinned_and_keeps_its_peaks() -> None:
    seen, _ = watched(*(depth(mail=900 if minute == 777 else 5) for minute in range(2000)))
    rows = seen.over_time().rows
    assert len(rows) <= 240
    assert max(row["mail"] for row in rows) == 900


def test_a_rate_that_is_low_is_an_alert_where_lower_is_worse() -> None:
    low = Threshold(metric="hits", label="Hits", unit="%", warn=70, lower_is_worse=True)
    series = Series(Check(lambda _: depth(a=1), "cache.hit_rate", "Hits", None, (), 1))
    findings = (Finding.measured(value, low, "", title="Hits") for value in (90, 60, 40, 95))
    seen, told = watched(*findings, series=series)
    assert len(told) == 2
    assert seen.finding().rows[0]["worst"] == "40 %"


@pytest.mark.usefixtures("demo")
def test_real_queues_are_watched_and_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    faults.inject("failing-jobs")
    failed = Series(queues.failures, by="queue", value="failed_percent")
    found = Runbook("demo").watch(failed, DEPTH, every_s=0.5, for_s=1)
    assert found["queues.failures"].rows[0]["alert"] == "ai-analysis"
    assert capsys.readouterr().out.count("CRIT begins: Failed share") == 1


@pytest.mark.usefixtures("demo")
def test_an_interrupt_ends_the_watch_and_keeps_what_was_seen() -> None:
    samples = 0

    def interrupted(target: Target) -> Finding:
        nonlocal samples
        samples += 1
        if samples == 3:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return queues.depth.function(target)

    check = replace(queues.depth, function=interrupted)
    watched = Series(check, by="queue", value="waiting")
    found = Runbook("demo").watch(watched, every_s=0.1, for_s=600)
    assert found["queues.depth"].status is Status.OK
    assert samples == 3

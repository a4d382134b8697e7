"""What takes the memory: leaks over hours, and who is large when it is short."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opsnb.config.settings import Limits
from opsnb.config.target import Target
from opsnb.handbook.troubleshooting import memory
from opsnb.model import Finding, Status
from opsnb.systems import processes
from opsnb.view import charts
from tests.handbook.records import keep
from tests.operate.database import wait_for

MIB = 2**20


@pytest.fixture
def short(demo: Target) -> Target:
    """The demo, on a machine that says that its memory is short."""
    return limited(demo, "memory_used_percent", 0.1)


def limited(target: Target, metric: str, warn: float) -> Target:
    """The target, with another limit."""
    limits = {**target.thresholds, metric: Limits(warn=warn)}
    return target.model_copy(update={"thresholds": limits})


def record_sizes(size_at: Callable[[int], float], hours: int, every_min: int) -> None:
    """Leave daily checks' records of the last `hours`, with the size of `app` in MiB by minute."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    for minute in range(0, hours * 60, every_min):
        began = at + timedelta(minutes=minute)
        row = {"name": "app", "memory_bytes": int(size_at(minute) * MIB)}
        keep(began, Finding(name="processes.up", status=Status.OK, message="", rows=[row]))


@pytest.fixture
def up_for_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes say that they were started long ago."""
    listed = processes.listed

    def older(target: Target) -> list[processes.Process]:
        return [replace(each, uptime_s=3 * 86_400.0) for each in listed(target)]

    monkeypatch.setattr(processes, "listed", older)


@pytest.mark.usefixtures("up_for_days")
def test_a_leak_of_hours_is_found_in_the_records(demo: Target) -> None:
    chance = random.Random(3)
    record_sizes(lambda minute: 100 + minute / 10 + chance.gauss(0, 2), hours=20, every_min=30)
    found = memory.creeping(demo)
    assert found.status is Status.WARN
    assert found.value == pytest.approx(6, abs=0.3)
    assert found.remedies[0].parameters == {"restart": "app"}


@pytest.mark.usefixtures("up_for_days")
def test_a_size_that_goes_up_and_down_is_no_leak(demo: Target) -> None:
    chance = random.Random(5)
    record_sizes(lambda _: 150 + chance.gauss(0, 20), hours=20, every_min=30)
    found = memory.creeping(demo)
    assert (found.status, len(found.rows)) == (Status.OK, 1)


def test_what_was_recorded_before_the_start_is_another_process(demo: Target) -> None:
    record_sizes(lambda minute: 100 + minute, hours=20, every_min=60)
    found = memory.creeping(demo)
    assert "Too few records" in found.message
    assert found.status is Status.SKIPPED  # not ruled out


def test_who_is_large_is_a_cause_only_when_memory_is_short(demo: Target, short: Target) -> None:
    for target, status in ((demo, Status.OK), (short, Status.WARN)):
        watched = memory.watch(1)
        for cause in (memory.large, memory.others, memory.postgres):
            assert cause(limited(target, "memory_share_percent", 0.01), watched).status is status
    assert memory.large(limited(short, "memory_share_percent", 90), watched).status is Status.OK


def test_a_heap_near_its_limit_is_found(demo: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = processes.listed

    def tight(target: Target) -> list[processes.Process]:
        return [replace(each, heap_limit_bytes=12 * MIB) for each in listed(target)]

    # A process that has just been started tells of its heap a moment later.
    wait_for(lambda: len(memory.heap_full(demo, memory.watch(1)).rows) == 2, 30)
    found = memory.heap_full(demo, memory.watch(1))
    assert found.status is Status.OK
    assert all(row["heap_mib"] > 5 and row["limit_mib"] == 256 for row in found.rows)
    monkeypatch.setattr("opsnb.systems.processes.growing.listed", tight)
    assert memory.heap_full(demo, memory.watch(1)).status is Status.WARN


def test_the_watch_is_charted(demo: Target) -> None:
    course = memory.over_time(demo, memory.watch(1))
    assert len(course.rows) == 5
    chart = charts.lines(course, over="s")
    assert "app" in chart.svg
    assert "worker" in chart.svg

"""Statuses, limits and results."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsnb.model import (
    ActionRecord,
    ActionState,
    Finding,
    Status,
    Threshold,
    status_of,
    superseded,
    worst,
)


def test_the_worst_is_what_wakes_people() -> None:
    order = [Status.OK, Status.WARN, Status.UNKNOWN, Status.CRIT]
    for at, status in enumerate(order):
        assert worst([Status.SKIPPED, *order[: at + 1]]) is status


def test_a_run_in_which_nothing_was_measured_is_unknown() -> None:
    assert worst([]) is Status.UNKNOWN
    assert worst([Status.SKIPPED, Status.SKIPPED]) is Status.UNKNOWN


def test_exit_codes_are_those_of_monitoring_plugins() -> None:
    codes = {status.value: status.exit_code for status in Status}
    assert codes == {"ok": 0, "warn": 1, "crit": 2, "unknown": 3, "skipped": 3}


LATENCY = Threshold(metric="x", label="X", unit="ms", warn=100, crit=500)
HIT_RATE = Threshold(metric="x", label="X", unit="%", warn=80, crit=50, lower_is_worse=True)


@pytest.mark.parametrize(
    ("threshold", "value", "status"),
    [
        (LATENCY, 100, Status.OK),
        (LATENCY, 100.1, Status.WARN),
        (LATENCY, 500.1, Status.CRIT),
        (replace(LATENCY, inclusive=True), 100, Status.WARN),
        (replace(LATENCY, inclusive=True), 500, Status.CRIT),
        (HIT_RATE, 80, Status.OK),
        (HIT_RATE, 79.9, Status.WARN),
        (HIT_RATE, 49, Status.CRIT),
        (replace(HIT_RATE, inclusive=True), 80, Status.WARN),
        (Threshold(metric="x", label="X", unit=""), 1e99, Status.OK),
        (LATENCY, math.inf, Status.CRIT),
        (LATENCY, math.nan, Status.UNKNOWN),
        (HIT_RATE, math.nan, Status.UNKNOWN),
    ],
)
def test_limits_judge(threshold: Threshold, value: float, status: Status) -> None:
    assert threshold.judge(value) is status


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_worse_value_never_has_a_better_status(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert LATENCY.judge(low).severity <= LATENCY.judge(high).severity
    assert HIT_RATE.judge(low).severity >= HIT_RATE.judge(high).severity


def test_a_measured_finding_carries_its_limits_and_unit() -> None:
    finding = Finding.measured(120, LATENCY, "Slow.", rows=[{"path": "/health"}])
    assert (finding.status, finding.unit, finding.threshold) == (Status.WARN, "ms", LATENCY)
    assert Finding.model_validate_json(finding.model_dump_json()) == finding


BEGAN = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


def at(minute: float, status: Status, name: str = "a.one", **more: Any) -> Finding:
    return Finding(
        name=name, status=status, message="x", started=BEGAN + timedelta(minutes=minute), **more
    )


def did(minute: float, **more: Any) -> ActionRecord:
    finished = BEGAN + timedelta(minutes=minute)
    known = {"started": finished - timedelta(seconds=5), "finished": finished, **more}
    state = more.pop("state", ActionState.APPLIED)
    return ActionRecord(
        id="a", name="a.act", title="Act", target="demo", **{**known, "state": state}
    )


CRIT, WARN, OK, UNKNOWN = Status.CRIT, Status.WARN, Status.OK, Status.UNKNOWN
EMAILS, EXPORTS = {"queue": "emails"}, {"queue": "exports"}


@pytest.mark.parametrize(
    ("findings", "actions", "status"),
    [
        ([at(0, CRIT), at(2, OK)], [did(1)], OK),
        ([at(0, CRIT), at(2, WARN)], [did(1)], WARN),
        ([at(0, CRIT), at(2, UNKNOWN)], [did(1)], CRIT),  # was not measured
        ([at(0, CRIT), at(2, Status.SKIPPED)], [did(1)], CRIT),
        ([at(0, CRIT), at(2, OK)], [], CRIT),  # nothing was done: it comes and goes
        ([at(0, CRIT), at(2, OK)], [did(1, started=None, finished=None)], CRIT),  # a dry run
        ([at(0, CRIT), at(2, OK)], [did(3)], CRIT),  # done later
        ([at(0, OK), at(2, CRIT)], [did(1)], CRIT),  # an early ok hides no later crit
        ([at(2, CRIT), at(0, OK)], [did(1)], CRIT),  # whatever the order of the cells
        ([at(2, OK), at(0, CRIT)], [did(1)], OK),
        ([at(0, CRIT), at(2, OK), at(3, CRIT)], [did(1)], CRIT),
        ([at(0, CRIT), at(2, OK, name="a.two")], [did(1)], CRIT),  # another check
        ([at(0, CRIT, arguments=EMAILS), at(2, OK, arguments=EXPORTS)], [did(1)], CRIT),
        ([at(0, CRIT, arguments=EMAILS), at(2, OK, arguments=EMAILS)], [did(1)], OK),
        ([at(0, CRIT), at(2, OK, name="b.one", condition="a.one")], [did(1)], OK),
        ([at(0, CRIT), at(0, CRIT, name="a.two"), at(2, OK)], [did(1)], CRIT),  # one is left
        ([at(0, CRIT), at(2, OK)], [did(1, state=ActionState.FAILED)], OK),
        # A run that continues another measures the effect of what that one did.
        ([at(0, WARN), at(2, OK)], [did(-60, measured=BEGAN + timedelta(minutes=1))], OK),
    ],
)
def test_what_was_measured_again_after_an_action_counts_as_it_was_measured_last(
    findings: list[Finding], actions: list[ActionRecord], status: Status
) -> None:
    found = superseded(findings, actions)
    assert status_of(found) is status
    assert [each.status for each in found] == [each.status for each in findings]


def test_no_action_makes_a_run_ok_whose_checks_saw_nothing() -> None:
    effect = at(1, OK, name="a.act.verify", action="a")
    assert status_of([effect]) is OK
    assert status_of([at(0, Status.SKIPPED), effect]) is UNKNOWN
    assert status_of([at(0, Status.SKIPPED), at(0, OK, name="a.two"), effect]) is OK

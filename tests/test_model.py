"""Statuses, limits and results."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsnb.model import Finding, Status, Threshold, worst


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

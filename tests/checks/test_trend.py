"""The line through what was measured, and its uncertainty."""

from __future__ import annotations

import random

import pytest

from opsnb.checks.trend import trend


def test_a_line_without_noise_is_certain() -> None:
    found = trend([0, 10, 20, 30], [5, 25, 45, 65])
    assert found is not None
    assert (found.slope, found.at(0), found.error) == pytest.approx((2, 5, 0), abs=1e-9)
    assert found.at(100) == pytest.approx(205)
    assert found.at(25, slope=0) == pytest.approx(35)  # turned about the middle of the points


def test_noise_alone_is_no_growth() -> None:
    chance = random.Random(7)
    times = list(range(60))
    sure = [trend(times, [100 + chance.gauss(0, 5) for _ in times]) for _ in range(200)]
    assert sum(found is not None and found.least > 0 for found in sure) <= 12  # 2.5 % expected


def test_the_bounds_hold_the_true_slope() -> None:
    chance = random.Random(11)
    times = [float(n) for n in range(30)]
    found = [trend(times, [3 * time + chance.gauss(0, 10) for time in times]) for _ in range(200)]
    assert sum(f is not None and f.least < 3 < f.most for f in found) >= 180


def test_few_points_have_no_trend() -> None:
    assert trend([0, 1, 2], [1, 2, 3]) is None
    assert trend([0, 0, 1, 1, 2], [1, 2, 3, 4, 5]) is None

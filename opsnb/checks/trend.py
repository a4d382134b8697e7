"""A straight line through what was measured over time, and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_POINTS = 4
"""Below, how far the points lie from their line says nothing."""
_SURE = 2.0  # standard errors, about 95 %


@dataclass(frozen=True)
class Trend:
    """A line by least squares; `slope` is in units a second."""

    slope: float
    intercept: float
    error: float
    """The standard error of `slope`."""

    @property
    def least(self) -> float:
        """The slope that it very likely exceeds."""
        return self.slope - _SURE * self.error

    @property
    def most(self) -> float:
        """The slope that it very likely stays below."""
        return self.slope + _SURE * self.error

    def at(self, seconds: float) -> float:
        """Return the line's value at a time."""
        return self.intercept + self.slope * seconds


def trend(times: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Return the trend of `values` at `times`, in s; None for fewer than `LEAST_POINTS`."""
    if len(times) < LEAST_POINTS or len(set(times)) < LEAST_POINTS:
        return None
    slope, intercept = statistics.linear_regression(times, values)
    middle = statistics.fmean(times)
    spread = sum((time - middle) ** 2 for time in times)
    left = sum(
        (value - intercept - slope * time) ** 2 for time, value in zip(times, values, strict=True)
    )
    return Trend(slope, intercept, math.sqrt(left / (len(times) - 2) / spread))

"""A straight line through values over time, and how certain it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_POINTS = 4
"""With fewer points, the error of the slope means nothing."""
_SURE = 2.0  # standard errors, about 95 %


@dataclass(frozen=True)
class Trend:
    """A line by least squares; `slope` is in units a second."""

    slope: float
    error: float
    """The standard error of `slope`."""
    middle: float
    """The mean time of the points, in s: the point about which the slope varies."""
    level: float
    """The line's value there."""

    @property
    def least(self) -> float:
        """The lower end of the slope's range (95 %)."""
        return self.slope - _SURE * self.error

    @property
    def most(self) -> float:
        """The upper end of the slope's range (95 %)."""
        return self.slope + _SURE * self.error

    def at(self, seconds: float, slope: float | None = None) -> float:
        """Return the value at a time, at the line's own slope or at another one."""
        return self.level + (self.slope if slope is None else slope) * (seconds - self.middle)


def trend(times: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Return the trend of `values` at `times`, in s; None for fewer than `LEAST_POINTS`."""
    if len(times) < LEAST_POINTS or len(set(times)) < LEAST_POINTS:
        return None
    import numpy as np  # noqa: PLC0415 - late, as most runs draw no line

    middle = statistics.fmean(times)
    if min(values) == max(values):  # rounding would give a slope of almost 0
        return Trend(0.0, 0.0, middle, float(values[0]))
    fit, covariance = np.polyfit([time - middle for time in times], values, 1, cov=True)
    return Trend(float(fit[0]), math.sqrt(covariance[0, 0]), middle, float(fit[1]))

"""Percentiles of measured times."""

from __future__ import annotations

import statistics


def percentile(values: list[float], percent: float) -> float:
    """Return the value at or below which `percent` % of `values` lie, interpolated."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(percent) - 1]

"""The limits that hold where neither a target nor `[thresholds]` of `opsnb.toml` sets its own."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from opsnb.model import Threshold


@cache
def handbook() -> dict[str, Threshold]:
    """Return the limits of `thresholds.toml`, by metric."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {metric: Threshold(metric=metric, **keys) for metric, keys in tables.items()}

"""A check of `opsnb doctor` on a system, with how to fix what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opsnb.checks.check import Check
from opsnb.config.target import Target


@dataclass(frozen=True)
class Probe:
    """One check of `opsnb doctor`."""

    check: Check[[]]
    tried: Callable[[Target], str]
    """Returns what was contacted; secrets in it are masked."""
    down: str = ""
    """The fix when nothing responds."""
    found: str = ""
    """The fix when it is not ok, where the finding does not say so itself."""
    key: str = ""
    """The key of the target without which there is nothing to check."""
    applies: Callable[[Target], bool] = lambda _: True
    """Whether it applies to this target."""

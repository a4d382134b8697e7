"""What `opsnb doctor` checks of a system, and what it says of it."""

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
    """Returns what was tried; secrets in it are masked."""
    down: str = ""
    """The fix when nothing responds."""
    found: str = ""
    """The fix when it was measured and is not ok, where the finding does not say so itself."""
    key: str = ""
    """The key of the target without which there is nothing to check."""
    applies: Callable[[Target], bool] = lambda _: True
    """Whether it is worth a word about this target."""

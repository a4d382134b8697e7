"""What each runbook needs to act upon, and what it must have done: one scenario a runbook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from opsnb.config.target import Target
from opsnb.model import RunResult


def nothing(_: Target) -> None:
    """Prepare nothing: the healthy stack has all that the runbook needs."""


@dataclass(frozen=True)
class Scenario:
    """One runbook on the demo stack."""

    effect: Callable[[Target, RunResult], None]
    """Asserts, after a run with `--apply`, that the effect is exactly the planned one."""
    parameters: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Target], None] = nothing
    """Makes something to act upon; may be called twice."""

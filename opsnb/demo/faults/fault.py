"""What a fault is, and how to wait for its effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opsnb.demo import processes
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError

SETTLE_LIMIT_S = 30.0


def nothing(_: Parts) -> None:
    """Do nothing more: the fault's file is enough."""


@dataclass(frozen=True)
class Fault:
    """Something that can be broken on purpose."""

    name: str
    description: str
    """What it breaks, in one sentence."""
    finding: str
    """The finding that turns bad."""
    holds: str | None
    """The part that the fault brings down, if any."""
    needs: frozenset[str]
    """The parts that it needs."""
    break_it: Callable[[Parts], None]
    mend_it: Callable[[Parts], None]
    hangs: bool = False
    """The part keeps running, but does not respond."""
    demand: Callable[[Parts], None] = nothing
    """Raises DemoError, before anything breaks, if this machine does not support the fault."""


def see(effect: Callable[[], bool], what: str) -> None:
    """Wait for `effect`. Raises DemoError with `what` if it does not come."""
    if not processes.wait_until(effect, SETTLE_LIMIT_S):
        raise DemoError(f"The fault is active, but {what}; see: opsnb demo status")

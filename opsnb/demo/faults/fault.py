"""What a fault is, and how it is seen to be there."""

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
    """What is really done, in one sentence."""
    finding: str
    """The finding that turns."""
    holds: str | None
    """The part that the fault takes away, if it does."""
    needs: frozenset[str]
    """The parts without which it cannot be injected."""
    break_it: Callable[[Parts], None]
    mend_it: Callable[[Parts], None]
    hangs: bool = False
    """The part stays there, and does not answer."""
    demand: Callable[[Parts], None] = nothing
    """Raises DemoError, before anything is broken, where this machine cannot have the fault."""


def see(effect: Callable[[], bool], what: str) -> None:
    """Wait until `effect` is there; raise DemoError with `what` when it does not come."""
    if not processes.wait_until(effect, SETTLE_LIMIT_S):
        raise DemoError(f"The fault is set, but {what}; see: opsnb demo status")

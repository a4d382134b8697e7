"""What a fault and its drill are, and how to wait for an effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from opsnb.demo import processes
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError
from opsnb.view import commands

SETTLE_LIMIT_S = 30.0


def nothing(_: Parts) -> None:
    """Do nothing more: the fault's file is enough."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that can be broken on purpose, and the drill that practises on it.

    In a drill the engineer sees only the symptom. The diagnosis of that symptom has to rank the
    cause first, and the runbook of its `Next:` has to fix it.
    """

    name: str
    description: str
    """What it breaks, in one sentence."""
    symptom: str = ""
    """What an alert or a user reports. Empty: there is no drill."""
    runbook: str = ""
    """The runbook that diagnoses the symptom."""
    cause: str = ""
    """The finding that the diagnosis has to rank first."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the diagnosis, besides the target."""
    holds: str | None = None
    """The part that the fault brings down, if any."""
    hangs: bool = False
    """The part keeps running, but does not respond."""
    needs: frozenset[str] = frozenset()
    """The parts that it needs."""
    demand: Callable[[Parts], None] = nothing
    """Raises DemoError, before anything breaks, if this machine does not support the fault."""
    break_it: Callable[[Parts], None]
    """Returns when the effect can be measured."""
    fix_it: Callable[[Parts], None] = nothing
    """Also clears what an engineer has fixed in part."""

    @property
    def id(self) -> str:
        """The id in the records of its drills, in place of a runbook's."""
        return f"drill/{self.name}"

    @property
    def command(self) -> str:
        """The line that runs the diagnosis."""
        return commands.run_on(self.runbook, "demo", self.parameters)


def see(effect: Callable[[], bool], what: str) -> None:
    """Wait for `effect`. Raises DemoError with `what` if it does not come."""
    if not processes.wait_until(effect, SETTLE_LIMIT_S):
        raise DemoError(f"The fault is active, but {what}; see: opsnb demo status")

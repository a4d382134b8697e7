"""The faults and drills that there are."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress

from opsnb.config.sources import own_faults
from opsnb.config.systems import attribute, systems
from opsnb.demo import parts
from opsnb.demo.faults import (
    answers,
    caching,
    disks,
    jobs,
    leaking,
    outages,
    releases,
    rows,
    sessions,
)
from opsnb.demo.faults.fault import Fault
from opsnb.errors import DemoError, UsageError, did_you_mean

ANY = "any"
"""In place of a drill's name: a random one, so that the name gives nothing away."""

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *jobs.FAULTS,
        *outages.FAULTS,
        *answers.FAULTS,
        *caching.FAULTS,
        *disks.FAULTS,
        *leaking.FAULTS,
        *rows.FAULTS,
        *releases.FAULTS,
        *sessions.FAULTS,
    )
}


def all_faults() -> dict[str, Fault]:
    """Return the faults by name: opsnb's, those of systems, those of `[runbooks] faults`."""
    of_systems = [attribute(each.faults) for each in systems().values() if each.faults]
    own = [module.FAULTS for module in own_faults()]
    return FAULTS | {fault.name: fault for faults in (*of_systems, *own) for fault in faults}


def fault(name: str) -> Fault:
    """Return the fault `name`. Raises UsageError."""
    faults = all_faults()
    if name not in faults:
        raise UsageError(f"There is no fault '{name}'." + did_you_mean(name, faults))
    return faults[name]


def all_drills() -> dict[str, Fault]:
    """Return by name the faults to practise on."""
    return {name: each for name, each in all_faults().items() if each.symptom}


def possible(known: Iterable[Fault]) -> list[Fault]:
    """Return the faults that this demo can have. Raises DemoError when it is not up."""
    stack = parts.current(lambda _: None)
    faults = []
    for fault in known:
        with suppress(DemoError):
            fault.demand(stack)
            faults.append(fault)
    return faults


def drill(name: str) -> Fault:
    """Return the fault `name` to practise on; for `any` a random one of those that are possible.

    Raises UsageError, and for `any` DemoError when the stack is not up.
    """
    drills = all_drills()
    if name == ANY:
        return random.choice(possible(drills.values()))
    if name not in drills:
        known = did_you_mean(name, [*drills, ANY])
        raise UsageError(f"There is no drill '{name}'.{known} See them with: opsnb drill list")
    return drills[name]

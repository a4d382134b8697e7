"""Inject a fault, and clear it: a file says which are active.

The file is written before anything breaks, renamed before anything is fixed, and removed after
that, so that you can repeat an interrupted command. Faults inside the service read the same file.
"""

from __future__ import annotations

from collections.abc import Set

from opsnb.demo import parts, service
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.faults.known import all_faults
from opsnb.demo.faults.known import fault as known
from opsnb.demo.home import Home, write_private
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError

# The suffix of the file of a fault that is being cleared.
CLEARING = ".clearing"


def inject(name: str) -> None:
    """Break what the fault `name` breaks; one that is active already stays as it is.

    Returns when the effect is there to be seen. Raises UsageError when there is no such fault,
    and DemoError when the stack is not up, another fault holds what this one needs, this machine
    cannot have it, or the effect does not come.
    """
    fault = known(name)
    with Home.current().locked(_silent):
        stack = parts.current(_silent)
        _require(stack.home, fault, fault.needs)
        fault.demand(stack)
        write_private(stack.home.faults / name, "")
        fault.break_it(stack)
        _see_held(stack, fault)


def clear(name: str) -> None:
    """Fix what the fault `name` broke; do nothing when it is not active.

    Returns when the stack is as healthy as the other active faults let it be. Raises UsageError
    and DemoError as `inject` does.
    """
    fault = known(name)
    with Home.current().locked(_silent):
        stack = parts.current(_silent)
        if name not in _active(stack.home):
            return
        # Without its store no job can be removed; everything else can be fixed at any time.
        _require(stack.home, fault, {stack.valkey.name})
        flag = stack.home.faults / name
        clearing = flag.with_suffix(CLEARING)
        if flag.exists():
            flag.rename(clearing)
        fault.fix_it(stack)
        clearing.unlink()
        parts.settle(stack, held(stack.home))


def active() -> list[str]:
    """Return the names of the faults that are active, none when the stack is not up."""
    return _active(Home.current())


def held(home: Home) -> set[str]:
    """Return the parts that active faults bring down."""
    return {part for name in _active(home) if (part := all_faults()[name].holds)}


def hanging(home: Home) -> set[str]:
    """Return the parts that active faults cause to hang: their processes exist."""
    faults = [all_faults()[name] for name in _active(home)]
    return {fault.holds for fault in faults if fault.holds and fault.hangs}


def hang_again(stack: Parts) -> None:
    """Let a part hang again that ended during a fault and was restarted."""
    for name in _active(stack.home):
        fault = all_faults()[name]
        if fault.hangs:
            fault.break_it(stack)


def _silent(_: str) -> None:
    """Say nothing: a fault is quick."""


def _active(home: Home) -> list[str]:
    return [
        name
        for name in all_faults()
        if any((home.faults / f"{name}{suffix}").exists() for suffix in ("", CLEARING))
    ]


def _require(home: Home, fault: Fault, needed: Set[str]) -> None:
    for other in _active(home):
        held_by_it = all_faults()[other].holds
        if other != fault.name and held_by_it in fault.needs & needed:
            raise DemoError(
                f"The fault '{fault.name}' needs {held_by_it}, which the fault '{other}' "
                f"uses. Clear that one first: opsnb demo fault {other} --clear"
            )


def _see_held(stack: Parts, fault: Fault) -> None:
    """Wait until the API notices that a part is down."""
    away = held(stack.home)
    dependency = {"valkey": "redis", "postgres": "postgres"}.get(fault.holds or "")
    if dependency is None or service.API in away:
        return

    def noticed() -> bool:
        health = service.health(stack.settings)
        return health is not None and health.get(dependency) == "down"

    see(noticed, "the API does not notice")

"""Start what is not up, by the manager that keeps it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence

from opsnb.errors import UsageError, did_you_mean
from opsnb.guard import Permit, Plan, action, require
from opsnb.model import ActionRecord, Finding, Status, now
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.processes.checks import row_of
from opsnb.systems.processes.listing import (
    SYSTEM,
    DaemonGone,
    Process,
    groups_of,
    listed,
    program_of,
)
from opsnb.target import Target

_COMMAND_S = 60.0
_SETTLE_S = 5.0  # for so long a process stays up before it counts as started
_PATIENCE_S = 30.0
_POLL_S = 1.0


@action(needs=(HOST,), resumable=True)
def restart(target: Target, former: ActionRecord | None, also: str = "") -> Plan:
    """Restart what is not up.

    Only the processes that are not up, and `also`, which its manager may take for up. Raises
    UsageError when there is no such process, BadAnswer when the manager cannot be asked.
    """
    is_gone, groups = _look(target)
    if also and also not in groups:
        raise UsageError(f"There is no process '{also}'." + did_you_mean(also, groups))
    down = _down(groups)
    names = [name for name in groups if name in down or name == also]
    if former:
        names = [
            name
            for name in former.terms["names"]
            if name in down or (name == also and not _is_newer(groups[name], former))
        ]
    unknown = [] if is_gone else [name for name in names if not groups[name]]
    known = [name for name in names if name not in unknown]
    commands = _commands(target, groups, known, is_gone=is_gone)

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for done, argv in enumerate(commands, 1):
            host_of(target, SYSTEM, _COMMAND_S).run(argv, _COMMAND_S)
            yield len(known) if is_gone else done

    return Plan(
        summary=_summary(groups, known),
        planned=len(known),
        unit="processes",
        command="; ".join(map(shlex.join, commands)) or f"{program_of(target)} restart NAME",
        undo="",
        work=work,
        verify=lambda: [_steady(target, former.terms["names"] if former else names)],
        sample=[row_of(process) for name in known for process in groups[name]],
        warning=f"{target.processes.manager} does not know {' and '.join(unknown)}: start it the "
        "way it was first started."
        if unknown
        else "",
        terms={"names": names},
    )


def _look(target: Target) -> tuple[bool, dict[str, list[Process]]]:
    """Return whether the manager itself is gone, and the instances of each process."""
    try:
        return False, groups_of(listed(target), target.processes)
    except DaemonGone:
        return True, {name: [] for name in target.processes.names}


def _down(groups: dict[str, list[Process]]) -> set[str]:
    return {
        name
        for name, members in groups.items()
        if not members or any(not process.is_up for process in members)
    }


def _is_newer(members: Sequence[Process], former: ActionRecord) -> bool:
    """Say whether all of `members` were started since the work of `former` began."""
    assert former.started is not None  # it was begun
    since_s = (now() - former.started).total_seconds()
    return all(member.uptime_s is not None and member.uptime_s < since_s for member in members)


def _commands(
    target: Target, groups: dict[str, list[Process]], names: Sequence[str], *, is_gone: bool
) -> list[list[str]]:
    """Return the manager's command for each of `names`, or the one that brings all back."""
    program = program_of(target)
    if is_gone:
        return [[program, "resurrect"]] if names else []
    # By the name that the manager itself lists: docker knows no names of compose services.
    called = {name: list(dict.fromkeys(p.name for p in groups[name])) for name in names}
    return [[program, "restart", *called[name]] for name in names]


def _summary(groups: dict[str, list[Process]], names: Sequence[str]) -> str:
    if not names:
        return f"Nothing to restart: {' and '.join(groups) or 'everything'} up."
    states = [f"{name} ({_state(groups[name])})" for name in names]
    return f"Restart {' and '.join(states)}; nothing else is touched."


def _state(members: Sequence[Process]) -> str:
    return ", ".join(dict.fromkeys(process.state for process in members)) or "not running"


def _steady(target: Target, names: Sequence[str]) -> Finding:
    """Wait until all of `names` have been up for a while, and say whether they are."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        _, groups = _look(target)
        members = {name: groups.get(name, []) for name in names or groups}
        if all(found and all(map(_is_steady, found)) for found in members.values()):
            break
        if time.monotonic() > ends:
            return _unsteady(members)
        time.sleep(max(_POLL_S, _steady_in_s(members)))
    rows = [row_of(process) for found in members.values() for process in found]
    message = f"Up for more than {_SETTLE_S:.0f} s: {' and '.join(members)}."
    return Finding(status=Status.OK, message=message, rows=rows)


def _steady_in_s(members: dict[str, list[Process]]) -> float:
    """Return in how many seconds all can be steady, 0 when one is yet to come up.

    To ask its manager before that would only load the machine on which they start.
    """
    judged = [process for found in members.values() for process in found]
    if not all(members.values()) or not all(process.is_up for process in judged):
        return 0.0
    return max(
        (_SETTLE_S - process.uptime_s for process in judged if process.uptime_s is not None),
        default=0.0,
    )


def _is_steady(process: Process) -> bool:
    return process.is_up and (process.uptime_s is None or process.uptime_s >= _SETTLE_S)


def _unsteady(members: dict[str, list[Process]]) -> Finding:
    failing = [
        f"{name} ({_state(found)}, {max((p.restarts or 0 for p in found), default=0)} restarts)"
        for name, found in members.items()
        if not found or not all(map(_is_steady, found))
    ]
    return Finding(
        status=Status.CRIT,
        message=f"{' and '.join(failing)} did not stay up for {_SETTLE_S:.0f} s within "
        f"{_PATIENCE_S:.0f} s: its log says why.",
        rows=[row_of(process) for found in members.values() for process in found],
    )

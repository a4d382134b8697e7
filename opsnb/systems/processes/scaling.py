"""Run more or fewer instances of a process, by its manager."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError, did_you_mean
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.processes.checks import row_of
from opsnb.systems.processes.listing import groups_of, listed
from opsnb.systems.processes.process import SYSTEM, DaemonGone, Process, environment, program
from opsnb.systems.processes.settings import Processes
from opsnb.view import commands

_COMMAND_S = 120.0  # a worker that is taken away ends its jobs first
_PATIENCE_S = 30.0
_POLL_S = 1.0
_SCALES = "pm2"


@action(needs=(HOST,))
def scale(target: Target, former: ActionRecord | None, process: str, instances: int) -> Plan:
    """Run so many instances of a process.

    0 leaves them as they are. Raises UsageError for an unknown process, and where the manager
    cannot scale; BadAnswer when the manager cannot be asked.
    """
    if not instances:
        return _as_it_is(process)
    if Processes.of(target).manager != _SCALES:
        raise UsageError(
            f"{Processes.of(target).manager} keeps the processes of {target.name}, and only "
            f"{_SCALES} runs more instances of one by a command; change its unit or compose file "
            "instead."
        )
    if not process:
        raise UsageError(f"Name the process to run {instances} instances of: -p process=NAME.")
    members = _members(target, process)
    now = former.terms["instances"] if former else len(members)
    argv = [*program(Processes.of(target)), "scale", process, str(instances)]

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        host = host_of(target, SYSTEM, _COMMAND_S)
        host.do(argv, _COMMAND_S, environment(host, Processes.of(target)))
        yield abs(instances - len(members))

    summary = f"Run {instances} instances of {process} instead of {now}."
    if len(members) == instances:
        summary = f"{process} has {instances} instances already."
    return Plan(
        summary=summary,
        planned=abs(instances - len(members)),
        unit="instances",
        command=shlex.join(argv),
        undo=shlex.join([*argv[:-1], str(now)]),
        work=work,
        verify=lambda: [_counted(target, process, instances)],
        sample=[row_of(member) for member in members],
        warning="Each instance uses memory, and connections to Redis and PostgreSQL."
        if instances > len(members)
        else "",
        terms={"instances": now},
    )


def _as_it_is(process: str) -> Plan:
    return Plan.nothing(f"{process or 'Each process'} keeps its instances.", "instances")


def _members(target: Target, name: str) -> list[Process]:
    try:
        groups = groups_of(listed(target), Processes.of(target))
    except DaemonGone as gone:
        message = (
            f"{gone} Start it first: {commands.run('incidents/service_down', target, apply=True)}"
        )
        raise BadAnswer(SYSTEM, message) from gone
    if not groups.get(name):
        raise UsageError(f"There is no process '{name}'." + did_you_mean(name, groups))
    return groups[name]


def _counted(target: Target, name: str, wanted: int) -> Finding:
    """Wait until that many instances are up, and return whether they are."""
    for _ in attempts(_PATIENCE_S, _POLL_S):
        members = _members(target, name)
        up = sum(process.is_up for process in members)
        if up == len(members) == wanted:
            break
    return Finding(
        status=Status.OK if up == len(members) == wanted else Status.CRIT,
        message=f"{up} of {wanted} instances of {name} are up.",
        value=up,
        unit="instances",
        rows=[row_of(process) for process in members],
    )

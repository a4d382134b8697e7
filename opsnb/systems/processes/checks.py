"""Whether the service's processes are up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opsnb.check import check
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status, worst
from opsnb.settings import Processes
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.processes.listing import SYSTEM, DaemonGone, Process, groups_of, listed
from opsnb.target import Target


@check(needs=(HOST,))
def up(target: Target) -> Finding:
    """Processes are up.

    The value is how many are not. Raises BadAnswer when the manager cannot be asked, or when
    there is nothing to judge.
    """
    settings = target.processes
    try:
        found = listed(target)
    except DaemonGone as gone:
        if not settings.names:
            raise BadAnswer(SYSTEM, f"{gone} Name the processes that must be up.") from gone
        return _all_down(settings.names, str(gone))
    if not found and not settings.names:
        raise BadAnswer(
            SYSTEM,
            f"{settings.manager} on {host_of(target).name} runs nothing as this user, and no "
            f"process is named: set names in [targets.{target.name}.processes].",
        )
    return judge(found, settings)


def judge(found: Sequence[Process], settings: Processes) -> Finding:
    """Return the finding for what is listed: about the named ones, or all when none is named."""
    groups = groups_of(found, settings)
    troubles = [
        (status, sentence)
        for name, members in groups.items()
        if (status := _group_status(members)) is not Status.OK
        for sentence in [_trouble(name, members, settings.manager)]
    ]
    judged = [process for members in groups.values() for process in members]
    down = sum(not p.is_up for p in judged) + sum(not members for members in groups.values())
    missing = [Process(name, "missing", is_up=False) for name in groups if not groups[name]]
    rows = [row_of(process) for process in (*missing, *found)]
    message = " ".join(sentence for _, sentence in troubles) or _all_well(groups)
    status = worst([Status.OK, *(status for status, _ in troubles)])
    return Finding(status=status, message=message, value=down, unit="down", rows=rows)


def _group_status(members: Sequence[Process]) -> Status:
    """Return crit when none of `members` is up, warn when they are up, but not as they should."""
    if not any(process.is_up for process in members):
        return Status.CRIT
    return Status.OK if all(process.status is Status.OK for process in members) else Status.WARN


def _trouble(name: str, members: Sequence[Process], manager: str) -> str:
    if not members:
        return f"{name} is not known to {manager}: start it, or correct its name."
    down = [process for process in members if not process.is_up]
    if down:
        who = name if len(members) == 1 else f"{len(down)} of {len(members)} instances of {name}"
        verb = "is" if len(down) == 1 else "are"
        states = ", ".join(sorted({process.state for process in down}))
        return f"{who} {verb} not up ({states}{_restarts(down)}): see its log, then start it."
    if any(process.is_unhealthy for process in members):
        return f"{name} is up, but its own health check fails."
    failures = max(process.failures for process in members)
    return f"{name} is up, but keeps failing ({failures} restarts): see its log."


def _restarts(processes: Iterable[Process]) -> str:
    most = max((process.restarts or 0 for process in processes), default=0)
    return f", {most} restarts" if most else ""


def _all_well(groups: dict[str, list[Process]]) -> str:
    names = [
        name if len(members) == 1 else f"{name} ({len(members)} instances)"
        for name, members in groups.items()
    ]
    return f"{_listing(names)} {'is' if len(names) == 1 else 'are'} up."


def _all_down(names: Sequence[str], why: str) -> Finding:
    verb = "is" if len(names) == 1 else "are"
    return Finding(
        status=Status.CRIT,
        message=f"{why} So {_listing(names)} {verb} down: start with `pm2 resurrect`.",
        value=len(names),
        unit="down",
        rows=[row_of(Process(name, "missing", is_up=False)) for name in names],
    )


def _listing(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def row_of(process: Process) -> Row:
    """Return what is shown of one process."""
    return {
        "name": process.name,
        "state": process.state,
        "up": process.is_up,
        "restarts": process.restarts,
        "uptime_s": None if process.uptime_s is None else round(process.uptime_s),
        "memory_bytes": process.memory_bytes,
        "cpu_percent": process.cpu_percent,
        "status": Status.OK if process.is_finished else process.status,
    }

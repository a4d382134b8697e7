"""Whether the service's processes are up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status, worst
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.processes.listing import groups_of, listed
from opsnb.systems.processes.process import SYSTEM, DaemonGone, Process
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import and_list, counted

_MOST_DONE = 3


@check(
    needs=(HOST,),
    limit_s=20.0,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
def up(target: Target) -> Finding:
    """Processes.

    The value is how many are not. Raises BadAnswer when the manager cannot be asked, or when
    there is nothing to judge.
    """
    settings = Processes.of(target)
    try:
        processes = listed(target)
    except DaemonGone as gone:
        if not settings.names:
            raise BadAnswer(SYSTEM, f"{gone} Name the processes that must be up.") from gone
        return _all_down(settings.names, str(gone))
    if not processes and not settings.names:
        raise BadAnswer(
            SYSTEM,
            f"{settings.manager} on {host_of(target).name} runs nothing as this user, and no "
            f"process is named: set names in [targets.{target.name}.processes].",
        )
    return judge(processes, settings)


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
    down = sum(p.is_down for p in judged) + sum(not members for members in groups.values())
    missing = [Process(name, "missing", is_up=False) for name in groups if not groups[name]]
    rows = [row_of(process) for process in (*missing, *found)]
    message = " ".join(sentence for _, sentence in troubles) or _all_well(groups)
    status = worst([Status.OK, *(status for status, _ in troubles)])
    return Finding(status=status, message=message, value=down, unit="down", rows=rows)


def _group_status(members: Sequence[Process]) -> Status:
    """Return crit when all of `members` are down, warn when some are, or not as they should be."""
    if all(process.is_down for process in members):
        return Status.CRIT
    return Status.OK if all(process.status is Status.OK for process in members) else Status.WARN


def _trouble(name: str, members: Sequence[Process], manager: str) -> str:
    if not members:
        return f"{name} is not known to {manager}: start it, or correct its name."
    down = [process for process in members if process.is_down]
    if down:
        who = name if len(members) == 1 else f"{len(down)} of {len(members)} instances of {name}"
        verb = "is" if len(down) == 1 else "are"
        states = ", ".join(sorted({process.state for process in down}))
        return f"{who} {verb} down ({states}{_restarts(down)}): see its log, then start it."
    failed = [process for process in members if process.is_job and process.status is Status.WARN]
    if failed:
        return f"{name} failed when it last ran ({failed[0].state}): see its log."
    if any(process.is_unhealthy for process in members):
        return f"{name} is up, but its own health check fails."
    failures = max(process.failures for process in members)
    return f"{name} is up, but keeps failing ({counted(failures, 'restart')}): see its log."


def _restarts(processes: Iterable[Process]) -> str:
    most = max((process.restarts or 0 for process in processes), default=0)
    return f", {counted(most, 'restart')}" if most else ""


def _all_well(groups: dict[str, list[Process]]) -> str:
    """Return what is up, and how what is done has ended."""
    up, done = [], []
    for name, members in groups.items():
        if any(process.is_up for process in members):
            up.append(name if len(members) == 1 else f"{name} ({len(members)} instances)")
        else:
            done.append(f"{name} {members[0].says or 'has ended well'}")
    more = len(done) - _MOST_DONE
    shown = [*done[:_MOST_DONE], *([f"{more} more have ended well"] if more > 0 else [])]
    said = [f"{and_list(up)} {'is' if len(up) == 1 else 'are'} up"] if up else []
    return f"{', '.join([*said, *shown])}."


def _all_down(names: Sequence[str], why: str) -> Finding:
    verb = "is" if len(names) == 1 else "are"
    return Finding(
        status=Status.CRIT,
        message=f"{why} So {and_list(names)} {verb} down: start with `pm2 resurrect`.",
        value=len(names),
        unit="down",
        rows=[row_of(Process(name, "missing", is_up=False)) for name in names],
    )


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
        "status": process.status,
    }

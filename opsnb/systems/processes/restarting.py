"""Start the processes that are not up, by their manager."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError, did_you_mean
from opsnb.model import ActionRecord, Finding, Status, now
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.processes.checks import row_of
from opsnb.systems.processes.listing import groups_of, listed
from opsnb.systems.processes.process import SYSTEM, DaemonGone, Process, environment, program
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import and_list, counted

_COMMAND_S = 60.0
_SETTLE_S = 5.0  # for so long a process stays up before it counts as started
_PATIENCE_S = 30.0
_POLL_S = 1.0

Groups = dict[str, list[Process]]
Starts = Mapping[str, frozenset[tuple[str, int | None]]]
"""By process: when its instances were started, and their process ids."""


@action(needs=(HOST,))
def restart(target: Target, former: ActionRecord | None, also: str = "") -> Plan:
    """Restart what is not up.

    Only the processes that are not up, and `also`, which its manager may take for up. What has
    done its work is never started. Raises UsageError when there is no such process, BadAnswer when
    the manager cannot be asked.
    """
    is_gone, groups = _look(target)
    _demand_known(target, groups, also)
    down = _down(groups) if _is_all_ours(target) else set()
    names = [name for name in groups if name in down or name == also]
    if former:
        names = [
            name
            for name in former.terms["names"]
            if name in down or (name == also and not _is_newer(groups[name], former))
        ]
    unknown = [] if is_gone else [name for name in names if not groups[name]]
    known = [name for name in names if name not in unknown]
    commands = _commands(target, groups, known, also, is_gone=is_gone)
    planned = len(known) or len(commands)
    before = {} if former else {name: _starts(groups[name]) for name in known}

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for done, argv in enumerate(commands, 1):
            host = host_of(target, SYSTEM, _COMMAND_S)
            host.do(argv, _COMMAND_S, environment(host, Processes.of(target)))
            yield planned if is_gone else done

    stem = shlex.join(program(Processes.of(target)))
    return Plan(
        summary=_summary(groups, known, is_gone=is_gone),
        planned=planned,
        unit="processes",
        command="; ".join(map(shlex.join, commands)) or f"{stem} restart NAME",
        undo="",
        work=work,
        verify=lambda: [_steady(target, former.terms["names"] if former else names, before)],
        sample=[row_of(process) for name in known for process in groups[name]],
        warning=" ".join(_warnings(target, groups, unknown)),
        terms={"names": names},
    )


def _demand_known(target: Target, groups: Groups, also: str) -> None:
    if also and also not in groups:
        raise UsageError(f"There is no process '{also}'." + did_you_mean(also, groups))
    members = groups.get(also, [])
    if members and all(process.is_finished or process.is_job for process in members):
        says = members[0].says or f"is {members[0].state}"
        raise UsageError(
            f"{also} {says}: it runs when it is due. If it is to run now, start it by hand: "
            f"{shlex.join([*program(Processes.of(target)), 'start', also])}"
        )


def _look(target: Target) -> tuple[bool, Groups]:
    """Return whether the manager itself is gone, and the instances of each process."""
    try:
        return False, groups_of(listed(target), Processes.of(target))
    except DaemonGone:
        return True, {name: [] for name in Processes.of(target).names}


def _down(groups: Groups) -> set[str]:
    """Return the names with an instance that is down and not starting."""
    return {
        name
        for name, members in groups.items()
        if not members or any(each.is_down and not each.is_starting for each in members)
    }


def _is_all_ours(target: Target) -> bool:
    """Return whether all judged processes belong to the service: docker runs others too."""
    return bool(Processes.of(target).names) or Processes.of(target).manager != "docker"


def _starts(members: Sequence[Process]) -> frozenset[tuple[str, int | None]]:
    return frozenset((member.started, member.pid) for member in members)


def _is_newer(members: Sequence[Process], former: ActionRecord) -> bool:
    """Return whether all of `members` were started since the work of `former` began."""
    assert former.started is not None  # it was begun
    since_s = (now() - former.started).total_seconds()
    return all(member.uptime_s is not None and member.uptime_s < since_s for member in members)


def _commands(
    target: Target, groups: Groups, names: Sequence[str], also: str, *, is_gone: bool
) -> list[list[str]]:
    """Return the manager's command for each of `names`, or the one that restores all."""
    argv = program(Processes.of(target))
    if is_gone:
        return [[*argv, "resurrect"]]
    found = []
    for name in names:
        members = groups[name]
        down = [process for process in members if process.is_down]
        if name != also and len(down) < len(members):
            # Those that are up go on: each of the others is called by what names it alone.
            called = [process.handle or process.name for process in down]
        else:
            # By the name that the manager itself lists: docker knows no names of compose services.
            called = [process.name for process in members]
        word = "unpause" if any("(Paused)" in each.state for each in down) else "restart"
        found.append([*argv, word, *dict.fromkeys(called)])
    return found


def _summary(groups: Groups, names: Sequence[str], *, is_gone: bool) -> str:
    if is_gone:
        among = f", {and_list(names)} among it" if names else ""
        return (
            f"pm2's daemon is not running: bring back what it had saved as running{among}. "
            "Nothing else is touched."
        )
    if names:
        states = [f"{name} ({_state(groups[name])})" for name in names]
        return f"Restart {and_list(states)}; nothing else is touched."
    up = [name for name, members in groups.items() if any(each.is_up for each in members)]
    if not up:
        return "No process is down."
    return f"{and_list(up)} {'is' if len(up) == 1 else 'are'} up."


def _warnings(target: Target, groups: Groups, unknown: Sequence[str]) -> Iterator[str]:
    if unknown:
        yield (
            f"{Processes.of(target).manager} does not know {and_list(unknown)}: start it the way "
            "it was first started, or correct its name."
        )
    stopped = [] if _is_all_ours(target) else sorted(_down(groups))
    if stopped:
        yield (
            f"{and_list(stopped)} {'is' if len(stopped) == 1 else 'are'} down, and may belong to "
            f"something else: set names in [targets.{target.name}.processes] to the service's "
            "containers, or name one to be started with -p process=NAME."
        )
    for name, members in groups.items():
        if any(each.is_job and each.status is Status.WARN for each in members):
            yield f"{name} failed when it last ran ({members[0].state}); it runs when it is due."
        if any(each.is_starting for each in members):
            yield f"{name} is starting, so it is left alone."


def _state(members: Sequence[Process]) -> str:
    return ", ".join(dict.fromkeys(process.state for process in members)) or "not running"


def _steady(target: Target, names: Sequence[str], before: Starts) -> Finding:
    """Wait until all of `names` have been up for a while, and return whether they are."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        is_gone, groups = _look(target)
        members = {name: groups.get(name, []) for name in names or groups}
        if not members and not is_gone:
            raise BadAnswer(
                SYSTEM, f"{Processes.of(target).manager} lists no process to be verified."
            )
        unsteady = [
            name for name, found in members.items() if not (found and all(map(_is_steady, found)))
        ]
        same = [name for name, found in members.items() if _is_as_before(found, before.get(name))]
        if members and not unsteady and not same:
            break
        if time.monotonic() > ends:
            return _unsteady(members, unsteady, same)
        time.sleep(max(_POLL_S, _steady_in_s(members)))
    for name in names:
        if all(not each.started and each.pid is None for each in members[name]):
            evidence.partial(f"whether {name} was started again, for its manager does not say when")
    rows = [row_of(process) for found in members.values() for process in found]
    up = [name for name, found in members.items() if any(each.is_up for each in found)]
    done = [name for name in members if name not in up]
    message = f"Up for more than {_SETTLE_S:.0f} s: {and_list(up)}." if up else ""
    message += f" Done: {and_list(done)}." if done else ""
    return Finding(status=Status.OK, message=message.strip(), rows=rows)


def _is_as_before(
    found: Sequence[Process], before: frozenset[tuple[str, int | None]] | None
) -> bool:
    """Return whether something certainly still is the one that was to be restarted."""
    known = {start for start in before or () if start[0] or start[1]}
    return bool(known) and bool(found) and _starts(found) == before


def _steady_in_s(members: Mapping[str, Sequence[Process]]) -> float:
    """Return in how many seconds all can be steady, 0 while one is not up yet.

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
    if process.is_finished or (process.is_job and not process.is_up):
        return True
    return process.is_up and (process.uptime_s is None or process.uptime_s >= _SETTLE_S)


def _unsteady(
    members: Mapping[str, Sequence[Process]], unsteady: Sequence[str], same: Sequence[str]
) -> Finding:
    failing = [
        f"{name} ({_state(members[name])}, "
        f"{counted(max((p.restarts or 0 for p in members[name]), default=0), 'restart')})"
        for name in unsteady
    ]
    words = []
    if failing:
        words.append(
            f"{and_list(failing)} did not stay up for {_SETTLE_S:.0f} s within "
            f"{_PATIENCE_S:.0f} s: its log says why."
        )
    if rest := [name for name in same if name not in unsteady]:
        words.append(f"{and_list(rest)} still runs since before: it was not restarted.")
    if not words:
        words.append("Nothing is listed: the manager does not run.")
    return Finding(
        status=Status.CRIT,
        message=" ".join(words),
        rows=[row_of(process) for found in members.values() for process in found],
    )

"""Starting the systems that the service depends on, when they are down."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.dependencies.asking import Dependency, dependencies, titles
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.view.formats import and_list

SYSTEM = "dependencies"

_COMMAND_S = 120.0
_PATIENCE_S = 30.0
_POLL_S = 0.5


@action(needs=(HOST,))
def start(target: Target, former: ActionRecord | None) -> Plan:
    """Start Redis and PostgreSQL where they are down.

    By the commands of `[targets.NAME.restart]`; what responds is not touched.
    """
    systems = dependencies(target)
    away = [
        known
        for known in systems
        if known.is_away and (former is None or known.name in former.terms["names"])
    ]
    startable = [known for known in away if known.command]
    terms = former.terms if former else {"names": [known.name for known in startable]}

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for done, known in enumerate(startable, 1):
            host_of(target, SYSTEM, _COMMAND_S).do(known.command, _COMMAND_S)
            yield done

    return Plan(
        summary=_summary(target, systems, startable),
        planned=len(startable),
        unit="systems",
        command="; ".join(shlex.join(known.command) for known in startable),
        undo="",
        work=work,
        verify=lambda: [_effect(target, terms["names"])] if systems else [],
        sample=[known.row() for known in systems],
        basis=[known.name for known in startable],
        warning=" ".join(_warnings(target, systems, away)),
        terms=terms,
    )


def _summary(target: Target, found: Sequence[Dependency], startable: Sequence[Dependency]) -> str:
    if startable:
        named = and_list([f"{known.title} ({known.state})" for known in startable])
        why = " ".join(known.said for known in startable)
        return f"Start {named}; what responds is not touched. {why}"
    if not found:
        return f"Target {target.name} names none of what opsnb can start: {', '.join(titles())}."
    if all(known.state == "up" for known in found):
        names = and_list([known.title for known in found])
        return f"{names} {'is' if len(found) == 1 else 'are'} up."
    return "Nothing can be started from here."


def _warnings(
    target: Target, found: Sequence[Dependency], away: Sequence[Dependency]
) -> Iterator[str]:
    for known in away:
        if not known.command:
            yield (
                f"{known.title} {'is down' if known.state == 'down' else 'hangs'} and nothing says "
                f"how it is started: start it by hand, or set {known.name} in "
                f"[targets.{target.name}.restart]."
            )
        elif known.state == "hangs":
            yield f"{known.title} hangs: what it was doing ends with its restart."
    for known in found:
        if known.state == "refuses":
            yield f"{known.title} runs, so it is not restarted: {known.said}"
        elif known.state == "unknown":
            yield f"{known.title} cannot be asked, so it is not restarted: {known.said}"


def _effect(target: Target, names: Sequence[str]) -> Finding:
    """Wait until those that were started respond, and return whether they do."""
    for _ in attempts(_PATIENCE_S, _POLL_S):
        found = [known for known in dependencies(target) if not names or known.name in names]
        silent = [known for known in found if known.state != "up"]
        if not silent:
            break
    rows = [known.row() for known in found]
    if silent:
        message = " ".join(known.said for known in silent)
        unasked = all(known.state == "unknown" for known in silent)
        status = Status.UNKNOWN if unasked else Status.CRIT
        return Finding(status=status, message=message, rows=rows)
    message = " ".join(known.said for known in found)
    return Finding(status=Status.OK, message=message, rows=rows)

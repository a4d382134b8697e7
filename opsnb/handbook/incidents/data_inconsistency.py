"""Mend rows that contradict one another, while the queues whose jobs write them are held.

Handbook, section 6.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, ServiceError
from opsnb.model import ActionRecord, Finding, Remedy, Row, Status, worst
from opsnb.systems import database, queues
from opsnb.systems.database.integrity import (
    Rehearsal,
    Violations,
    check_of,
    rehearse,
    repair,
    violations,
)
from opsnb.systems.database.settings import Database, Integrity
from opsnb.systems.queues.holding import held, holding, running, to_hold, wait_until_idle
from opsnb.view import commands
from opsnb.view.formats import and_list

RECORDED_AS = "repair"
"""How records name its checks and actions: a name never changes, so that histories go on."""

REASON = "for the repair of data"
"""Stands in the note of a pause, so that the next run knows it for one of ours."""

_LIMIT_S = 180.0
_MOST_ROWS = 5


@check(
    needs=(database.SYSTEM,),
    limit_s=_LIMIT_S,
    treated_by="no repair is configured for it, see [[targets.NAME.integrity]]",
)
def integrity(target: Target, name: str = "") -> Finding:
    """Rows that contradict one another.

    By all of the target's checks, or by the one of that name. Raises UsageError when there is no
    such check.
    """
    rows, statuses, words = [], [Status.OK], []
    for each in _chosen(target, name):
        try:
            found = violations(target, each)
        except ServiceError as error:
            statuses.append(Status.UNKNOWN)
            words.append(str(error))
            rows.append(_row(each, None, str(error)))
            continue
        if found.count:
            statuses.append(Status.CRIT)
            words.append(f"{found.count:,} rows violate {each.name}.")
        rows.append(_row(each, found.count))
    violated = [check_of(target, row["check"]) for row in rows if row["violations"]]
    return Finding(
        status=worst(statuses),
        message=" ".join(words) or f"No row violates {and_list(row['check'] for row in rows)}.",
        value=sum(row["violations"] or 0 for row in rows),
        unit="rows",
        rows=rows,
        remedies=[
            Remedy(
                runbook="incidents/data_inconsistency",
                parameters={"check": each.name},
                why="shows what its repair would change; with --apply it is done",
            )
            for each in violated
            if each.repair
        ],
    )


@check(needs=(queues.SYSTEM,))
def left_paused(target: Target) -> Finding:
    """Queues that a repair left paused"""
    left = held(target, _queues(Database.of(target).integrity), REASON)
    if not left:
        return Finding(status=Status.OK, message="No repair has left a queue paused.")
    return Finding(
        status=Status.WARN,
        message=f"A repair that was cut off has left {and_list(left)} paused.",
        rows=[{"queue": queue} for queue in left],
        remedies=[
            # Not the repair itself, which would mend whatever else is wrong as well.
            Remedy(runbook="queues/resume", parameters={"queue": queue}, apply=True)
            for queue in left
        ],
    )


def violating(target: Target, name: str = "") -> list[Row]:
    """The first of the rows that violate a check"""
    return [
        {"check": each.name, "row": _words(row)}
        for each in _chosen(target, name)
        for row in violations(target, each).sample
    ]


@action(needs=(database.SYSTEM,))
def mend(
    target: Target, former: ActionRecord | None, name: str = "", *, wait_s: float = 60
) -> Plan:
    """Mend rows that contradict one another.

    By the repair of the check `name`, or of every check that finds something. The related queues
    are paused meanwhile, and `wait_s` seconds are given to the jobs that are active. A repair is
    committed only if its check then finds nothing. Queues that a killed run has left paused are
    resumed as well. It is refused when the version of BullMQ of a queue is not known. Raises
    UsageError when there is no such check.
    """
    found = {each.name: violations(target, each) for each in _chosen(target, name)}
    violated = [check_of(target, each) for each in found if found[each].count]
    todo = [
        each
        for each in violated
        if each.repair and (former is None or each.name in former.terms["checks"])
    ]
    by_hand = [each.name for each in violated if not each.repair]
    rehearsals = {each.name: rehearse(target, each) for each in todo}
    left = held(target, _queues(Database.of(target).integrity), REASON)
    related = _queues(todo)
    ours, refusal = to_hold(target, related, left)
    pausing = ours[len(left) :]
    sample = [row for each in todo for row in _before_after(each, found, rehearsals)]
    terms = former.terms if former else {"checks": [each.name for each in todo]}

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        done = 0
        with holding(target, permit, ours, REASON) if ours else nullcontext():
            if pausing:
                done = len(pausing)
                yield done
            wait_until_idle(target, related, wait_s)
            for each in todo:
                # Told before and after, so that a run that is killed shows what is committed, and
                # of which one that is not known.
                _mark(sample, each, "under way")
                yield done
                repair(target, permit, each)
                _mark(sample, each, "repaired")
                done += 1
                yield done
        if ours:
            yield done + len(ours)

    def verify() -> list[Finding]:
        return [_effect(target, [each for each in terms["checks"] if each in found], ours)]

    return Plan(
        summary=" ".join(_summary(todo, found, rehearsals, pausing, left)),
        planned=len(pausing) + len(todo) + len(ours),
        unit="steps",
        command="; ".join(each.repair for each in todo) or "the repair of a check, in SQL",
        undo="",
        work=work,
        verify=verify,
        sample=sample,
        basis=[each.name for each in todo],
        warning=" ".join(_warnings(target, todo, rehearsals, by_hand)),
        refusal=refusal,
        journal_each=True,
        terms=terms,
    )


def _chosen(target: Target, name: str) -> Sequence[Integrity]:
    if name:
        return (check_of(target, name),)
    if not Database.of(target).integrity:
        raise NotConfigured(
            database.SYSTEM,
            f"Target {target.name} has no integrity checks; describe them as "
            f"[[targets.{target.name}.integrity]] in opsnb.toml.",
        )
    return Database.of(target).integrity


def _queues(checks: Sequence[Integrity]) -> list[str]:
    return list(dict.fromkeys(queue for each in checks for queue in each.queues))


def _row(each: Integrity, count: int | None, said: str = "") -> Row:
    return {
        "check": each.name,
        "violations": count,
        "repair": "by its SQL" if each.repair else "by hand",
        "queues": ", ".join(each.queues),
        "said": said,
    }


def _words(row: Row) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row.items())


def _summary(
    todo: Sequence[Integrity],
    found: dict[str, Violations],
    rehearsals: dict[str, Rehearsal],
    pausing: Sequence[str],
    left: Sequence[str],
) -> Iterator[str]:
    for each in todo:
        tried = rehearsals[each.name]
        yield (
            f"Repair {each.name}: {found[each.name].count:,} rows violate it, the repair changes "
            f"{tried.changed:,} and leaves {tried.left.count:,} that do."
        )
    if pausing:
        yield f"Paused meanwhile: {and_list(pausing)}."
    if left:
        yield f"Resume {and_list(left)}, left paused by a repair that was cut off."
    if not todo and not left:
        yield "No check with a repair finds any row."


def _before_after(
    each: Integrity, found: dict[str, Violations], rehearsals: dict[str, Rehearsal]
) -> list[Row]:
    deletes = each.repair.split()[0].lower() == "delete"
    shown = {
        "violates": found[each.name].sample,
        "would be deleted" if deletes else "would become": rehearsals[each.name].after,
    }
    return [
        {"check": each.name, "state": "to do", "what": what, "row": _words(row)}
        for what, rows in shown.items()
        for row in rows[:_MOST_ROWS]
    ]


def _mark(sample: list[Row], check: Integrity, state: str) -> None:
    """Note in the rows of `check` how far its repair has come."""
    for row in sample:
        if row["check"] == check.name:
            row["state"] = state


def _warnings(
    target: Target,
    todo: Sequence[Integrity],
    rehearsals: dict[str, Rehearsal],
    by_hand: Sequence[str],
) -> Iterator[str]:
    if todo:
        yield (
            "A repair that is committed cannot be undone but from a backup: "
            + commands.run("database/backup", target, apply=True)
        )
    for each in todo:
        if rehearsals[each.name].left.count:
            yield f"The repair of {each.name} does not mend all, so it will be rolled back."
    if by_hand:
        yield f"{and_list(by_hand)} has no repair: correct its rows by hand."


def _effect(target: Target, mended: Sequence[str], ours: Sequence[str]) -> Finding:
    """Return whether the checks `mended` find nothing and the queues `ours` run."""
    checked = [integrity(target, each) for each in mended]
    paused = sorted(set(ours) - set(running(target, ours)))
    words = [finding.message for finding in checked]
    if paused:
        words.append(f"Still paused: {and_list(paused)}.")
    elif ours:
        words.append(f"Running again: {and_list(ours)}.")
    return Finding(
        status=worst(
            [Status.CRIT if paused else Status.OK, *(finding.status for finding in checked)]
        ),
        message=" ".join(words) or "There was nothing to mend.",
        rows=[row for finding in checked for row in finding.rows],
    )

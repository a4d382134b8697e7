"""Repair inconsistent rows, while the queues whose jobs write them are paused.

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
from opsnb.systems.database.connecting import writing
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.integrity import (
    Rehearsal,
    Violations,
    check_of,
    checking,
    rehearse,
    rehearsing,
    repair,
    violations,
)
from opsnb.systems.database.settings import Database, Integrity
from opsnb.systems.queues.holding import held, holding, left_by, running, to_hold, wait_until_idle
from opsnb.view import commands
from opsnb.view.formats import and_list

RECORDED_AS = "repair"

REASON = "for the repair of data"
"""The note of a pause, by which the next run recognises its own pauses."""

_LIMIT_S = 180.0
_MOST_ROWS = 5


@check(
    needs=(database.SYSTEM,),
    limit_s=_LIMIT_S,
    treated_by="no repair is configured for it, see [[targets.NAME.integrity]]",
)
def integrity(target: Target, name: str = "") -> Finding:
    """Inconsistent rows.

    By all of the target's checks, or by the one of that name. Raises UsageError if there is no such
    check.
    """
    checks = _chosen(target, name)
    with checking(target) as connection:
        return _judged(connection, checks)


def _judged(connection: Connection, checks: Sequence[Integrity]) -> Finding:
    """Return the finding of the `checks`."""
    rows, statuses, words, violated = [], [Status.OK], [], []
    for rule in checks:
        try:
            violation = violations(connection, rule)
        except ServiceError as error:
            statuses.append(Status.UNKNOWN)
            words.append(str(error))
            rows.append(_row(rule, None, str(error)))
            continue
        if violation.count:
            statuses.append(Status.CRIT)
            words.append(f"{violation.count:,} rows violate {rule.name}.")
            violated.append(rule)
        rows.append(_row(rule, violation.count))
    return Finding(
        status=worst(statuses),
        message=" ".join(words) or f"No row violates {and_list(row['check'] for row in rows)}.",
        value=sum(row["violations"] or 0 for row in rows),
        unit="rows",
        rows=rows,
        remedies=[
            Remedy.of(
                "incidents/data_inconsistency",
                "shows what its repair would change; with --apply runs it",
                check=rule.name,
            )
            for rule in violated
            if rule.repair
        ],
    )


@check(needs=(queues.SYSTEM,))
def left_paused(target: Target) -> Finding:
    """Queues that a repair left paused"""
    # The remedy is not the repair, which would also fix everything else that is wrong.
    return left_by("repair", held(target, _queues(Database.of(target).integrity), REASON))


def violating(target: Target, name: str = "") -> list[Row]:
    """The first rows that violate a check"""
    checks = _chosen(target, name)
    with checking(target) as connection:
        return [
            {"check": rule.name, "row": _words(row)}
            for rule in checks
            for row in violations(connection, rule).sample
        ]


@action(needs=(database.SYSTEM,), recorded_as="repair.mend")
def repair_rows(
    target: Target, former: ActionRecord | None, name: str = "", *, wait_s: float = 60
) -> Plan:
    """Repair inconsistent rows.

    By the repair of the check `name`, or of every check that finds something. The related queues
    are paused meanwhile, and active jobs get `wait_s` seconds to end. A repair is committed only if
    its check then finds nothing. Queues that an interrupted run left paused are resumed as well.
    The action is refused if the BullMQ version of a queue is unknown. Raises UsageError if there is
    no such check.
    """
    checks = _chosen(target, name)
    with checking(target) as connection:
        before = {rule.name: violations(connection, rule) for rule in checks}
    violated = [rule for rule in checks if before[rule.name].count]
    todo = [
        rule
        for rule in violated
        if rule.repair and (former is None or rule.name in former.terms["checks"])
    ]
    by_hand = [rule.name for rule in violated if not rule.repair]
    rehearsals = _rehearsed(target, todo)
    left = held(target, _queues(Database.of(target).integrity), REASON)
    related = _queues(todo)
    ours, refusal = to_hold(target, related, left)
    pausing = ours[len(left) :]
    sample = [row for rule in todo for row in _before_after(rule, before, rehearsals)]
    terms = former.terms if former else {"checks": [rule.name for rule in todo]}

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        done = 0
        with holding(target, permit, ours, REASON) if ours else nullcontext():
            if pausing:
                done = len(pausing)
                yield done
            wait_until_idle(target, related, wait_s)
            with writing(target, permit) as server:
                for rule in todo:
                    # Journalled before and after, so that a killed run shows which repairs were
                    # committed, and for which one that is unknown.
                    _mark(sample, rule, "under way")
                    yield done
                    repair(server, rule)
                    _mark(sample, rule, "repaired")
                    done += 1
                    yield done
        if ours:
            yield done + len(ours)

    def verify() -> list[Finding]:
        repaired = [rule for rule in checks if rule.name in terms["checks"]]
        return [_effect(target, repaired, ours)]

    return Plan(
        summary=" ".join(_summary(todo, before, rehearsals, pausing, left)),
        planned=len(pausing) + len(todo) + len(ours),
        unit="steps",
        command="; ".join(rule.repair for rule in todo) or "the repair of a check, in SQL",
        undo="",
        work=work,
        verify=verify,
        sample=sample,
        basis=[rule.name for rule in todo],
        warning=" ".join(_warnings(target, todo, rehearsals, by_hand)),
        refusal=refusal,
        journal_each=True,
        terms=terms,
    )


def _rehearsed(target: Target, checks: Sequence[Integrity]) -> dict[str, Rehearsal]:
    """Return the effect that the repair of each of the `checks` would have."""
    if not checks:
        return {}
    with rehearsing(target) as connection:
        return {rule.name: rehearse(connection, rule) for rule in checks}


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
    return list(dict.fromkeys(queue for rule in checks for queue in rule.queues))


def _row(rule: Integrity, count: int | None, said: str = "") -> Row:
    return {
        "check": rule.name,
        "violations": count,
        "repair": "by its SQL" if rule.repair else "by hand",
        "queues": ", ".join(rule.queues),
        "said": said,
    }


def _words(row: Row) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row.items())


def _summary(
    todo: Sequence[Integrity],
    before: dict[str, Violations],
    rehearsals: dict[str, Rehearsal],
    pausing: Sequence[str],
    left: Sequence[str],
) -> Iterator[str]:
    for rule in todo:
        tried = rehearsals[rule.name]
        yield (
            f"Repair {rule.name}: {before[rule.name].count:,} rows violate it, the repair changes "
            f"{tried.changed:,} and leaves {tried.left.count:,} that do."
        )
    if pausing:
        yield f"Paused meanwhile: {and_list(pausing)}."
    if left:
        yield f"Resume {and_list(left)}, left paused by an interrupted repair."
    if not todo and not left:
        yield "No check with a repair finds any row."


def _before_after(
    rule: Integrity, before: dict[str, Violations], rehearsals: dict[str, Rehearsal]
) -> list[Row]:
    deletes = rule.repair.split()[0].lower() == "delete"
    shown = {
        "violates": before[rule.name].sample,
        "would be deleted" if deletes else "would become": rehearsals[rule.name].after,
    }
    return [
        {"check": rule.name, "state": "to do", "what": what, "row": _words(row)}
        for what, rows in shown.items()
        for row in rows[:_MOST_ROWS]
    ]


def _mark(sample: list[Row], rule: Integrity, state: str) -> None:
    """Set the state of a repair in the rows of its check."""
    for row in sample:
        if row["check"] == rule.name:
            row["state"] = state


def _warnings(
    target: Target,
    todo: Sequence[Integrity],
    rehearsals: dict[str, Rehearsal],
    by_hand: Sequence[str],
) -> Iterator[str]:
    if todo:
        yield (
            "Only a backup can undo a committed repair: "
            + commands.run("database/backup", target, apply=True)
        )
    for rule in todo:
        if rehearsals[rule.name].left.count:
            yield f"The repair of {rule.name} does not fix all rows, so it will be rolled back."
    if by_hand:
        yield f"{and_list(by_hand)} has no repair: correct its rows by hand."


def _effect(target: Target, repaired: Sequence[Integrity], ours: Sequence[str]) -> Finding:
    """Return whether the checks `repaired` find nothing, and the queues `ours` run."""
    with checking(target) as connection:
        checked = [_judged(connection, [rule]) for rule in repaired]
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
        message=" ".join(words) or "There was nothing to repair.",
        rows=[row for finding in checked for row in finding.rows],
    )

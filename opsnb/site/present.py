"""The present state of what the newest run of each runbook found, as later runs measured it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row

from opsnb.model import Remedy, Status, worst
from opsnb.records.index import Index, filled
from opsnb.site.runs import Run, rows, runs

_Measured = Mapping[tuple[str, str], Row]
"""The last measurement of an object, by target and key."""


@dataclass(frozen=True)
class State:
    """The newest run of a runbook on a target, and what is left of its findings."""

    run: Run
    status: Status
    word: str
    """How it ended, or its status now."""
    sentence: str
    next: str
    """The command to type next; empty if there is none."""
    fixed_by: Run | None = None
    """The later run that measured the problem again and found it ok."""
    treated_by: Run | None = None
    """The later run that treated the problem, which was not measured again."""

    @classmethod
    def then(cls, run: Run) -> State:
        """Return the state at the end of the run."""
        return cls(run, run.status, run.outcome, run.sentence, run.next)


def present(index: Index, known: Sequence[Run]) -> list[State]:
    """Return the state of these runs: the newest of each runbook on each target.

    When a later run, of any runbook, measured the same object again, its last measurement counts. A
    problem that the runbook of its `Next:` has treated, but not measured again, is unknown. A run
    that failed keeps its status: what it did not reach is unknown.
    """
    ill = {run.run_id: run for run in known if not run.broke and run.status is not Status.OK}
    wrong: dict[str, list[Row]] = {}
    for row in rows(index, "wrong", run_ids=list(ill)):
        wrong.setdefault(row["run_id"], []).append(row)
    objects = {
        (ill[run_id].target, row["name"], row["key"])
        for run_id, found in wrong.items()
        for row in found
    }
    last = {
        (row["target"], row["key"]): row
        for row in rows(index, "measured_last", objects=sorted(objects))
    }
    acted = runs(rows(index, "treated", since=min(wrong, default="~")))
    return [
        _as_of_now(run, wrong[run.run_id], last, acted)
        if run.run_id in wrong and not run.broke
        else State.then(run)
        for run in known
    ]


def _as_of_now(run: Run, found: Sequence[Row], last: _Measured, acted: Sequence[Run]) -> State:
    wrong, fixed, treated = [], [], []
    for row in found:
        later = last.get((run.target, row["key"]))
        if later and later["at"] > row["at"] and later["found"] == Status.OK:
            fixed.append(filled(Run, later))
        elif treatment := _treatment(run, row, acted):
            treated.append(treatment)
        else:
            wrong.append(row)
    if wrong and not (fixed or treated):
        return State.then(run)
    if wrong:
        first = max(wrong, key=lambda row: Status(row["status"]).severity)
        status = worst(Status(row["status"]) for row in wrong)
        sentence = f"{first['label']}: {first['message']}" if first["label"] else first["message"]
        command = next((each.command for each in _remedies(first)), "")
        return State(run, status, status.value, sentence, command)
    if treated:
        by = max(treated, key=lambda each: each.started)
        return State(run, Status.UNKNOWN, "unknown", run.sentence, run.command, treated_by=by)
    by = max(fixed, key=lambda each: each.started)
    return State(run, Status.OK, "ok", run.sentence, "", fixed_by=by)


def _remedies(row: Row) -> list[Remedy]:
    return [Remedy.model_validate(each) for each in json.loads(row["remedies"])]


def _treatment(run: Run, wrong: Row, acted: Sequence[Run]) -> Run | None:
    """Return the newest run that has treated what is `wrong`, as its `Next:` says."""
    remedies = _remedies(wrong)
    for by in acted:
        if by.target != run.target or by.started <= datetime.fromisoformat(wrong["at"]):
            continue
        for remedy in remedies:
            wanted = remedy.parameters.items()
            if remedy.runbook == by.runbook and all(
                by.parameters.get(name) == value for name, value in wanted
            ):
                return by
    return None

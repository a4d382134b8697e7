"""The fields of a record that the site's lists need; few, so that thousands fit in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import Any

from opsnb.model import Finding, Remedy, RunResult, Status, worst
from opsnb.records.ending import word_in_lists
from opsnb.records.members import members
from opsnb.records.verdict import next_command, worst_sentence
from opsnb.view.findings import named, worst_first


@dataclass(frozen=True)
class Measured:
    """One measurement of a run: enough to compare it with a later one."""

    key: str
    status: Status
    at: datetime
    sentence: str
    """Empty when it is ok."""
    next: str
    """The command that fixes it; empty if there is none."""
    treatments: tuple[tuple[str, str], ...]
    """The runbooks that fix it, with their parameters in JSON."""

    @classmethod
    def of(cls, finding: Finding) -> Measured:
        """Return the measurement of `finding`."""
        is_ok = finding.status is Status.OK
        return cls(
            intern(finding.key),
            finding.status,
            finding.started,
            "" if is_ok else named(finding),
            next_command([finding]),
            tuple(
                (each.runbook, json.dumps(each.parameters, sort_keys=True))
                for each in finding.remedies
            ),
        )


@dataclass(frozen=True)
class Entry:
    """One record, as the lists show it."""

    run_id: str
    runbook: str
    title: str
    target: str
    status: Status
    outcome: str
    """How it ended in a word: its status, or why it ended early."""
    broke: bool
    started: datetime
    fleet: str | None
    """The summary that it belongs to, if any; its own run id if it is one."""
    parent: str | None
    """The run that it continues."""
    sentence: str
    """Why it failed, else its worst finding, else what it did or how many checks are ok."""
    details: str
    """Every sentence of a problem, for the search."""
    unrecorded: tuple[tuple[str, Status, str], ...] = ()
    """For a summary: target, status and sentence of each target without a record."""
    next: str = ""
    """The command that fixes its worst finding."""
    measured: tuple[Measured, ...] = ()
    """Its findings that count."""
    parameters: str = "{}"
    """In JSON."""
    acted: bool = False
    """Whether it changed something, verified it, and succeeded."""
    fixed_by: Entry | None = None
    """The later run that measured the problem again and found it ok."""
    treated_by: Entry | None = None
    """The later run that treated the problem, which was not measured again."""

    @classmethod
    def of(cls, result: RunResult) -> Entry:
        """Return the entry of `result`."""
        noteworthy = [
            finding
            for finding in worst_first(result.counted)
            if finding.status not in (Status.OK, Status.SKIPPED)
        ]
        messages = [finding.message for finding in noteworthy]
        sentences = [result.error, *messages] if result.error else messages
        return cls(
            run_id=result.run_id,
            runbook=result.runbook,
            title=result.title or result.runbook,
            target=result.target,
            status=result.status,
            outcome=word_in_lists(result).lower(),
            broke=result.error is not None,
            started=result.started,
            fleet=result.fleet,
            parent=result.parent,
            sentence=worst_sentence(result),
            details=" ".join(sentences),
            unrecorded=tuple(
                (member.target, member.status, member.sentence)
                for member in (members(result) if result.is_summary else ())
                if member.run_id is None
            ),
            next=next_command(result.counted),
            parameters=json.dumps(result.parameters),
            acted=result.exit_code == 0 and any(each.verified for each in result.actions),
            measured=tuple(
                Measured.of(each) for each in result.counted if each.status is not Status.SKIPPED
            ),
        )

    @property
    def is_summary(self) -> bool:
        """Whether it sums up runs of several targets."""
        return self.fleet == self.run_id

    @property
    def command(self) -> str:
        """The line that runs the same again, without changing anything."""
        given = {
            name: value
            for name, value in json.loads(self.parameters).items()
            if value and isinstance(value, str) and name not in ("target", "confirm")
        }
        return Remedy(runbook=self.runbook, parameters=given, target=self.target).command

    @property
    def page(self) -> str:
        """The file of its page, in the folder of the records' pages."""
        return f"{self.run_id}.html"

    @property
    def month(self) -> str:
        """The month in which it ran, `2026-11`."""
        return f"{self.started:%Y-%m}"


def latest(entries: Iterable[Entry]) -> list[Entry]:
    """Return the newest entry of each runbook on each target; `entries` come newest first.

    Of a summary of several targets, its members count, including those without a record because
    they could not start.
    """
    newest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if not entry.is_summary:
            newest.setdefault((entry.target, entry.runbook), entry)
        for target, status, sentence in entry.unrecorded:
            member = replace(
                entry, target=target, status=status, sentence=sentence, next="", measured=()
            )
            newest.setdefault((target, entry.runbook), member)
    return list(newest.values())


def present(entries: Iterable[Entry]) -> list[Entry]:
    """Return the newest entry of each runbook on each target, with its present status.

    When a later run, of any runbook, measured the same object again, its last measurement counts. A
    problem that the runbook of its `Next:` has treated, but not measured again, is unknown. A run
    that failed keeps its status: what it did not reach is unknown.
    """
    known = list(entries)
    last: dict[tuple[str, str], tuple[Measured, Entry]] = {}
    for entry in known:
        for found in () if entry.is_summary else entry.measured:
            key = (entry.target, found.key)
            is_newer = key not in last or last[key][0].at < found.at
            if found.status is not Status.UNKNOWN and is_newer:
                last[key] = found, entry
    acted = [entry for entry in known if entry.acted]
    return [_as_of_now(entry, last, acted) for entry in latest(known)]


def _as_of_now(
    entry: Entry, last: dict[tuple[str, str], tuple[Measured, Entry]], acted: Sequence[Entry]
) -> Entry:
    if entry.broke or entry.is_summary or entry.status is Status.OK:
        return entry
    wrong, fixed, treated = [], [], []
    for found in entry.measured:
        if found.status is Status.OK:
            continue
        later, by = last.get((entry.target, found.key), (found, entry))
        if by is not entry and later.at > found.at and later.status is Status.OK:
            fixed.append(by)
        elif treatment := _treatment(entry, found, acted):
            treated.append(treatment)
        else:
            wrong.append(found)
    if wrong:
        if not fixed and not treated:
            return entry
        first = max(wrong, key=lambda each: each.status.severity)
        status = worst(each.status for each in wrong)
        return _now(entry, status, sentence=first.sentence, next=first.next)
    if treated:
        newest = max(treated, key=lambda by: by.started)
        return _now(entry, Status.UNKNOWN, next=entry.command, treated_by=newest)
    if not fixed:  # nothing was measured, so nothing can have been measured again
        return entry
    newest = max(fixed, key=lambda by: by.started)
    return _now(entry, Status.OK, next="", fixed_by=newest)


def _now(entry: Entry, status: Status, **more: Any) -> Entry:
    return replace(entry, status=status, outcome=status.value, **more)


def _treatment(entry: Entry, wrong: Measured, acted: Sequence[Entry]) -> Entry | None:
    """Return the newest run that has treated what is `wrong`, as its `Next:` says."""
    for by in acted:
        if by.target != entry.target or by.started <= wrong.at:
            continue
        parameters = json.loads(by.parameters)
        for runbook, given in wrong.treatments:
            wanted = json.loads(given).items()
            if runbook == by.runbook and all(parameters.get(name) == to for name, to in wanted):
                return by
    return None

"""What the site's lists need of a record: a few fields, so that thousands fit in memory."""

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
    """What a run found of one thing: enough to say whether a later run found it otherwise."""

    key: str
    status: Status
    at: datetime
    sentence: str
    """Empty when it is ok."""
    next: str
    """The command that treats it; empty when there is none."""
    treatments: tuple[tuple[str, str], ...]
    """The runbooks that treat it, each with its parameters in JSON."""

    @classmethod
    def of(cls, finding: Finding) -> Measured:
        """Return what `finding` says of one thing."""
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
    """The word for how it ended: its status, or why it ended early."""
    broke: bool
    started: datetime
    fleet: str | None
    """The summary that it belongs to, if any; its own run id if it is one."""
    parent: str | None
    """The run that it continues."""
    sentence: str
    """Why it broke, else its worst finding, else what it did or how many checks are ok."""
    details: str
    """Every sentence that is not an ok one, for the search."""
    unrecorded: tuple[tuple[str, Status, str], ...] = ()
    """Of a summary: target, status and sentence of each that has no record of its own."""
    next: str = ""
    """The command that treats the worst of it."""
    measured: tuple[Measured, ...] = ()
    """What counts of its findings."""
    parameters: str = "{}"
    """In JSON."""
    acted: bool = False
    """Whether it changed something, verified that, and ended well."""
    fixed_by: Entry | None = None
    """The later run that measured again what was wrong, and found it ok."""
    treated_by: Entry | None = None
    """The later run that treated what is wrong, which has not been measured again since."""

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

    Summaries of several targets are none of these: their members are, also those that have no
    record as nothing could be started on them.
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
    """Return the newest entry of each runbook on each target, as its findings stand now.

    What a later run, also of another runbook, measured again on the same object counts as it was
    measured last. What the runbook of its `Next:` has treated since, without measuring it again,
    is unknown. A run that broke keeps its status: what it did not come to is not known.
    """
    known = list(entries)
    last: dict[tuple[str, str], tuple[Measured, Entry]] = {}
    for entry in known:
        for each in () if entry.is_summary else entry.measured:
            key = (entry.target, each.key)
            if each.status is not Status.UNKNOWN and (key not in last or last[key][0].at < each.at):
                last[key] = each, entry
    acted = [entry for entry in known if entry.acted]
    return [_as_it_stands(entry, last, acted) for entry in latest(known)]


def _as_it_stands(
    entry: Entry, last: dict[tuple[str, str], tuple[Measured, Entry]], acted: Sequence[Entry]
) -> Entry:
    if entry.broke or entry.is_summary or entry.status is Status.OK:
        return entry
    wrong, fixed, treated = [], [], []
    for each in entry.measured:
        if each.status is Status.OK:
            continue
        later, by = last.get((entry.target, each.key), (each, entry))
        if by is not entry and later.at > each.at and later.status is Status.OK:
            fixed.append(by)
        elif treatment := _treatment(entry, each, acted):
            treated.append(treatment)
        else:
            wrong.append(each)
    if wrong:
        if not fixed and not treated:
            return entry
        first = max(wrong, key=lambda each: each.status.severity)
        status = worst(each.status for each in wrong)
        return _now(entry, status, sentence=first.sentence, next=first.next)
    if treated:
        newest = max(treated, key=lambda by: by.started)
        return _now(entry, Status.UNKNOWN, next=entry.command, treated_by=newest)
    if not fixed:  # nothing was measured, so nothing can have been measured since
        return entry
    newest = max(fixed, key=lambda by: by.started)
    return _now(entry, Status.OK, next="", fixed_by=newest)


def _now(entry: Entry, status: Status, **more: Any) -> Entry:
    return replace(entry, status=status, outcome=status.value, **more)


def _treatment(entry: Entry, wrong: Measured, acted: Sequence[Entry]) -> Entry | None:
    """Return the run that has treated what is `wrong` since, as its `Next:` says; the newest."""
    for by in acted:
        if by.target != entry.target or by.started <= wrong.at:
            continue
        parameters = json.loads(by.parameters)
        for runbook, given in wrong.treatments:
            asked = json.loads(given).items()
            if runbook == by.runbook and all(parameters.get(name) == to for name, to in asked):
                return by
    return None

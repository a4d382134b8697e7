"""What the site's lists need of a record: a few fields, so that thousands fit in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from opsnb.model import RunResult, Status
from opsnb.records.members import members
from opsnb.records.show import worst_sentence
from opsnb.view import worst_first


@dataclass(frozen=True)
class Entry:
    """One record, as the lists show it."""

    run_id: str
    runbook: str
    title: str
    target: str
    status: Status
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

    @classmethod
    def of(cls, result: RunResult) -> Entry:
        """Return the entry of `result`."""
        noteworthy = [
            finding
            for finding in worst_first(result.findings)
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
        )

    @property
    def is_summary(self) -> bool:
        """Whether it sums up runs of several targets."""
        return self.fleet == self.run_id

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
            member = replace(entry, target=target, status=status, sentence=sentence)
            newest.setdefault((target, entry.runbook), member)
    return list(newest.values())

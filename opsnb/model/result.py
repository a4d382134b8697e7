"""The result of a run, and how its status follows from findings and actions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from opsnb.model.action import ActionRecord
from opsnb.model.finding import LATE, Finding
from opsnb.model.status import Status, worst


class Seal(BaseModel):
    """Shows later that a record is as it was written, and which records came before it."""

    model_config = LATE

    sha256: str = ""
    """Of `result.json` with zeros in this place: of the whole record, and of `previous`."""
    notebook_sha256: str = ""
    """Of `record.ipynb`."""
    at: datetime
    """When it was written; never before the records that it names."""
    previous: dict[str, str] = Field(default_factory=dict)
    """The records that no other one named yet: run id to the `sha256` of the seal."""


class RunResult(BaseModel):
    """The content of `result.json`: one execution of a runbook against one target."""

    model_config = LATE

    run_id: str
    runbook: str
    title: str = ""
    runbook_sha256: str
    """Of the notebook's file when the run began."""
    commit: str | None = None
    """The git commit of that file, with a `+` if it had uncommitted changes."""
    target: str
    operator: str
    host: str
    """The machine that the run ran on."""
    trigger: str = "manual"
    incident: str | None = None
    scheduled: datetime | None = None
    parent: str | None = None
    """The run that this one continues."""
    fleet: str | None = None
    """The run on several targets that this one belongs to; in its summary, its own id."""
    open: bool = False
    """True while it is open in JupyterLab, so that more may follow."""
    parameters: dict[str, Any]
    status: Status
    exit_code: int
    error: str | None = None
    """Why the run broke, in one sentence; None when it ran to its end."""
    kept_late: str = ""
    """Why the record was written only after the run; empty when it was written as it ended."""
    location: str = Field(default="", exclude=True)
    """Where the record waits because the store could not be written; not recorded."""
    findings: list[Finding] = Field(default_factory=list)
    actions: list[ActionRecord] = Field(default_factory=list)
    started: datetime
    finished: datetime
    seconds: float
    opsnb_version: str
    seal: Seal | None = None
    """Set when the record is final; older versions of opsnb wrote none. The last key of all."""

    @property
    def origin(self) -> str:
        """What started it, in words, and whether more may follow."""
        return f"{self.trigger}, still open" if self.open else self.trigger

    @property
    def counted(self) -> list[Finding]:
        """The findings that count: those not measured again after an action."""
        return [finding for finding in self.findings if not finding.superseded]

    @property
    def is_summary(self) -> bool:
        """Whether this summarises runs on several targets, and is no run itself."""
        return self.fleet == self.run_id

    @property
    def ended(self) -> bool:
        """Whether it ran to its end and completed every action that it began."""
        return self.error is None and not any(action.is_incomplete for action in self.actions)


def status_of(findings: Sequence[Finding]) -> Status:
    """Return the status of a run with these `findings`, without those that were superseded.

    Where checks ran and none of them measured anything, no action makes the run ok.
    """
    counted = [finding for finding in findings if not finding.superseded]
    checks = [finding for finding in counted if finding.action is None]
    blind = bool(checks) and not any(finding.is_measured for finding in checks)
    return worst([*(finding.status for finding in counted), *([Status.UNKNOWN] * blind)])


def superseded(findings: Sequence[Finding], actions: Sequence[ActionRecord]) -> list[Finding]:
    """Return `findings`, marking those that were measured again after one of `actions`.

    A finding is superseded by a later one of the same key, when an action that changed something
    ended between the two and the later one came to a verdict. Time decides, not the order in the
    notebook: an early ok never hides a later crit.
    """
    begun = [action for action in actions if action.begun]
    ends = [end for action in begun for end in (action.finished, action.measured) if end]
    verdicts: dict[str, list[datetime]] = {}
    for finding in findings:
        if finding.is_measured:
            verdicts.setdefault(finding.key, []).append(finding.started)

    def is_measured_again(finding: Finding) -> bool:
        return any(
            finding.started < end <= later
            for later in verdicts.get(finding.key, ())
            for end in ends
        )

    return [
        finding.model_copy(update={"superseded": is_measured_again(finding)})
        for finding in findings
    ]

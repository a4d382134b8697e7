"""What a run leaves, and which status follows from what it found and did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from opsnb.model.action import ActionRecord
from opsnb.model.finding import LATE, Finding
from opsnb.model.status import Status, worst


class RunResult(BaseModel):
    """What `result.json` holds: one execution of a runbook against one target."""

    model_config = LATE

    run_id: str
    runbook: str
    title: str = ""
    runbook_sha256: str
    """Of the notebook's file as it was when the run began."""
    commit: str | None = None
    """The git commit of that file, with `+` behind it when it had been changed since."""
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
    """The run of several targets that this one belongs to; its own id in their summary."""
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
    """Where the record waits, as the store could not be written; no part of the record itself."""
    findings: list[Finding] = Field(default_factory=list)
    actions: list[ActionRecord] = Field(default_factory=list)
    started: datetime
    finished: datetime
    seconds: float
    opsnb_version: str

    @property
    def origin(self) -> str:
        """What began it, in words, and whether more may follow."""
        return f"{self.trigger}, still open" if self.open else self.trigger

    @property
    def counted(self) -> list[Finding]:
        """The findings that count: without those that were measured again after an action."""
        return [finding for finding in self.findings if not finding.superseded]

    @property
    def is_summary(self) -> bool:
        """Whether this sums up runs of several targets, and is no run of its own."""
        return self.fleet == self.run_id

    @property
    def ended(self) -> bool:
        """Whether it ran to its end, and every action that it began did."""
        return self.error is None and not any(action.cut_off for action in self.actions)


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

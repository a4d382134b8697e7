"""What a run produces: findings, and the result that sums them up.

These are the shapes of `result.json` and of the MIME types in an executed notebook, so a change
here changes what is stored. Fields may be added; they are never renamed.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from opsnb.errors import ExitCode
from opsnb.view.commands import Named, noted, run_on

FINDING_MIME = "application/vnd.opsnb.finding+json"
FINDINGS_MIME = "application/vnd.opsnb.findings+json"
"""A list of findings that are shown together, such as the causes that are ruled out."""
ACTION_MIME = "application/vnd.opsnb.action+json"
TABLE_MIME = "application/vnd.opsnb.table+json"
PROGRESS_MIME = "application/vnd.opsnb.progress+json"
"""What a watch measured last, in words: shown at a terminal while the run goes on."""
TARGET_KEY = "opsnb_target"
"""In the metadata of an output: the target that it is about."""
SESSION_KEY = "opsnb_session"
"""In the metadata of an output: the session that it began, with `target`, `protected`, `armed`."""

if TYPE_CHECKING:
    from pandas import DataFrame

# Built when first used: what only lists runbooks uses none of them.
_LATE = ConfigDict(defer_build=True)

Row = dict[str, Any]
"""One line of evidence: column name to a JSON value."""


class Status(StrEnum):
    """The outcome of a check, or of a run. `ok` < `warn` < `crit`."""

    OK = "ok"
    WARN = "warn"
    CRIT = "crit"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"

    @property
    def severity(self) -> int:
        """Rank for sorting, the worst highest. What could not be measured may be critical."""
        return _BY_SEVERITY.index(self)

    @property
    def exit_code(self) -> int:
        """The monitoring-plugins convention: 0 ok, 1 warn, 2 crit, 3 unknown."""
        return ExitCode.__members__.get(self.name, ExitCode.UNKNOWN)


_BY_SEVERITY = (Status.SKIPPED, Status.OK, Status.WARN, Status.UNKNOWN, Status.CRIT)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of `statuses`; `unknown` when nothing was measured at all."""
    measured = [status for status in statuses if status is not Status.SKIPPED]
    return max(measured, key=lambda status: status.severity, default=Status.UNKNOWN)


def status_of(findings: Sequence[Finding]) -> Status:
    """Return the status of a run with these `findings`, those that were superseded left aside.

    Where checks ran and none of them measured anything, no action makes the run ok.
    """
    counted = [finding for finding in findings if not finding.superseded]
    checks = [finding for finding in counted if finding.action is None]
    blind = bool(checks) and not any(finding.is_measured for finding in checks)
    return worst([*(finding.status for finding in counted), *([Status.UNKNOWN] * blind)])


def superseded(findings: Sequence[Finding], actions: Sequence[ActionRecord]) -> list[Finding]:
    """Return `findings`, those marked that were measured again after one of `actions`.

    A finding is superseded by a later one of the same key, when an action that changed something
    ended between the two and the later one came to a verdict. Time decides, not the order in the
    notebook: an early ok never hides a later crit.
    """
    ends = [end for each in actions if each.begun for end in (each.finished, each.measured) if end]
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


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where a metric turns warn and crit.

    `metric` is its key in `opsnb.toml`, `unit` that of the limits, `source` the section of the
    handbook that sets them. A limit that is None never trips.
    """

    metric: str
    label: str
    unit: str
    warn: float | None = None
    crit: float | None = None
    lower_is_worse: bool = False
    inclusive: bool = False
    """True where the handbook expects "less than": the limit itself already trips."""
    source: str = ""
    action: str = ""
    """What the handbook says to do."""
    runbook: str = ""
    """The runbook that goes on from there."""

    @property
    def limits(self) -> dict[Status, float]:
        """The limits that there are, the milder first."""
        known = ((Status.WARN, self.warn), (Status.CRIT, self.crit))
        return {status: limit for status, limit in known if limit is not None}

    def room(self, value: float, limit: float) -> float:
        """Return how far `value` is from `limit`; negative when it is past it."""
        return value - limit if self.lower_is_worse else limit - value

    def judge(self, value: float) -> Status:
        """Return the status of `value`, in the threshold's unit; `unknown` when it is NaN."""
        if math.isnan(value):
            return Status.UNKNOWN
        if self._trips(value, self.crit):
            return Status.CRIT
        return Status.WARN if self._trips(value, self.warn) else Status.OK

    def _trips(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        if self.lower_is_worse:
            beyond = operator.le if self.inclusive else operator.lt
        else:
            beyond = operator.ge if self.inclusive else operator.gt
        return bool(beyond(value, limit))


class Remedy(BaseModel):
    """The runbook that treats what a finding reports, with its parameters filled in."""

    model_config = _LATE

    runbook: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Besides the target."""
    apply: bool = False
    """Whether its first run may act at once; else read its plan first."""
    why: str = ""
    """What it does about it, in a few words."""
    target: str = ""
    """Filled in by the check."""
    protected: bool = False
    """Whether the target is: then its name is typed too. Filled in by the check."""

    @property
    def words(self) -> str:
        """What the runbook does about it, as a sentence with its id; empty without `why`."""
        return self.why and f"{self.runbook} {self.why}"

    @property
    def command(self) -> str:
        """The line that runs it, as typed into a shell."""
        confirm = self.target if self.protected else ""
        return noted(
            run_on(self.runbook, self.target, self.parameters, apply=self.apply, confirm=confirm)
        )

    def on(self, target: Named) -> Self:
        """Return this remedy for `target`."""
        return self.model_copy(update={"target": target.name, "protected": target.protected})


class Coverage(StrEnum):
    """How much of what it asked for a check could see."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NONE = "none"


class Evidence(BaseModel):
    """What a finding rests on."""

    model_config = _LATE

    coverage: Coverage = Coverage.COMPLETE
    gaps: list[str] = Field(default_factory=list)
    """What could not be seen, and why; each may hide the contrary of what was found."""
    extras: list[str] = Field(default_factory=list)
    """What could not be added, though the verdict stands without it."""


class Finding(BaseModel):
    """The structured result of one check."""

    model_config = _LATE

    name: str = ""
    """`system.check`, filled in from the check's own name."""
    title: str = ""
    """What is checked, in words; of a cause, the fault itself: `Worker down`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Which object and limits the check was given. With the name, they say what was measured."""
    condition: str = ""
    """What is measured, where checks of different names measure the same; else the name says it."""
    status: Status
    message: str
    """One sentence that a tired person understands."""
    value: float | None = None
    unit: str = ""
    threshold: Threshold | None = None
    rows: list[Row] = Field(default_factory=list)
    failure: str = ""
    """Why nothing was measured, as the class of the error; empty when something was."""
    evidence: Evidence = Field(default_factory=Evidence)
    """Whether the check saw all that it asked for."""
    settled: bool = False
    """Whether what was seen settles the question, whatever could not be seen."""
    caused_by: str | None = None
    """For `skipped`: the finding that reports the cause."""
    blames: list[str] = Field(default_factory=list, exclude=True)
    """The systems that are the reason; where they are reported as down, this is no alarm more."""
    is_cause: bool = False
    """Whether this is a possible cause of a symptom: `ok` then means that it is ruled out."""
    cause_of: str | None = None
    """For a cause: the finding that reports the symptom."""
    explained_by: str | None = None
    """For a symptom: the finding that reports its likeliest cause. Both are one alarm."""
    share: float | None = None
    """For a cause: how much of the symptom it explains, from 0 to 1; by it causes are ranked."""
    remedies: list[Remedy] = Field(default_factory=list)
    """What treats it, the best first."""
    untreated: str = ""
    """Why no runbook treats it."""
    action: str | None = None
    """The id of the action whose plan or effect this reports; None for a check's own finding."""
    superseded: bool = False
    """Whether it was measured again after an action: then the later finding counts instead."""
    started: datetime = Field(default_factory=now)
    seconds: float = 0.0
    """Wall time of the check."""

    def _ipython_display_(self) -> None:
        """Say nothing as the last value of a cell: the session has shown it."""

    def frame(self) -> DataFrame:
        """Return the rows as a pandas frame, to explore in a notebook."""
        import pandas as pd  # noqa: PLC0415 - late: most notebooks ask for no frame

        return pd.DataFrame(self.rows)

    @property
    def key(self) -> str:
        """What was measured, on which object: findings of one key replace one another."""
        given = json.dumps(self.arguments, sort_keys=True) if self.arguments else ""
        return f"{self.condition or self.name} {given}".rstrip()

    @property
    def is_ruled_out(self) -> bool:
        """Whether this is a cause that a measurement rules out."""
        return self.is_cause and self.status is Status.OK

    @property
    def is_alarm(self) -> bool:
        """Whether this is a warning or critical."""
        return self.status in (Status.WARN, Status.CRIT)

    @property
    def is_measured(self) -> bool:
        """Whether the check came to a verdict."""
        return self.status in (Status.OK, Status.WARN, Status.CRIT)

    @classmethod
    def measured(
        cls,
        value: float,
        threshold: Threshold,
        message: str,
        *,
        rows: list[Row] | None = None,
        **more: Any,
    ) -> Self:
        """Return the finding for `value`, judged by `threshold` and in its unit.

        `more` are other fields of it, such as `remedies`.
        """
        return cls(
            status=threshold.judge(value),
            message=message,
            value=value,
            unit=threshold.unit,
            threshold=threshold,
            rows=rows or [],
            **more,
        )


class ActionState(StrEnum):
    """The state of an action."""

    PLANNED = "planned"
    REFUSED = "refused"
    APPLYING = "applying"
    """Being applied at the last report: after a kill, what is done is unknown."""
    APPLIED = "applied"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Table(BaseModel):
    """What a runbook shows without judging it."""

    model_config = _LATE

    title: str
    rows: list[Row] = Field(default_factory=list)
    """As many as a page shows."""
    total: int = 0
    """How many there are."""


class ActionRecord(BaseModel):
    """The journal of one action: what was planned, what was done, whether it had its effect."""

    model_config = _LATE

    id: str
    name: str
    """`system.action`."""
    title: str
    target: str
    protected: bool = False
    """Whether the target is, so that applying it takes its name."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What the action was given besides the target: by this a continued run knows it again."""
    terms: dict[str, Any] = Field(default_factory=dict)
    """What the plan fixed, such as a moment or a name: by this a continued run plans the rest."""
    continues: str | None = None
    """The run whose action this one verified or finished."""
    state: ActionState = ActionState.PLANNED
    summary: str = ""
    """One sentence: what would change."""
    planned: int = 0
    """How many would change."""
    applied: int = 0
    """How many have been changed."""
    verified: bool | None = None
    """Whether measuring showed the effect; None when nothing was applied."""
    unit: str = ""
    bytes: int | None = None
    sample: list[Row] = Field(default_factory=list)
    command: str = ""
    """The handbook's own command that this stands for."""
    undo: str = ""
    """How it can be undone; empty when it cannot."""
    warning: str = ""
    error: str | None = None
    """Why it was refused, interrupted or failed, and what is done."""
    started: datetime | None = None
    finished: datetime | None = None
    measured: datetime | None = None
    """When this run began to measure its effect."""

    @property
    def begun(self) -> bool:
        """Whether its work has begun, so that something may have been changed."""
        return self.started is not None

    @property
    def cut_off(self) -> bool:
        """Whether its work has begun and is not complete."""
        return self.begun and self.state is not ActionState.APPLIED

    def _ipython_display_(self) -> None:
        """Say nothing as the last value of a cell: the session has shown it."""


class Seal(BaseModel):
    """What shows later that a record is as it was written, and which records came before it."""

    model_config = _LATE

    sha256: str = ""
    """Of `result.json` with zeros in this place; so of the whole record and of `previous`."""
    notebook_sha256: str = ""
    """Of `record.ipynb`."""
    at: datetime
    """When it was written; never before what it names."""
    previous: dict[str, str] = Field(default_factory=dict)
    """The records that no other one named yet, with the `sha256` of their seals, by run id."""


class RunResult(BaseModel):
    """What `result.json` holds: one execution of a runbook against one target."""

    model_config = _LATE

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
    seal: Seal | None = None
    """Set when the record is final; older versions of opsnb wrote none. The last key of all."""

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

"""What a check reports, what that rests on, and which runbooks treat it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from opsnb.model.status import Status
from opsnb.model.threshold import Threshold
from opsnb.view.commands import Named, noted, run_on

if TYPE_CHECKING:
    from pandas import DataFrame

LATE = ConfigDict(defer_build=True)
"""Models are built when first used: a command that only lists runbooks uses none."""

Row = dict[str, Any]
"""One line of evidence: column name to a JSON value."""


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


class Remedy(BaseModel):
    """The runbook that treats what a finding reports, with its parameters filled in."""

    model_config = LATE

    runbook: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Besides the target."""
    apply: bool = False
    """Whether its command applies at once; without it, the command shows the plan."""
    why: str = ""
    """What it does about it, in a few words."""
    target: str = ""
    """Filled in by the check."""
    protected: bool = False
    """Whether the target is protected, which takes its name. Filled in by the check."""

    @classmethod
    def of(cls, runbook: str, why: str = "", *, apply: bool = False, **parameters: Any) -> Self:
        """Return the remedy by `runbook` with `parameters`; `why` says what it does about it."""
        return cls(runbook=runbook, why=why, apply=apply, parameters=parameters)

    @property
    def words(self) -> str:
        """What the runbook does about it, with its id; empty without `why`."""
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
    """How much a check could see of what it needs."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NONE = "none"


class Evidence(BaseModel):
    """What a finding rests on."""

    model_config = LATE

    coverage: Coverage = Coverage.COMPLETE
    gaps: list[str] = Field(default_factory=list)
    """What could not be seen, and why; each may hide the opposite of the verdict."""
    extras: list[str] = Field(default_factory=list)
    """Missing extras, on which the verdict does not depend."""


class Finding(BaseModel):
    """The structured result of one check."""

    model_config = LATE

    name: str = ""
    """`system.check`, filled in from the check's own name."""
    title: str = ""
    """What is checked, in words; of a cause, the fault itself: `Worker down`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Which object and limits the check was given. With the name, they say what was measured."""
    condition: str = ""
    """What is measured, if checks of different names measure the same; else the name says it."""
    status: Status
    message: str
    """One sentence: what was measured, and what it means."""
    value: float | None = None
    unit: str = ""
    threshold: Threshold | None = None
    rows: list[Row] = Field(default_factory=list)
    failure: str = ""
    """Why nothing was measured, as the class of the error; empty when something was."""
    evidence: Evidence = Field(default_factory=Evidence)
    """Whether the check saw all that it needs."""
    settled: bool = False
    """Whether what was seen decides the status, so that gaps do not matter."""
    caused_by: str | None = None
    """For `skipped`: the finding that reports the cause."""
    blames: list[str] = Field(default_factory=list, exclude=True)
    """The systems that are the reason; when they are reported as down, this is no second alarm."""
    is_cause: bool = False
    """Whether this is a possible cause of a symptom: `ok` then means that it is ruled out."""
    cause_of: str | None = None
    """For a cause: the finding that reports the symptom."""
    explained_by: str | None = None
    """For a symptom: the finding that reports its likeliest cause. Both are one alarm."""
    share: float | None = None
    """For a cause: how much of the symptom it explains, from 0 to 1; by it causes are ranked."""
    remedies: list[Remedy] = Field(default_factory=list)
    """What treats it, the best one first."""
    untreated: str = ""
    """Why no runbook treats it."""
    action: str | None = None
    """The id of the action whose plan or effect this reports; None for a check's own finding."""
    superseded: bool = False
    """Whether it was measured again after an action, so that the later finding counts."""
    started: datetime = Field(default_factory=now)
    seconds: float = 0.0
    """Wall time of the check."""

    def _ipython_display_(self) -> None:
        """Show nothing as the last value of a cell: the session has shown it."""

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

        `more` are its other fields, such as `remedies`.
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

"""The journal of an action."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from opsnb.model.finding import LATE, Row


class ActionState(StrEnum):
    """The state of an action."""

    PLANNED = "planned"
    REFUSED = "refused"
    APPLYING = "applying"
    """Being applied at the last report: after a kill, what is done is unknown."""
    APPLIED = "applied"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class ActionRecord(BaseModel):
    """The journal of one action: what was planned, what was done, whether it had its effect."""

    model_config = LATE

    id: str
    name: str
    """`system.action`."""
    title: str
    target: str
    protected: bool = False
    """Whether the target is protected: applying it takes the target's name."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Its arguments besides the target, by which a run that continues recognises it."""
    terms: dict[str, Any] = Field(default_factory=dict)
    """What the plan fixed, such as a time or a name: a run that continues plans the rest by it."""
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
    """The handbook's command that it replaces."""
    undo: str = ""
    """How to undo it; empty when that is impossible."""
    warning: str = ""
    error: str | None = None
    """Why it was refused or interrupted, or failed, and what is done."""
    started: datetime | None = None
    finished: datetime | None = None
    measured: datetime | None = None
    """When this run began to measure the effect."""

    @property
    def begun(self) -> bool:
        """Whether its work has begun, so that something may have changed."""
        return self.started is not None

    @property
    def is_incomplete(self) -> bool:
        """Whether its work has begun and is not complete."""
        return self.begun and self.state is not ActionState.APPLIED

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.planned or self.continues or self.error or self.is_incomplete)

    def _ipython_display_(self) -> None:
        """Show nothing as the last value of a cell: the session has shown it."""

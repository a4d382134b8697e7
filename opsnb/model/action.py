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

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.planned or self.continues or self.error or self.cut_off)

    def _ipython_display_(self) -> None:
        """Say nothing as the last value of a cell: the session has shown it."""

"""The MIME types and metadata of a notebook's outputs, and a plain table."""

from __future__ import annotations

from pydantic import BaseModel, Field

from opsnb.model.finding import LATE, Row

FINDING_MIME = "application/vnd.opsnb.finding+json"
FINDINGS_MIME = "application/vnd.opsnb.findings+json"
"""A list of findings that are shown together, such as the causes that are ruled out."""
ACTION_MIME = "application/vnd.opsnb.action+json"
TABLE_MIME = "application/vnd.opsnb.table+json"
PROGRESS_MIME = "application/vnd.opsnb.progress+json"
"""What a watch measured last, in words: shown at a terminal during the run."""
TARGET_KEY = "opsnb_target"
"""In the metadata of an output: its target."""
SESSION_KEY = "opsnb_session"
"""In the metadata of an output: the session that it began: `target`, `protected`, `armed`."""


class Table(BaseModel):
    """What a runbook shows without judging it."""

    model_config = LATE

    title: str
    rows: list[Row] = Field(default_factory=list)
    """As many as a page shows."""
    total: int = 0
    """How many there are."""

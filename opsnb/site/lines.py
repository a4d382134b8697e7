"""A run in one line, as the index of the records has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from typing import Any, Self

from opsnb.model import Status


@dataclass(frozen=True)
class Line:
    """A run, as other pages name it."""

    run_id: str
    runbook: str
    title: str
    target: str
    status: Status
    outcome: str
    started: datetime
    sentence: str
    source_sha256: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, row: Row) -> Self:
        """Return the line of a row of `runs` that has these columns."""
        return cls(
            row["run_id"],
            row["runbook"],
            row["title"],
            row["target"],
            Status(row["status"]),
            row["outcome"],
            datetime.fromisoformat(row["started"]),
            row["sentence"],
            row["source_sha256"],
            json.loads(row["parameters"]),
        )

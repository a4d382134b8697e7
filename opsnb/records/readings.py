"""What past runs on a target found, as numbers: for trends, forecasts and comparisons.

It comes from the index alone, so months of records take less than a second.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import OpsnbError
from opsnb.model import Row, Status, Threshold
from opsnb.records.index import filled, statement
from opsnb.records.listing import stamp
from opsnb.records.reader import Reader

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Found:
    """What one check found in a past run."""

    name: str
    label: str
    status: Status
    value: float | None
    unit: str
    at: datetime
    counted: bool
    """Not measured again after an action."""
    run_id: str
    limits: str | None
    """Its threshold in JSON."""
    evidence: str | None

    @property
    def threshold(self) -> Threshold | None:
        """Where it turned warn and crit then."""
        return _threshold(self.limits) if self.limits else None

    @property
    def rows(self) -> list[Row]:
        """What it rests on; none unless they were asked for."""
        return list(json.loads(self.evidence)) if self.evidence else []


@dataclass(frozen=True)
class Ran:
    """A past run."""

    run_id: str
    runbook: str
    status: Status
    exit_code: int
    started: datetime
    finished: datetime
    seconds: float
    operator: str
    trigger: str
    incident: str | None
    findings: int
    """How many count."""
    actions: int
    changed: datetime | None
    """When the first action began that changed something; None when none did."""


class Readings:
    """The past of a target since a moment, as it is known when this is made.

    Records that cannot be read are left out; when the store cannot be read, there is nothing, so
    the caller has to say that nothing is known.
    """

    def __init__(self, target: Target, since: datetime, runbooks: Collection[str] = ()) -> None:
        """Read the runs on `target` begun at or after `since`, of `runbooks` or of all."""
        self._asked: dict[str, Any] = {
            "target": target.name,
            "since": stamp(since),
            "runbooks": list(runbooks) or None,
        }
        self._index = Reader(load_config().store).index
        try:
            self._index.refresh(since=since, runbooks=runbooks, target=target.name)
            self._is_known = True
        except OpsnbError:
            self._is_known = False

    def findings(self, names: Collection[str] = (), *, rows: bool = False) -> list[Found]:
        """Return what was found, the oldest first; of the checks `names`, or of all.

        With `rows`, what it rests on is read too.
        """
        asked = {**self._asked, "names": list(names) or None, "with_rows": rows}
        return [filled(Found, row) for row in self._read("findings", asked)]

    def runs(self) -> list[Ran]:
        """Return the runs, the oldest first."""
        return [filled(Ran, row) for row in self._read("runs", self._asked)]

    def _read(self, name: str, asked: dict[str, Any]) -> list[Any]:
        return self._index.read(statement(name, _SQL), asked) if self._is_known else []


@lru_cache(maxsize=1024)
def _threshold(limits: str) -> Threshold:
    return TypeAdapter(Threshold).validate_json(limits)

"""Past runs and findings as pandas frames, to explore in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from opsnb.config.target import Target
from opsnb.model import now
from opsnb.records.readings import Readings

if TYPE_CHECKING:
    from pandas import DataFrame

_FINDINGS = ("time", "status", "value", "unit", "run_id")
_RUNS = (
    "time",
    "runbook",
    "status",
    "exit_code",
    "seconds",
    "operator",
    "trigger",
    "incident",
    "findings",
    "actions",
    "run_id",
)


def history(target: Target, name: str, days: float) -> DataFrame:
    """Return what the records of the last `days` say of the finding `name`, the oldest first.

    One row each time it was measured: `time` (UTC), `status`, `value`, `unit`, `run_id`. A finding
    that was measured again after an action is left out. Without records the frame is empty.
    """
    readings = Readings(target, now() - timedelta(days=days))
    rows = [
        vars(found) | {"time": found.at, "status": found.status.value}
        for found in readings.findings([name])
        if found.counted
    ]
    return _frame(rows, _FINDINGS)


def records(target: Target, days: float, runbooks: tuple[str, ...]) -> DataFrame:
    """Return the runs of the last `days`, of `runbooks` or all, the oldest first.

    One row for each: `time` (UTC, when it began), `runbook`, `status`, `exit_code`, `seconds`,
    `operator`, `trigger`, `incident`, how many `findings` and `actions`, `run_id`.
    """
    readings = Readings(target, now() - timedelta(days=days), runbooks)
    rows = [
        vars(run) | {"time": run.started, "status": run.status.value} for run in readings.runs()
    ]
    return _frame(rows, _RUNS)


def _frame(rows: Sequence[Mapping[str, object]], columns: tuple[str, ...]) -> DataFrame:
    import pandas as pd  # noqa: PLC0415 - late: most notebooks ask for no frame

    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.assign(time=pd.to_datetime(frame["time"], utc=True))

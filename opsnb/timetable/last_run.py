"""The last run of a schedule: from its trace on this machine, or from its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from opsnb.config.unattended import Schedule
from opsnb.errors import OpsnbError
from opsnb.records.index import statement
from opsnb.records.listing import stamp
from opsnb.records.reader import Reader
from opsnb.timetable import traces

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class LastRun:
    """The last run of a schedule."""

    started: datetime
    run_id: str | None = None
    status: str = ""
    """Empty while it runs."""
    exit_code: int | None = None
    sentence: str = ""


def trigger(schedule: Schedule) -> str:
    """Return the trigger in the records of a schedule's runs."""
    return f"schedule {schedule.name}"


def last_run(
    schedule: Schedule, trace: traces.Trace, store: Reader, now: datetime
) -> tuple[LastRun | None, str]:
    """Return the last run of `schedule`, and why there may be an unknown later one.

    A run that began after `now`, by a clock that was set back, counts only while it is running.
    """
    own = None
    past = [start for start in trace.starts if start <= now]
    if past and past[-1] is not trace.starts[-1] and not trace.is_running:
        own = LastRun(past[-1], exit_code=None)
    elif past or trace.is_running:
        ended = trace.finished is not None
        own = LastRun(
            trace.starts[-1],
            trace.run_id if ended else None,
            trace.status if ended else "",
            trace.exit_code if ended else None,
            trace.sentence if ended else "",
        )
    try:
        recorded = _recorded(schedule, store, own.started if own else None, now)
    except OpsnbError as error:
        return own, "" if own else f"no run is known here, and {str(error).rstrip('.')}."
    if recorded and (own is None or recorded.started > own.started):
        return recorded, ""
    return own, "" if own else _unread(schedule, store)


def _unread(schedule: Schedule, store: Reader) -> str:
    """Return why a record of a run could not be read; empty if there is none.

    The store lists what it could not read by run id, or by the folder of a month or a year.
    """
    part = f"-{schedule.runbook.replace('/', '.')}-"
    own = (why for name, why in store.broken.items() if part in name or "-" not in name)
    return next((f"no run is known here, and {why}" for why in own), "")


def _recorded(
    schedule: Schedule, store: Reader, since: datetime | None, now: datetime
) -> LastRun | None:
    """Return the last recorded run that began at or after `since`, and not after `now`."""
    store.index.refresh(since=since, runbooks=[schedule.runbook])
    store.broken |= store.index.broken()
    asked = {
        "runbook": schedule.runbook,
        "trigger": trigger(schedule),
        "since": stamp(since),
        "now": now,
    }
    for row in store.index.read(statement("last_run", _SQL), asked):
        started = datetime.fromisoformat(row["started"])
        return LastRun(started, row["run_id"], row["status"], row["exit_code"], row["sentence"])
    return None

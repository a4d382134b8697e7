"""The list of schedules: when each is due, and how its last run ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from rich.table import Table
from rich.text import Text

from opsnb.model import RunResult
from opsnb.records import Store
from opsnb.schedule.running import job, trigger
from opsnb.schedule.times import in_words, next_times
from opsnb.target import Config, Schedule
from opsnb.view import TERMINAL_STYLES

_NEXT = 3
_LOOKED_THROUGH = 500  # records of the runbook, the newest first, for the last run of a schedule


@dataclass(frozen=True)
class Entry:
    """A schedule as the list shows it."""

    schedule: Schedule
    words: str
    """The expression in words."""
    next: list[datetime]
    last: RunResult | None

    def as_json(self) -> dict[str, Any]:
        """Return what `schedule list --json` prints of it."""
        last = self.last
        return {
            "name": self.schedule.name,
            "runbook": self.schedule.runbook,
            "targets": list(self.schedule.targets),
            "cron": self.schedule.cron,
            "apply": self.schedule.apply,
            "next": [time.isoformat() for time in self.next],
            "last": {
                "run_id": last.run_id,
                "status": last.status,
                "exit_code": last.exit_code,
                "started": last.started.isoformat(),
            }
            if last
            else None,
        }


def entries(config: Config, store: Store) -> list[Entry]:
    """Return the schedules of `config`. Raises UsageError on the first that cannot be run."""
    now = datetime.now().astimezone()
    found = []
    for schedule in config.schedules:
        job(schedule, config)
        times = next_times(schedule, now, _NEXT)
        found.append(Entry(schedule, in_words(schedule), times, _last(schedule, store)))
    return found


def _last(schedule: Schedule, store: Store) -> RunResult | None:
    runs = islice(store.results(runbook=schedule.runbook), _LOOKED_THROUGH)
    own = (run for run in runs if run.trigger == trigger(schedule))
    return next((run for run in own if run.fleet is None or run.is_summary), None)


def table(found: list[Entry]) -> Table | Text:
    """Return the list for a terminal."""
    if not found:
        return Text("There are no schedules; write a [[schedules]] table into opsnb.toml.")
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("schedule", "runbook", "targets", "due", "next", "last run"):
        shown.add_column(column, no_wrap=column not in ("targets", "due"))
    for entry in found:
        shown.add_row(
            entry.schedule.name,
            entry.schedule.runbook + (" (acts)" if entry.schedule.apply else ""),
            ", ".join(entry.schedule.targets),
            entry.words,
            "\n".join(f"{time:%a %d %b %H:%M}" for time in entry.next),
            _ended(entry.last),
        )
    return shown


def _ended(last: RunResult | None) -> Text:
    if last is None:
        return Text("never")
    words = f"{last.status}, {last.started.astimezone():%d %b %H:%M}"
    return Text(words, style=TERMINAL_STYLES[last.status])

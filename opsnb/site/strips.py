"""What each check found in its last runs, as a strip that a glance takes in; and what got worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sqlite3 import Row

from opsnb.model import Status
from opsnb.records.index import Index
from opsnb.records.listing import stamp
from opsnb.site.runs import rows
from opsnb.view.formats import number

LENGTH = 90
"""Runs in a strip."""
STEP = 2
"""Pixels from run to run."""
_WEEK = timedelta(days=7)
_STILL_KNOWN = timedelta(days=14)  # a measurement that is older says nothing of now, or of then
_LATER = "~"  # sorts behind every run id
# From the top of the strip, 16 pixels high: the worse, the higher; what is unknown hangs.
_CENTRES = {Status.OK: 13, Status.WARN: 11, Status.CRIT: 8, Status.UNKNOWN: 3}


@dataclass(frozen=True)
class Reading:
    """What a check found last."""

    target: str
    name: str
    label: str
    status: Status
    value: str
    """What was measured, with its unit; empty where it was no number."""
    run_id: str
    at: datetime

    @classmethod
    def worst_of(cls, found: Iterable[Row]) -> Reading:
        """Return the worst of a check's measurements, one of each object; of equals the newest."""
        row = max(found, key=lambda row: (Status(row["status"]).severity, row["at"]))
        return cls(
            row["target"],
            row["name"],
            row["label"] or row["name"],
            Status(row["status"]),
            "" if row["value"] is None else number(row["value"], row["unit"]),
            row["run_id"],
            datetime.fromisoformat(row["at"]),
        )


@dataclass(frozen=True)
class Strip:
    """One check of a target, over its last runs."""

    now: Reading
    past: list[Status]
    """The status of each run, the oldest first: the worst of the objects that it measured."""

    @property
    def rank(self) -> tuple[int, float]:
        """The worst first, then what was measured last."""
        return -self.now.status.severity, -self.now.at.timestamp()

    @property
    def words(self) -> str:
        """The strip in words."""
        counts = Counter(self.past)
        parts = (f"{counts[each]} {each}" for each in reversed(Status) if counts[each])
        return f"last {len(self.past)} runs: {', '.join(parts)}"

    @property
    def paths(self) -> dict[Status, str]:
        """The picture: for each status the path of its bars, the newest run at the right."""
        lines: dict[Status, str] = {}
        at = STEP * (LENGTH - len(self.past))
        for status, count in _stretches(self.past):
            lines[status] = f"{lines.get(status, '')}M{at} {_CENTRES[status]}h{STEP * count}"
            at += STEP * count
        return lines


@dataclass
class _Past:
    """What one check found, the newest first."""

    newest: dict[str, Row] = field(default_factory=dict)
    """By the key of the object."""
    runs: dict[str, Status] = field(default_factory=dict)
    """The worst status of each run, by its id."""

    def add(self, row: Row) -> None:
        self.newest.setdefault(row["key"], row)
        status, run_id = Status(row["status"]), row["run_id"]
        known = self.runs.get(run_id, status)
        self.runs[run_id] = max(known, status, key=lambda each: each.severity)


def strips(index: Index, targets: Sequence[str]) -> Mapping[str, list[Strip]]:
    """Return the strips of each target, the worst first."""
    found: dict[tuple[str, str], _Past] = {}
    for row in rows(index, "strips", targets=list(targets), runs=LENGTH):
        found.setdefault((row["target"], row["name"]), _Past()).add(row)
    by_target: dict[str, list[Strip]] = {name: [] for name in targets}
    for (target, _), past in found.items():
        statuses = list(past.runs.values())[:LENGTH][::-1]
        by_target[target].append(Strip(Reading.worst_of(past.newest.values()), statuses))
    return {name: sorted(each, key=lambda strip: strip.rank) for name, each in by_target.items()}


def worse(index: Index, now: datetime) -> list[tuple[Reading, Status]]:
    """Return what is worse than a week before `now`, and how it was then; the worst first."""
    then = _measured(index, now - _WEEK, stamp(now - _WEEK))
    found = []
    for key, rows_now in _measured(index, now, _LATER).items():
        reading = Reading.worst_of(rows_now)
        before = Reading.worst_of(then[key]).status if key in then else reading.status
        if reading.status.severity > before.severity:
            found.append((reading, before))
    return sorted(found, key=lambda each: (-each[0].status.severity, each[0].target, each[0].label))


def _measured(index: Index, at: datetime, until: str) -> dict[tuple[str, str], list[Row]]:
    """Return what each check of each target had measured last at a moment, of each object."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows(index, "measured_in", since=stamp(at - _STILL_KNOWN), until=until):
        found.setdefault((row["target"], row["name"]), []).append(row)
    return found


def _stretches(statuses: Iterable[Status]) -> list[tuple[Status, int]]:
    """Return each status, and how many runs in succession had it."""
    found: list[tuple[Status, int]] = []
    for status in statuses:
        count = found.pop()[1] + 1 if found and found[-1][0] is status else 1
        found.append((status, count))
    return found

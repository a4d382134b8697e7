"""What stands around a record: its neighbours, its operation, the last run that ended well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row

from opsnb.records.index import Index, statement

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Around:
    """The ids of the runs around one run; they all have a page."""

    run_id: str
    runbook: str
    version: str
    """Changes with the record."""
    older: str | None
    newer: str | None
    green: str | None
    """The last run before it, of the same runbook on the same target, that ended ok."""
    story: tuple[str, ...]
    """The runs that continue one another, this one among them, the newest first; else empty."""
    summary: str | None
    """The summary of runs on several targets that it belongs to."""

    members: tuple[str, ...]
    """Of a summary, the runs on each target that have a record."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The runs that its page names: as what, and which."""
        one = (("older", self.older), ("newer", self.newer), ("green", self.green))
        named = (*one, ("summary", self.summary), *(("story", each) for each in self.story))
        return [(name, run_id) for name, run_id in named if run_id]


def arounds(index: Index) -> Iterator[Around]:
    """Yield what stands around each record, the newest first."""
    rows = index.read(statement("around", _FOLDER))
    known = {row["run_id"] for row in rows}
    stories = _stories((row["run_id"], row["parent"]) for row in rows if row["parent"] in known)
    fleets: dict[str, list[str]] = {}
    for row in rows:
        if row["fleet"]:
            fleets.setdefault(row["fleet"], []).append(row["run_id"])
    for row in rows:
        run_id, fleet = row["run_id"], row["fleet"]
        yield Around(
            run_id,
            row["runbook"],
            row["version"],
            row["older"],
            row["newer"],
            row["green"],
            stories.get(run_id, ()),
            fleet if fleet in known and fleet != run_id else None,
            tuple(fleets[run_id]) if fleet == run_id else (),
        )


def measured(index: Index, run_id: str) -> list[Row]:
    """Return the findings of a run that count."""
    return index.read(statement("measured", _FOLDER), {"run_id": run_id})


def _stories(links: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return by run id the runs that continue one another; `links` are runs and their parents."""
    groups: dict[str, set[str]] = {}
    for run_id, parent in links:
        joined = groups.get(run_id, {run_id}) | groups.get(parent, {parent})
        groups.update(dict.fromkeys(joined, joined))
    return {run_id: tuple(sorted(group, reverse=True)) for run_id, group in groups.items()}

"""The links from each record to its runbook, its neighbours and the rest of its operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from opsnb.demo.faults.known import all_drills
from opsnb.site.entries import Entry
from opsnb.site.templates import render


def trails(entries: Sequence[Entry], runbooks: Iterable[str]) -> Iterator[tuple[Entry, str]]:
    """Yield each entry with its links; `entries` come newest first.

    Neighbours are the runs before and after it of the same runbook on the same target. Runs that
    continue one another are one operation.
    """
    pages = {runbook: f"../runbooks/{runbook}.html" for runbook in runbooks}
    pages |= {drill.id: f"../drills.html#{drill.name}" for drill in all_drills().values()}
    stories = _stories(entries)
    summaries = {entry.run_id: entry for entry in entries if entry.is_summary}
    last: dict[tuple[str, str], Entry] = {}
    newer: dict[str, Entry] = {}
    older: dict[str, Entry] = {}
    for entry in entries:
        key = (entry.runbook, entry.target)
        if following := last.get(key):
            newer[entry.run_id], older[following.run_id] = following, entry
        last[key] = entry
    for entry in entries:
        summary = summaries.get(entry.fleet or "")
        yield (
            entry,
            render(
                "trail",
                entry=entry,
                page=pages.get(entry.runbook),
                summary=summary if summary is not entry else None,
                older=older.get(entry.run_id),
                newer=newer.get(entry.run_id),
                story=stories[entry.run_id],
            ),
        )


def _stories(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return by run id the runs that continue one another, the newest first."""
    stories: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.started):
        story = stories.get(entry.parent or "", [])
        story.insert(0, entry)
        stories[entry.run_id] = story
    return stories

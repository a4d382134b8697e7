"""The list of drills: symptom, the runbook that finds its cause, and the last result."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from opsnb.demo.faults.known import all_drills
from opsnb.site.entries import Entry
from opsnb.site.templates import render


def table_of(entries: Sequence[Entry], runbooks: Collection[str]) -> str:
    """Return a row for each drill.

    `entries` come newest first; `runbooks` are the ids of those that have a page.
    """
    last_held = {entry.runbook: entry for entry in reversed(entries)}
    drills = [(drill, last_held.get(drill.id)) for drill in all_drills().values()]
    return render("drills", drills=drills, runbooks=runbooks)

"""The list of drills: symptom, the runbook that finds its cause, and the last result."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from opsnb.demo.faults.known import all_drills
from opsnb.site.templates import render
from opsnb.site.usage import Usage


def table_of(usage: Mapping[str, Usage], runbooks: Collection[str]) -> str:
    """Return a row for each drill.

    `usage` is by runbook, `runbooks` are the ids of those that have a page.
    """
    drills = [
        (drill, usage[drill.id].runs[0] if drill.id in usage else None)
        for drill in all_drills().values()
    ]
    return render("drills", drills=drills, runbooks=runbooks)

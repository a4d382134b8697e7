"""The list of drills: symptom, the runbook that finds its cause, and the last result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from opsnb.demo.faults.known import all_drills
from opsnb.site.lines import Line
from opsnb.site.templates import render


def table_of(latest: Mapping[str, Sequence[Line]], runbooks: Collection[str]) -> str:
    """Return a row for each drill.

    `latest` are the latest runs by runbook, `runbooks` the ids of those that have a page.
    """
    drills = [
        (drill, next(iter(latest.get(drill.id, ())), None)) for drill in all_drills().values()
    ]
    return render("drills", drills=drills, runbooks=runbooks)

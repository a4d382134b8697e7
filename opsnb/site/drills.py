"""The list of drills: what each tells, how it is diagnosed, and how it went last."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from opsnb.demo.drills import DRILLS, Drill
from opsnb.site.entries import Entry
from opsnb.site.html import code, link, moment, table


def table_of(entries: Sequence[Entry], runbooks: Collection[str]) -> str:
    """Return a row for each drill.

    `entries` come newest first; `runbooks` are the ids of those that have a page.
    """
    held = {entry.runbook: entry for entry in reversed(entries)}
    return table(
        ["Drill, and what you are told", "The diagnosis of that", "Held last"],
        (_row(drill, held.get(drill.id), runbooks) for drill in DRILLS.values()),
    )


def _row(drill: Drill, last: Entry | None, runbooks: Collection[str]) -> list[str]:
    page = f"runbooks/{drill.runbook}.html"
    return [
        f'<span id="{drill.name}">{code(drill.name)}</span><br>{escape(drill.symptom)}',
        link(page, drill.runbook) if drill.runbook in runbooks else code(drill.runbook),
        _held(last) if last else "",
    ]


def _held(entry: Entry) -> str:
    return (
        f"{entry.pill} {link('records/' + entry.page, 'record')} "
        f"{moment(entry.started)}<br>{escape(entry.sentence)}"
    )

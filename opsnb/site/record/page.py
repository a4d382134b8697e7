"""The page of one record: how it ended, its findings, what changed, what was done, the notebook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opsnb.errors import OpsnbError
from opsnb.model import ActionRecord, Finding, RunResult, Status
from opsnb.records.ending import word, word_in_lists
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.records.verdict import next_command, worst_sentence
from opsnb.site.context import Site
from opsnb.site.layout import page
from opsnb.site.record import changes, styles
from opsnb.site.record.around import Around, measured
from opsnb.site.record.notebook import Unreadable, blocks
from opsnb.site.runs import Run, named
from opsnb.site.templates import render
from opsnb.view import addresses
from opsnb.view import findings as finding_view
from opsnb.view import plans as action_view
from opsnb.view.tables import table

_TAB = "Records"


def content(site: Site, around: Around) -> bytes:
    """Return the page of a record."""
    path = addresses.record(around.run_id)
    try:
        result = site.store.result(around.run_id)
    except OpsnbError as error:  # it was damaged or removed just now
        return damaged(around.run_id, str(error))
    found = named(site.store.index, {run_id for _, run_id in around.named})
    html = page(
        "record",
        path=path,
        title=f"{result.title or result.runbook} on {result.target}",
        tab=_TAB,
        result=result,
        word=word(result),
        outcome=word_in_lists(result).lower(),
        sentence=worst_sentence(result),
        next_command="" if result.is_summary else next_command(result.counted),
        runbook_page=_page_of(result.runbook, site),
        older=found.get(around.older or ""),
        newer=found.get(around.newer or ""),
        summary=found.get(around.summary or ""),
        story=[found[run_id] for run_id in around.story if run_id in found],
        members=worst_members(members(result)) if result.is_summary else [],
        pages=site.record_ids,
        warning=site.broken.get(result.run_id, ""),
        **_findings(site, result),
        **_since_green(site, result, found.get(around.green or "")),
        **_notebook(site, result),
    )
    return html.encode("utf-8", "replace")


def damaged(run_id: str, why: str) -> bytes:
    """Return the page of a record that cannot be read."""
    html = page(
        "damaged",
        path=addresses.record(run_id),
        title="A record that cannot be read",
        tab=_TAB,
        run_id=run_id,
        why=why,
    )
    return html.encode("utf-8", "replace")


def _page_of(runbook: str, site: Site) -> str:
    """Return the address of a runbook's page, from the site's root; empty if it has none."""
    if runbook in site.runbook_ids:
        return f"runbooks/{runbook}.html"
    # Imported only now: few records are of drills, and the demo's modules are slow to import.
    from opsnb.demo.faults.known import all_drills  # noqa: PLC0415

    names = (drill.name for drill in all_drills().values() if drill.id == runbook)
    return next((f"drills.html#{name}" for name in names), "")


def _findings(site: Site, result: RunResult) -> dict[str, Any]:
    """Return the findings, the worst first, and the actions with the findings on their effect."""
    if result.is_summary:
        return {"findings": [], "set_aside": [], "actions": []}
    ordered = sorted(
        finding_view.worst_first(result.findings), key=lambda finding: finding.superseded
    )
    shown = [finding for finding in ordered if not finding_view.is_set_aside(finding)]
    return {
        "findings": [_finding(site, result, finding) for finding in shown],
        "set_aside": list(finding_view.set_aside(result.counted)),
        "actions": [_action(action, result.findings) for action in result.actions],
    }


def _finding(site: Site, result: RunResult, finding: Finding) -> dict[str, Any]:
    parts = finding_view.parts(finding)
    return parts | {
        "at": result.findings.index(finding),
        "evidence": table(finding.rows) if finding.rows else None,
        "remedies": [(each, _page_of(each.runbook, site)) for each in finding.remedies],
    }


def _action(action: ActionRecord, findings: Iterable[Finding]) -> dict[str, Any]:
    return action_view.parts(action) | {
        "sample": table(action.sample, action.planned) if action.sample else None,
        "effects": [finding for finding in findings if finding.action == action.id],
    }


def _since_green(site: Site, result: RunResult, green: Run | None) -> dict[str, Any]:
    """Return what changed since the last run that ended ok."""
    if green is None or result.is_summary or result.status is Status.SKIPPED:
        return {"green": None, "changes": [], "terms": []}
    changed = changes.findings(result, measured(site.store.index, green.run_id))
    return {"green": green, "changes": changed, "terms": list(changes.terms(result, green))}


def _notebook(site: Site, result: RunResult) -> dict[str, Any]:
    """Return the cells to show, or why they cannot be shown."""
    shown: dict[str, Any] = {"notebook": "", "styles": "", "left_out": 0, "failure": ""}
    if result.is_summary:
        return shown
    try:
        notebook = site.store.notebook(result.run_id)
        cells, shown["left_out"] = blocks(notebook, result.runbook, site.runbook_ids)
        shown["styles"], shown["notebook"] = styles.shared(render("notebook", blocks=cells))
    except (OpsnbError, Unreadable) as error:
        shown["failure"] = str(error)
    return shown

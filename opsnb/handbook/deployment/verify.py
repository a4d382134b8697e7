"""Whether the service is better or worse than before the deployment. Handbook, section 8.3."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.deployment.releases import DEPLOY, ROLLBACK
from opsnb.model import Finding, Remedy, Row, Status, now
from opsnb.records.readings import Found, Readings
from opsnb.view.formats import number

RECORDED_AS = "comparison"
_RECORDS = timedelta(days=30)
_SAME = 0.25  # of the larger value: two measurements of one state may differ by this much
_LEAST = {"ms": 20.0, "%": 1.0, "jobs": 10.0, "lines": 5.0}
"""Differences too small to report, in each unit."""


@check()
def with_before(target: Target, findings: Sequence[Finding]) -> Finding:
    """Compared with before the deployment"""
    before = _before(target)
    rows = [
        _row(finding, before[finding.name])
        for finding in findings
        if finding.value is not None and finding.name in before
    ]
    if not rows:
        message = "No record of a deployment shows how it was before."
        return Finding(status=Status.UNKNOWN, message=message)
    worse = [row for row in rows if row["compared"] == "worse"]
    losses = [f"{row['metric']} {row['before']}, now {row['now']}" for row in worse]
    better = sum(row["compared"] == "better" for row in rows)
    rest = f"{better} better, {len(rows) - better - len(worse)} the same."
    return Finding(
        status=Status.WARN if worse else Status.OK,
        message=f"Worse: {'; '.join(losses)}. {rest}" if worse else f"Nothing is worse: {rest}",
        value=len(worse),
        unit="worse",
        rows=rows,
        remedies=[Remedy.of(ROLLBACK, "goes back to the release before")] if worse else [],
    )


def _before(target: Target) -> dict[str, Found]:
    """Return what the newest deployment had measured before it changed anything, by name."""
    past = Readings(target, now() - _RECORDS, (DEPLOY, ROLLBACK))
    for run in reversed(past.runs()):
        if run.changed:
            return {
                found.name: found
                for found in reversed(past.findings())
                if found.run_id == run.run_id and found.value is not None and found.at < run.changed
            }
    return {}


def _row(finding: Finding, before: Found) -> Row:
    then, since = before.value or 0.0, finding.value or 0.0
    lower_is_worse = bool(finding.threshold and finding.threshold.lower_is_worse)
    return {
        "metric": finding.title,
        "before": number(then, finding.unit),
        "now": number(since, finding.unit),
        "compared": verdict(then, since, finding.unit, lower_is_worse=lower_is_worse),
    }


def verdict(then: float, since: float, unit: str, *, lower_is_worse: bool = False) -> str:
    """Return `better`, `same` or `worse`: how `since` compares with `then`, both in `unit`."""
    least = max(_SAME * max(abs(then), abs(since)), _LEAST.get(unit, 0.0))
    if abs(since - then) <= least:
        return "same"
    return "worse" if (since < then) is lower_is_worse else "better"

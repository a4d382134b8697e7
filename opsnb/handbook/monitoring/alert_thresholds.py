"""How far each metric is from its limits. Handbook, section 7.3."""

from __future__ import annotations

from collections.abc import Sequence

from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems import queues
from opsnb.view import commands
from opsnb.view.formats import number


def distances(target: Target, findings: Sequence[Finding]) -> list[Row]:
    """Each metric, its distance from the limits, and the runbook that treats it"""
    return [_row(target, finding) for finding in findings if finding.title]


def _row(target: Target, finding: Finding) -> Row:
    limit, value = finding.threshold, finding.value
    if limit is None or value is None:
        return {
            "metric": finding.title,
            "now": "unknown",
            "warn": None,
            "room to warn": None,
            "crit": None,
            "room to crit": None,
            "status": finding.status,
            "runbook": commands.line("doctor", "-t", target.name),
        }
    room = {
        status: number(limit.room(value, at), limit.unit) for status, at in limit.limits.items()
    }
    return {
        "metric": limit.label,
        "now": number(value, limit.unit),
        "warn": limit.warn,
        "room to warn": room.get(Status.WARN),
        "crit": limit.crit,
        "room to crit": room.get(Status.CRIT),
        "status": finding.status,
        "runbook": commands.run_on(limit.runbook, target.name, _worst_queue(finding)),
    }


def _worst_queue(finding: Finding) -> dict[str, str]:
    """Return the worst queue of a finding about queues, as a parameter; else nothing."""
    column = {queues.depth.name: "waiting", queues.failures.name: "failed_percent"}.get(
        finding.name
    )
    if column is None or not finding.rows:
        return {}
    return {"queue": str(max(finding.rows, key=lambda row: float(row[column] or 0))["queue"])}

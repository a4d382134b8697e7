"""The rows of the index for one record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from opsnb.model import ActionRecord, Finding, RunResult, Status
from opsnb.records.ending import word_in_lists
from opsnb.records.members import members
from opsnb.records.verdict import done, next_command, worst_sentence
from opsnb.view.findings import named, worst_first

Row = dict[str, Any]
"""The parameters of a statement that puts one row."""

_LARGEST = 2**63 - 1  # of an integer in SQLite


def utc(moment: datetime | None) -> str | None:
    """Return `moment` as the index has it: such texts sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else None


def run(result: RunResult) -> Row:
    """Return the row of a run, without what is compared with its file."""
    return {
        "run_id": result.run_id,
        "runbook": result.runbook,
        "title": result.title or result.runbook,
        "target": result.target,
        "status": result.status.value,
        "outcome": word_in_lists(result).lower(),
        "exit_code": _whole(result.exit_code),
        "open": result.open,
        "ended": result.ended,
        "started": utc(result.started),
        "finished": utc(result.finished),
        "seconds": result.seconds,
        "trigger": result.trigger,
        "operator": result.operator,
        "host": result.host,
        "incident": result.incident,
        "scheduled": utc(result.scheduled),
        "parent": result.parent,
        "fleet": result.fleet,
        "is_summary": result.is_summary,
        "acted": any(action.begun for action in result.actions),
        "error": result.error,
        "sentence": worst_sentence(result),
        "next": next_command(result.counted),
        "details": "\n".join(_details(result)),
        "parameters": json.dumps(result.parameters),
        "kept_late": result.kept_late,
        "revision": result.commit,
        "source_sha256": result.runbook_sha256,
        "sealed_sha256": result.seal and result.seal.sha256,
    }


def _details(result: RunResult) -> Iterator[str]:
    if result.error:
        yield result.error
    for finding in worst_first(result.counted):
        if finding.status not in (Status.OK, Status.SKIPPED):
            yield f"{finding.title}: {named(finding)}"


def findings(result: RunResult) -> Iterator[Row]:
    """Yield the rows of its findings, without their run."""
    for position, finding in enumerate(result.findings):
        yield {"position": position, **_finding(finding)}


def _finding(finding: Finding) -> Row:
    limits = finding.threshold
    return {
        "key": finding.key,
        "name": finding.name,
        "label": finding.title,
        "status": finding.status.value,
        "value": finding.value,
        "unit": finding.unit,
        "warn": limits and limits.warn,
        "crit": limits and limits.crit,
        "lower_is_worse": bool(limits and limits.lower_is_worse),
        "message": finding.message,
        "at": utc(finding.started),
        "counted": not finding.superseded,
        "failure": finding.failure,
        "action": finding.action,
        "threshold": _json(limits) if limits else None,
        "remedies": _json(finding.remedies),
        "evidence": _json(finding.rows),
    }


def actions(result: RunResult) -> Iterator[Row]:
    """Yield the rows of its actions, without their run."""
    for position, action in enumerate(result.actions):
        yield {"position": position, **_action(action)}


def _action(action: ActionRecord) -> Row:
    return {
        "name": action.name,
        "title": action.title,
        "state": action.state.value,
        "begun": action.begun,
        "planned": _whole(action.planned),
        "applied": _whole(action.applied),
        "verified": action.verified,
        "unit": action.unit,
        "undo": action.undo,
        "command": action.command,
        "arguments": json.dumps(action.arguments),
        "at": utc(action.started),
        "finished": utc(action.finished),
        "sentence": done(action),
    }


def targets(result: RunResult) -> Iterator[Row]:
    """Yield the rows of the members of a fleet's summary, without their run."""
    for member in members(result) if result.is_summary else ():
        yield {
            "target": member.target,
            "status": member.status.value,
            "exit_code": _whole(member.exit_code),
            "sentence": member.sentence,
            "member_run_id": member.run_id,
        }


def _json(value: Any) -> str:
    return to_json(value).decode()


def _whole(number: int) -> int:
    return max(-_LARGEST, min(number, _LARGEST))

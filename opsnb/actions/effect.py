"""The effect of an action: what its verification measured, and the findings about its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import OpsnbError
from opsnb.model import ActionRecord, ActionState, Finding, Status


def measured(record: ActionRecord, measure: Callable[[], list[Finding]]) -> list[Finding]:
    """Return the findings of a verification; one that is unknown when it could not be measured."""
    try:
        with evidence.collected() as gaps:
            findings = measure()
        return [_proven(record, evidence.judged(finding, gaps)) for finding in findings]
    except OpsnbError as error:
        return [report(record, Status.UNKNOWN, f"The effect could not be measured: {error}")]


def _proven(record: ActionRecord, finding: Finding) -> Finding:
    """Return a finding of the verification; after an action that did not complete, none is ok.

    The state may be as it should be, but the action did not bring it about. An alarm says why the
    action failed, because it counts instead of the finding that reported the failure.
    """
    if record.state is ActionState.APPLIED:
        return finding
    if finding.is_alarm:
        message = f"{finding.message} The action failed: {record.error}"
        return finding.model_copy(update={"message": message})
    if finding.status is not Status.OK:
        return finding
    message = f"{finding.message} This proves nothing: {record.title} did not complete."
    return finding.model_copy(update={"status": Status.UNKNOWN, "message": message})


def is_seen(finding: Finding) -> bool:
    """Whether a verification saw the effect; a settled warning is about something else."""
    return finding.status is Status.OK or (finding.settled and finding.status is Status.WARN)


def named(record: ActionRecord, finding: Finding, target: Target) -> Finding:
    """Return a finding of the verification, named after the action where it has no name."""
    own: dict[str, Any] = {}
    if not finding.name:
        own = {
            "name": f"{record.name}.verify",
            "title": finding.title or f"{record.title}: effect",
            "condition": record.name,
            "arguments": record.arguments,
        }
    remedies = [remedy if remedy.target else remedy.on(target) for remedy in finding.remedies]
    untreated = finding.untreated or ("" if remedies else _untreated(finding.status))
    update = {**own, "remedies": remedies, "untreated": untreated, "action": record.id}
    return finding.model_copy(update=update)


def report(record: ActionRecord, status: Status, message: str) -> Finding:
    """Return a finding about the action itself."""
    return Finding(
        name=record.name,
        title=record.title,
        arguments=record.arguments,
        status=status,
        message=message,
        untreated=_untreated(status),
        action=record.id,
    )


def _untreated(status: Status) -> str:
    """Return why no runbook treats the failure of an action."""
    return "the journal of the action says what is done" * (status is Status.CRIT)

"""What a run found and did in one sentence: its worst finding, what treats it, its actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opsnb.errors import NotConfigured
from opsnb.model import ActionRecord, ActionState, Finding, Remedy, RunResult, Status
from opsnb.view.findings import named, summary, worst_first
from opsnb.view.formats import counted, number


def worst_sentence(result: RunResult) -> str:
    """Return the one sentence about a run: why it failed, what it did, or its worst finding."""
    if result.error:
        return result.error
    if result.status is Status.OK and result.actions:
        return all_done(result.actions)
    counted = result.counted
    if result.status is Status.OK and len(counted) == 1:
        return named(counted[0])
    if result.status is Status.OK:
        return f"{summary(counted)}."
    finding = next(iter(worst_first(counted)), None)
    if finding and result.is_summary:
        return f"{summary(counted)}. {finding.title}: {finding.message}"
    return worst_sentence_of(counted)


def remedies(finding: Finding, result: RunResult) -> list[Remedy]:
    """Return the remedies of a finding of `result`, the best first.

    They are those of the finding, else the runbook of its threshold.
    """
    # The runbook that just ran is no next step, unless with --apply or other parameters.
    named_ones = [
        remedy
        for remedy in finding.remedies
        if remedy.runbook != result.runbook or remedy.apply or remedy.parameters
    ]
    if named_ones or finding.untreated or finding.threshold is None:
        return named_ones
    runbook = finding.threshold.runbook
    if runbook in ("", result.runbook) or finding.status in (Status.OK, Status.SKIPPED):
        return []
    return [Remedy(runbook=runbook, target=result.target)]


def worst_finding(findings: Sequence[Finding]) -> Finding | None:
    """Return the worst finding; of several, a symptom with a cause, or one with a remedy."""
    severity = max((finding.status.severity for finding in findings), default=0)
    worst = [finding for finding in findings if finding.status.severity == severity]
    # That the target has no such system is expected, and reported only when nothing else is.
    worst = [found for found in worst if found.failure != NotConfigured.__name__] or worst
    symptoms = (found for found in worst if found.explained_by)
    treated = (found for found in worst if found.remedies)
    return next(symptoms, None) or next(treated, None) or next(iter(worst), None)


def worst_sentence_of(findings: Sequence[Finding]) -> str:
    """Return the sentence of the worst finding; of a symptom, with its likeliest cause."""
    finding = worst_finding(findings)
    if finding is None:
        return "No check ran."
    cause = cause_of(finding, findings)
    return f"{finding.message} Most likely: {named(cause)}" if cause else named(finding)


def next_command(findings: Sequence[Finding]) -> str:
    """Return the command that treats the worst of `findings`; empty if there is none."""
    treated = to_treat(findings)
    return next((remedy.command for remedy in treated.remedies), "") if treated else ""


def to_treat(findings: Sequence[Finding]) -> Finding | None:
    """Return what to treat: the worst finding or, of a symptom, its likeliest cause."""
    finding = worst_finding(findings)
    return finding and (cause_of(finding, findings) or finding)


def cause_of(symptom: Finding, findings: Sequence[Finding]) -> Finding | None:
    """Return the likeliest cause of a symptom; both are one alarm."""
    return next((found for found in findings if found.name == symptom.explained_by), None)


def all_done(actions: Sequence[ActionRecord]) -> str:
    """Return what the actions of a run would do or did; more than a few are summed up."""
    if len(actions) <= _MOST_ACTIONS:
        return " ".join(map(done, actions))
    idle = [action for action in actions if action.is_idle]
    busy = [action for action in actions if not action.is_idle]
    words = [*map(done, busy)] if len(busy) <= _MOST_ACTIONS else _totals(busy)
    if idle:
        words.append(
            f"Nothing to do in {counted(len(idle), 'other action' if busy else 'action')}."
        )
    return " ".join(words)


_MOST_ACTIONS = 2


def _totals(actions: Sequence[ActionRecord]) -> list[str]:
    """Return how much was done in all, by effect and unit: `Applied, verified, 9 of 9 jobs.`"""
    planned: Counter[tuple[str, str]] = Counter()
    applied: Counter[tuple[str, str]] = Counter()
    for action in actions:
        planned[_effect(action), action.unit] += action.planned
        applied[_effect(action), action.unit] += action.applied
    return [
        f"{effect}, {applied[effect, unit]:,} of {number(count, unit)}."
        for (effect, unit), count in planned.items()
    ]


def done(action: ActionRecord) -> str:
    """Return what an action would do or did, and its progress."""
    if action.state is ActionState.PLANNED:
        return f"{_effect(action)}: {action.summary}" if action.planned else action.summary
    if action.error:
        return action.error
    if action.is_incomplete:
        known = f"{action.applied:,} of {action.planned:,} {action.unit} are known to be done"
        return f"Interrupted while applying; {known}: {action.summary}"
    if action.is_idle:
        return action.summary
    count = f"{action.applied:,} of {number(action.planned, action.unit)}"
    return f"{_effect(action)}, {count}: {action.summary}"


def _effect(action: ActionRecord) -> str:
    if action.state is ActionState.PLANNED:
        return "Planned, nothing changed"
    effect = {True: "verified", False: "NOT verified", None: "not yet verified"}[action.verified]
    return f"{action.state.capitalize()}, {effect}"

"""Rank the causes of a symptom by what was measured.

The finding of a cause is `warn` or `crit` when it is present, with the share of the symptom that it
explains; `ok` when it is ruled out; `unknown` or `skipped` when it could not be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opsnb.checks.running import Findings
from opsnb.model import Finding, Status, worst
from opsnb.view.findings import worst_first

_EVEN = 0.5
"""The share of a cause that gives none."""
_SEE_CAUSES = "see its causes"
_NO_CAUSE = "no cause was found; go on with 'If that did not help'"


@dataclass(frozen=True)
class Diagnosis:
    """A symptom, and what was measured about its causes."""

    symptom: Finding
    causes: list[Finding]
    """Those that are present, the likeliest first."""
    unmeasured: list[Finding]
    ruled_out: list[Finding]

    @property
    def findings(self) -> Findings:
        """All of them: the symptom, then the causes in the order of their rank, then the rest."""
        return Findings([self.symptom, *self.causes, *self.unmeasured, *self.ruled_out])

    @property
    def status(self) -> Status:
        """The worst of all."""
        return worst(finding.status for finding in self.findings)

    @property
    def words(self) -> str:
        """The likeliest cause, or that none was found: the first line of a diagnosis."""
        if self.causes:
            first, *others = self.causes
            more = f" ({len(others)} more below)" if others else ""
            return f"Most likely: {first.title}{more}."
        if self.unmeasured:
            return f"No cause found; {len(self.unmeasured)} could not be measured."
        return f"No cause found; {len(self.ruled_out)} ruled out."


def with_causes(symptom: str, findings: Sequence[Finding]) -> Findings:
    """Return `findings`, the worst first; a symptom of that name comes with its causes."""
    ours = [finding for finding in findings if symptom in (finding.name, finding.cause_of)]
    if not any(finding.name == symptom for finding in ours):
        return Findings(worst_first(findings))
    others = [finding for finding in findings if finding not in ours]
    return Findings([*ranked(symptom, ours).findings, *worst_first(others)])


def ranked(symptom: str, findings: Sequence[Finding]) -> Diagnosis:
    """Return the diagnosis of the symptom of that name from all `findings`.

    The symptom names its likeliest cause, so that both are one alarm.
    """
    (reported,) = (finding for finding in findings if finding.name == symptom)
    others = [
        finding.model_copy(update={"is_cause": True, "cause_of": symptom})
        for finding in findings
        if finding is not reported
    ]
    blockers = {finding.caused_by for finding in findings if finding.caused_by}

    def likelihood(finding: Finding) -> tuple[bool, int, float]:
        share = _EVEN if finding.share is None else finding.share
        return finding.name in blockers, finding.status.severity, share

    causes = sorted(_of(others, Status.WARN, Status.CRIT), key=likelihood, reverse=True)
    return Diagnosis(
        _explained(reported, causes),
        causes,
        _of(others, Status.UNKNOWN, Status.SKIPPED),
        _of(others, Status.OK),
    )


def _explained(symptom: Finding, causes: Sequence[Finding]) -> Finding:
    """Return the symptom with its likeliest cause; only a cause names what treats it."""
    if symptom.status not in (Status.WARN, Status.CRIT):
        return symptom
    if not causes:
        return symptom.model_copy(update={"remedies": [], "untreated": _NO_CAUSE})
    return without_causes(symptom).model_copy(update={"explained_by": causes[0].name})


def without_causes(symptom: Finding) -> Finding:
    """Return a symptom without remedies: its causes name what treats it."""
    if symptom.status not in (Status.WARN, Status.CRIT):
        return symptom
    return symptom.model_copy(update={"remedies": [], "untreated": _SEE_CAUSES})


def _of(findings: Sequence[Finding], *statuses: Status) -> list[Finding]:
    return [finding for finding in findings if finding.status in statuses]

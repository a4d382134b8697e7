"""Rank what may cause a symptom by what was measured.

A cause is a check whose finding is `warn` or `crit` when it is there, with the share of the symptom
that it explains; `ok` when a measurement rules it out; `unknown` or `skipped` when nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opsnb.measure import Findings
from opsnb.model import Finding, Status, worst

_EVEN = 0.5
"""The share of a cause that does not tell one."""


@dataclass(frozen=True)
class Diagnosis:
    """A symptom, and what was found about its causes."""

    symptom: Finding
    causes: list[Finding]
    """Those that are there, the likeliest first."""
    unmeasured: list[Finding]
    ruled_out: list[Finding]

    @property
    def findings(self) -> Findings:
        """All of them: the symptom, then the causes in the order of their rank, then the rest."""
        return Findings([self.symptom, *self.causes, *self.unmeasured, *self.ruled_out])

    @property
    def groups(self) -> dict[str, list[Finding]]:
        """What was found about the causes, under headings; no empty group."""
        groups = {
            "Found, the likeliest cause first": self.causes,
            "Not measured": self.unmeasured,
            "Ruled out": self.ruled_out,
        }
        return {heading: findings for heading, findings in groups.items() if findings}

    @property
    def status(self) -> Status:
        """The worst of all."""
        return worst(finding.status for finding in self.findings)

    @property
    def words(self) -> str:
        """What a tired person reads first: the likeliest cause, or that none was found."""
        if self.causes:
            first, *others = self.causes
            more = f" ({len(others)} more below)" if others else ""
            return f"Most likely: {first.title}{more}."
        if self.unmeasured:
            return f"No cause found, but {len(self.unmeasured)} could not be measured."
        return f"No cause found: {len(self.ruled_out)} ruled out."


def ranked(symptom: str, found: Sequence[Finding]) -> Diagnosis:
    """Return the diagnosis of the symptom of that name from all that was `found`."""
    (told,) = (finding for finding in found if finding.name == symptom)
    others = [finding for finding in found if finding is not told]
    blockers = {finding.caused_by for finding in found if finding.caused_by}

    def likelihood(finding: Finding) -> tuple[bool, int, float]:
        share = _EVEN if finding.share is None else finding.share
        return finding.name in blockers, finding.status.severity, share

    return Diagnosis(
        told,
        sorted(_of(others, Status.WARN, Status.CRIT), key=likelihood, reverse=True),
        _of(others, Status.UNKNOWN, Status.SKIPPED),
        _of(others, Status.OK),
    )


def _of(findings: Sequence[Finding], *statuses: Status) -> list[Finding]:
    return [finding for finding in findings if finding.status in statuses]

"""What a session has measured: the latest finding of each check, and what to measure again."""

from __future__ import annotations

from collections.abc import Sequence

from opsnb.checks import evidence
from opsnb.checks.check import Check
from opsnb.checks.ranking import with_causes, without_causes
from opsnb.checks.running import REACHABLE, Findings, Measurement
from opsnb.config.target import Target
from opsnb.model import Finding, Status

_LONG_GAPS = 100  # characters of a sentence about gaps that is not repeated


class Latest:
    """Runs the checks of one session and remembers their findings."""

    def __init__(self, target: Target) -> None:
        self._measurement = Measurement(target)
        self._symptoms: dict[str, str] = {}  # by the name of the cause
        self._latest: dict[str, tuple[Check[[]], Finding]] = {}  # by what was measured
        self._down: list[Finding] = []  # systems that are down though no check probes them
        self._gaps: dict[str, str] = {}  # the finding that reported a gap first
        self._unknown_for: dict[str, str] = {}  # the same of findings that are unknown
        self._acted = False

    def action_begun(self) -> None:
        """Note that an action has changed something: systems that were down may be up."""
        self._acted = True
        self._measurement.forget()

    def relate(self, symptom: Check[[]], causes: Sequence[Check[[]]]) -> None:
        """Note that `causes` explain `symptom`, so that both are one alarm."""
        self._symptoms |= {cause.name: symptom.name for cause in causes}

    def measure(self, checks: Sequence[Check[[]]]) -> Findings:
        """Run `checks` and remember their findings."""
        findings = Findings(map(self._related, self._measurement.run(checks)))
        by_key = {(check.name, str(check.arguments)): check for check in checks}
        for finding in findings:
            if check := by_key.get((finding.name, str(finding.arguments))):
                self._latest[finding.key] = check, finding
            else:
                self._down.append(finding)
        return findings

    def measure_again(self) -> Findings:
        """Measure again what was not ok before the last action; nothing without an action."""
        changed = evidence.last_change()
        if changed is None or not self._acted:
            return Findings()
        checks = [
            check
            for check, finding in self._latest.values()
            if finding.status is not Status.OK and finding.started.timestamp() < changed
        ]
        down = [finding for finding in self._down if finding.started.timestamp() < changed]
        findings = Findings(self.measure(checks)) if checks else Findings()
        findings += self._up_again(down, checks, findings)
        for symptom in dict.fromkeys(self._symptoms.values()):
            findings = with_causes(symptom, findings)
        return findings

    def _related(self, finding: Finding) -> Finding:
        """Return `finding` as it relates to earlier ones: as a cause, without the same gaps."""
        if finding.name in self._symptoms:
            of = {"is_cause": True, "cause_of": self._symptoms[finding.name]}
            finding = finding.model_copy(update=of)
        elif finding.name in self._symptoms.values():
            finding = without_causes(finding)
        return self._without_repeated_gaps(finding)

    def _up_again(
        self, down: Sequence[Finding], checks: Sequence[Check[[]]], findings: Findings
    ) -> list[Finding]:
        """Return a finding for each system that was down and has answered one of `checks`."""
        answered = {
            system for check in checks if findings[check.name].is_measured for system in check.needs
        }
        return [
            Finding(
                name=finding.name, title=finding.title, status=Status.OK, message="Responds again."
            )
            for finding in down
            if finding.name.removesuffix(REACHABLE) in answered
        ]

    def _without_repeated_gaps(self, finding: Finding) -> Finding:
        """Return `finding`; gaps that an earlier one reported in full become a reference to it."""
        gaps = [*finding.evidence.gaps, *finding.evidence.extras]
        words = evidence.sentence([evidence.Gap(gap) for gap in gaps])
        # The first unknown finding reports a gap in full, even where one that is known did before.
        first_by = self._unknown_for if finding.status is Status.UNKNOWN else self._gaps
        first = {
            self._unknown_for.get(gap) or first_by.setdefault(gap, finding.name) for gap in gaps
        }
        is_new = finding.name in first or not finding.message.endswith(words)
        if is_new or len(words) < _LONG_GAPS:
            return finding
        rest = finding.message.removesuffix(words)
        message = f"{rest}Not seen: as in {' and '.join(sorted(first))}."
        return finding.model_copy(update={"message": message})

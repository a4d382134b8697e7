"""A diagnosis on the demo stack, and the runbook that it leads to, run as an engineer would."""

from __future__ import annotations

from typing import Any

from opsnb.checks.ranking import Diagnosis, ranked
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, RunResult
from tests.runs import run_once


def diagnosed(target: Target, symptom: Any, *causes: Any) -> Diagnosis:
    """Return what `rb.diagnose` ranks."""
    return ranked(symptom.name, Measurement(target).run([symptom, *causes]))


def names(diagnosis: Diagnosis) -> list[str]:
    """Return the causes that were found, the likeliest first."""
    return [cause.name for cause in diagnosis.causes]


def mended(target: Target, finding: Finding, **more: str) -> RunResult:
    """Run the runbook of the finding's first remedy with exactly its parameters, and apply it.

    `more` are parameters that only shorten a run.
    """
    remedy: Remedy = finding.remedies[0]
    result = run_once(target, remedy.runbook, {**remedy.parameters, **more, "apply": "true"})
    assert result.error is None, result.error
    return result

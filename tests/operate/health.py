"""Scenarios of section 1."""

from __future__ import annotations

from opsnb.config.target import Target
from opsnb.model import RunResult, Status
from tests.operate import Scenario


def _all_ok(_: Target, result: RunResult) -> None:
    assert len(result.findings) >= 8
    assert {finding.status for finding in result.findings} == {Status.OK}


SCENARIOS = {"health/daily": Scenario(effect=_all_ok)}

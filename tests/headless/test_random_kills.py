"""Runs that are struck at moments that were hard once, and at the edges of what a run does.

benchmarks/kills.py does the same at as many random moments as one likes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.headless import random_kills
from tests.headless.random_kills import SCENARIOS, Scenario

HARD = {
    "clean": [("SIGINT twice", 0.92), ("kill the kernel", 0.6)],
    "retry": [("kill the runner", 0.55), ("SIGTERM", 0.6)],
    "clear": [("kill the kernel", 0.5), ("SIGINT", 0.7)],
    "pause": [("kill the runner", 0.97), ("SIGTERM", 0.1)],
    "deploy": [
        ("kill the runner", 0.5),
        ("kill the kernel", 0.6),
        ("SIGINT twice", 0.55),
        ("SIGTERM", 0.8),
    ],
}
"""How each runbook's runs are struck, and after which part of the time that one takes."""


@pytest.mark.timeout(900)  # several runs, each of which is continued
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_run_that_is_struck_leaves_nothing_wrong(scenario: Scenario) -> None:
    # Not pytest's folder: its long path would pass the limit of Unix sockets.
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as folder,
        random_kills.system(Path(folder, "system")) as own,
    ):
        span = random_kills.span_of(own, scenario)
        done = [
            random_kills.trial(own, scenario, strike, part * span)
            for strike, part in HARD[scenario.name]
        ]
    assert [each for each in done if each.faults] == []

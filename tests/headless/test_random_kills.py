"""Runs that are struck at moments that were hard once, and at the edges of what a run does.

Each seed is one trial of benchmarks/kills.py, which makes as many others as one likes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headless import random_kills
from tests.headless.random_kills import SCENARIOS, System

SCENARIO = {each.name: each for each in SCENARIOS}

HARD = [
    ("clean", "SIGINT twice", 0.92),
    ("retry", "kill the runner", 0.55),
    ("retry", "kill the kernel", 0.65),
    ("retry", "SIGTERM", 0.6),
    ("clear", "kill the kernel", 0.5),
    ("clear", "SIGINT", 0.7),
    ("pause", "kill the runner", 0.97),
    ("pause", "SIGTERM", 0.1),
    ("deploy", "kill the runner", 0.5),
    ("deploy", "kill the kernel", 0.6),
    ("deploy", "SIGINT twice", 0.55),
    ("deploy", "SIGTERM", 0.7),
]
"""The runbook, how it is struck, and after which part of the time that a run takes."""


@pytest.fixture(scope="module")
def own() -> Iterator[System]:
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as folder,
        random_kills.system(Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def spans(own: System) -> dict[str, float]:
    return {name: random_kills.span_of(own, SCENARIO[name]) for name in {each[0] for each in HARD}}


@pytest.mark.xdist_group("random kills")
@pytest.mark.parametrize("hard", HARD, ids=json.dumps)
def test_a_run_that_is_struck_leaves_nothing_wrong(
    own: System, spans: dict[str, float], hard: tuple[str, str, float]
) -> None:
    name, strike, part = hard
    done = random_kills.trial(own, SCENARIO[name], strike, part * spans[name])
    assert done.faults == [], done

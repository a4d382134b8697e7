"""Runs within this process, whose kernels are forked from one that has imported everything.

For tests of what a run does: that a single run's own kernel does the same, others prove.
"""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path

import pytest

import opsnb
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.run import Order
from opsnb.headless.run import run as run_one
from opsnb.model import RunResult
from opsnb.target import load_config

ROOT = Path(opsnb.__file__).parents[1]


@cache
def kernels() -> ForkServer:
    """Return the fork server of this process, from which cells may import these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        server = ForkServer(["import opsnb.runbook, redis"])
    atexit.register(server.close)
    return server


def run(order: Order) -> RunResult:
    """Run `order` as `opsnb run` does."""
    return run_one(order, load_config(), server=kernels())

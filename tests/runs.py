"""Runs within this process, whose kernels are forked from one that has imported everything.

For tests of what a run does: that a single run's own kernel does the same, others prove.
"""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path

import pytest

import opsnb
from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.headless import run as headless
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.order import Order
from opsnb.model import RunResult

ROOT = Path(opsnb.__file__).parents[1]
RUNBOOKS = catalog.runbooks()  # a test may put others in their place


@cache
def _kernels() -> ForkServer:
    """Return the fork server of this process, from which cells may import these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        server = ForkServer(imports(RUNBOOKS))
    atexit.register(server.close)
    return server


def run(order: Order) -> RunResult:
    """Run `order` as `opsnb run` does."""
    return headless.run(order, load_config(), server=_kernels())


def run_once(target: Target, runbook: str, parameters: dict[str, str]) -> RunResult:
    """Run a runbook, which must come to its end."""
    info = catalog.runbook(runbook)
    result = run(Order(info, target, info.validate({"target": target.name, **parameters})))
    assert result.error is None, result.error
    return result

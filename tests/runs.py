"""Runs of runbooks within this process, whose kernels come from one that has imported all."""

from __future__ import annotations

import atexit
from functools import cache

from opsnb import catalog
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.run import Order, run
from opsnb.model import RunResult
from opsnb.target import Target, load_config


@cache
def _kernels() -> ForkServer:
    server = ForkServer(imports(catalog.runbooks()))
    atexit.register(server.close)
    return server


def run_once(target: Target, runbook: str, parameters: dict[str, str]) -> RunResult:
    """Run a runbook as `opsnb run` does."""
    info = catalog.runbook(runbook)
    values = info.validate({"target": target.name, **parameters})
    result = run(Order(info, target, values), load_config(), server=_kernels())
    assert result.error is None, result.error
    return result

"""A run: parameters checked, notebook executed, record kept, exit code told."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import opsnb
from opsnb.catalog import RunbookInfo
from opsnb.errors import RunBroke
from opsnb.headless.execute import Execution, execute
from opsnb.model import RunResult, Status, now, worst
from opsnb.records import Store, actions, findings, new_run_id
from opsnb.redaction import Redactor, environment_secrets
from opsnb.target import Config, Target


@dataclass(frozen=True)
class Order:
    """What is to be run: a runbook, on a target, with checked parameters."""

    runbook: RunbookInfo
    target: Target
    parameters: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None


def run(order: Order, config: Config, stopped: Sequence[signal.Signals] = ()) -> RunResult:
    """Run `order`, keep its record and return the result as it was kept, without secrets.

    The run ends early when a signal turns up in `stopped`. Raises ConfigError, before anything is
    started, when the record store cannot be written. When it cannot be in the end, the executed
    notebook is left behind, and the result's error says where.
    """
    store = Store(config.store)
    store.demand_writable()
    redactor = Redactor(order.target.secrets | environment_secrets())
    started = now()
    source = order.runbook.path.read_bytes()
    # A snapshot is run, so that the record is of one version though the file may change meanwhile.
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        snapshot = Path(folder, order.runbook.path.name)
        snapshot.write_bytes(source)
        output = Path(folder, "record.ipynb")
        execution = execute(snapshot, output, order.parameters, stopped, order.timeout_s)
    result = _result(order, started, hashlib.sha256(source).hexdigest(), execution)
    try:
        store.keep(result, execution.notebook, redactor)
    except RunBroke as error:
        left = _leave_behind(result.run_id, redactor.tree(execution.notebook))
        result.error = f"{error} The executed notebook was left at {left}."
        result.exit_code = error.exit_code
        return RunResult.model_validate(redactor.tree(result.model_dump(mode="json")))
    return store.result(result.run_id)


def _result(order: Order, started: datetime, sha256: str, execution: Execution) -> RunResult:
    found = findings(execution.notebook)
    status = worst(finding.status for finding in found)
    if execution.exit_code:  # what did not run to its end may have missed the worst
        status = worst([status, Status.UNKNOWN])
    finished = now()
    return RunResult(
        run_id=new_run_id(order.runbook.id, order.target.name, started),
        runbook=order.runbook.id,
        title=order.runbook.title,
        runbook_sha256=sha256,
        commit=_commit(order.runbook.path),
        target=order.target.name,
        operator=os.environ.get("SUDO_USER") or getpass.getuser(),
        host=socket.gethostname(),
        parameters=order.parameters,
        status=status,
        exit_code=execution.exit_code or status.exit_code,
        error=execution.error,
        findings=found,
        actions=actions(execution.notebook),
        started=started,
        finished=finished,
        seconds=(finished - started).total_seconds(),
        opsnb_version=opsnb.__version__,
    )


def _commit(path: Path) -> str | None:
    """Return the commit that last changed `path`, with `+` when it has been changed since."""
    commit = _git(path.parent, "log", "-1", "--format=%h", "--", path.name)
    if not commit:
        return None
    return commit + ("+" if _git(path.parent, "status", "--porcelain", "--", path.name) else "")


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says, or nothing where there is no git or no repository."""
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()


def _leave_behind(run_id: str, notebook: dict[str, Any]) -> Path:
    path = Path(tempfile.mkdtemp(prefix="opsnb-"), f"{run_id}.ipynb")
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return path

"""The result of a run: as it begins, and as it ends."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import opsnb
from opsnb.errors import ExitCode
from opsnb.headless.execute import Execution
from opsnb.headless.order import Order
from opsnb.machine.holder import operator
from opsnb.model import ActionRecord, RunResult, Status, now, status_of, worst
from opsnb.records.ending import word
from opsnb.records.extract import actions, findings
from opsnb.records.store import new_run_id

_HEADLINE = "opsnb-headline"
_CELLS_HAVE_IDS = (4, 5)  # the version of the notebook format


def begin(order: Order, source: bytes) -> RunResult:
    """Return the result as the run begins, which is kept if it is killed."""
    started = now()
    sha256 = hashlib.sha256(source).hexdigest()
    return RunResult(
        run_id=new_run_id(order.runbook.id, order.target.name, started),
        runbook=order.runbook.id,
        title=order.runbook.title,
        runbook_sha256=sha256,
        commit=_commit(order.runbook.path, sha256),
        target=order.target.name,
        operator=operator(),
        host=socket.gethostname(),
        trigger=order.trigger,
        incident=order.incident,
        scheduled=order.scheduled,
        parent=order.resumes.run_id if order.resumes else None,
        fleet=order.fleet,
        parameters=order.parameters,
        status=Status.UNKNOWN,
        exit_code=ExitCode.BROKE,
        error="The run was killed before its end.",
        started=started,
        finished=started,
        seconds=0,
        opsnb_version=opsnb.__version__,
    )


def end(opening: RunResult, execution: Execution) -> RunResult:
    """Return the result as the run ends, from its opening and its executed notebook."""
    found, done = findings(execution.notebook), actions(execution.notebook)
    status = status_of(found)
    if execution.exit_code:  # it may have missed the worst
        status = worst([status, Status.UNKNOWN])
    # If the clock was set back meanwhile, the run must still end after it began.
    finished = max(now(), opening.started)
    return opening.model_copy(
        update={
            "status": status,
            "exit_code": _exit_code(execution, done) or status.exit_code,
            "error": _error(execution, done),
            "findings": found,
            "actions": done,
            "finished": finished,
            "seconds": (finished - opening.started).total_seconds(),
        }
    )


def _exit_code(execution: Execution, done: Sequence[ActionRecord]) -> int:
    """Return the exit code of the execution; UNUSABLE says that nothing was changed."""
    if execution.exit_code == ExitCode.UNUSABLE and any(action.begun for action in done):
        return ExitCode.BROKE
    return execution.exit_code


def _error(execution: Execution, done: Sequence[ActionRecord]) -> str | None:
    """Return why the run ended early and, after a refusal, that nothing was changed."""
    error = execution.error
    refused = execution.exit_code in (ExitCode.UNUSABLE, ExitCode.REFUSED)
    untouched = not any(action.begun for action in done)
    if not (error and refused and untouched) or re.search("othing (?:was )?changed", error):
        return error
    return f"Nothing was changed: {error}"


def headline(notebook: dict[str, Any], result: RunResult) -> None:
    """Add how a run failed to the top of its executed notebook."""
    if result.error is None:
        return
    cell: dict[str, Any] = {
        "cell_type": "markdown",
        "metadata": {"tags": [_HEADLINE]},
        "source": f"**{word(result)}.** {result.error}",
    }
    if (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 0)) >= _CELLS_HAVE_IDS:
        cell["id"] = _HEADLINE
    notebook["cells"].insert(0, cell)


@cache
def _commit(path: Path, sha256: str) -> str | None:  # noqa: ARG001 - a changed file is asked again
    """Return the commit that last changed `path`, with `+` if it was changed after that."""
    commit = _git(path.parent, "log", "-1", "--format=%h", "--", path.name)
    if not commit:
        return None
    return commit + ("+" if _git(path.parent, "status", "--porcelain", "--", path.name) else "")


def _git(folder: Path, *arguments: str) -> str:
    """Return the output of git; empty without git or a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

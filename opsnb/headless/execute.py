"""Execute a notebook with papermill so that it can be stopped without losing its outputs.

papermill runs in its own thread, so the main thread is free for signals and time limits. To stop a
run, the kernel is interrupted: the notebook cleans up and its outputs are saved. Only if that takes
longer than the grace period is the kernel's process group killed.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opsnb import errors
from opsnb.errors import ExitCode
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.progress import Progress
from opsnb.records.bounds import shallow

GRACE_S = 10.0
"""How long an interrupted notebook may take for its clean-up."""

_POLL_S = 0.05
_INTERRUPT_EVERY_S = 3.0
_ENGINE = "opsnb"
_MARKER = "papermill-error-cell-tag"
_FORMATS = ("rfc3987_syntax", "rfc3986_validator", "isoduration")


@dataclass(frozen=True)
class Limits:
    """How long a run may take, in seconds; None for no limit."""

    run_s: float | None = None
    cell_s: float | None = None
    """For each cell."""


_UNLIMITED = Limits()


@dataclass(frozen=True)
class Ending:
    """Why an execution was stopped."""

    exit_code: int
    reason: str


@dataclass(frozen=True)
class Execution:
    """How the execution of a notebook ended."""

    notebook: dict[str, Any]
    """The notebook as far as it was executed."""
    exit_code: int = 0
    """0 when every cell ran."""
    error: str | None = None
    """Why it did not run to its end, in one sentence."""


def execute(  # noqa: PLR0913 - the options of an execution
    notebook: dict[str, Any],
    parameters: dict[str, Any],
    *,
    server: ForkServer | None = None,
    progress: Progress | None = None,
    limits: Limits = _UNLIMITED,
    ended: Callable[[], Ending | None] = lambda: None,
    environment: dict[str, str] | None = None,
) -> Execution:
    """Execute `notebook` with `parameters`; `progress` gets the notebook after every cell.

    `server` starts the kernel; None starts a stock kernel. The execution stops early by `limits`,
    or when `ended` returns a reason. Errors in the notebook are returned, not raised.
    """
    progress = progress or Progress()
    failures: list[Exception] = []
    options = {"server": server, "progress": progress, "environment": environment}
    worker = threading.Thread(
        target=_papermill, args=(notebook, parameters, options, failures), daemon=True
    )
    worker.start()
    ending = _wait(worker, progress, limits, ended)
    killed = _stop(worker, progress) if ending else ""
    # A copy, as papermill may still be working on its notebook if a kernel could not be killed.
    executed = _without_markers(shallow(progress.notebook or notebook))
    if ending:
        return Execution(executed, ending.exit_code, ending.reason + killed)
    if failures:
        return Execution(executed, *_failure(failures[0]))
    if any(cell.get("execution_count") is None for cell in _code(executed)):
        return Execution(
            executed, ExitCode.BROKE, "The notebook ended itself before its last cell."
        )
    return Execution(executed)


def _without_markers(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return `notebook` without papermill's own cells about an exception."""
    cells = [
        cell
        for cell in notebook["cells"]
        if _MARKER not in cell.get("metadata", {}).get("tags", ())
    ]
    return {**notebook, "cells": cells}


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the code cells that are not empty."""
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]


def papermill() -> tuple[Any, Any]:
    """Import what executes a notebook; return nbformat and the steps of papermill."""
    # jsonschema, which papermill imports, prepares for formats that no notebook uses; the grammar
    # of IRIs alone takes half of the time that importing papermill takes.
    for unused in _FORMATS:
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]
    import nbformat  # noqa: PLC0415
    from papermill import execute as steps  # noqa: PLC0415

    return nbformat, steps


def _papermill(
    notebook: dict[str, Any],
    parameters: dict[str, Any],
    options: dict[str, Any],
    failures: list[Exception],
) -> None:
    try:
        nbformat, steps = papermill()  # imported here, while the kernel starts
        # Parameters were checked before and the result holds every error: their logs are noise.
        for noisy in ("papermill", "traitlets"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        # The steps of papermill.execute_notebook, which also formats a file that is not written.
        source = steps.load_notebook_node(nbformat.from_dict(notebook))
        if parameters:
            source = steps.parameterize_notebook(source, parameters, engine_name=_ENGINE)
        source = steps.prepare_notebook_metadata(source, None, None)
        engines = steps.papermill_engines
        executed = engines.execute_notebook_with_engine(
            _ENGINE,
            steps.remove_error_markers(source),
            engines.nb_kernel_name(engine_name=_ENGINE, nb=source),
            output_path=None,
            progress_bar=False,
            **options,
        )
        steps.raise_for_execution_errors(executed, None)
    except Exception as error:  # noqa: BLE001 - the main thread reports it
        failures.append(error)


def _wait(
    worker: threading.Thread,
    progress: Progress,
    limits: Limits,
    ended: Callable[[], Ending | None],
) -> Ending | None:
    """Wait for the end of the execution; return why to stop it early, if needed."""
    began = time.monotonic()
    while worker.is_alive():
        if ending := ended():
            return ending
        if limits.run_s and time.monotonic() - began > limits.run_s:
            return Ending(
                ExitCode.TIMED_OUT, _timed_out(limits.run_s, progress, "--timeout SECONDS")
            )
        if limits.cell_s and progress.cell_seconds > limits.cell_s:
            own = "cell_timeout_s in the notebook's metadata"
            return Ending(ExitCode.TIMED_OUT, _timed_out(limits.cell_s, progress, own))
        worker.join(_POLL_S)
    return None


def _timed_out(limit_s: float, progress: Progress, setting: str) -> str:
    where = f"in cell {progress.cell}" if progress.cell else "before the first cell"
    return f"Timed out after {limit_s:g} s {where}. To allow more time, set {setting}."


def _stop(worker: threading.Thread, progress: Progress) -> str:
    """Interrupt the kernel until it stops, or kill it after the grace period and say so."""
    progress.ends.set()
    ends = time.monotonic() + GRACE_S
    while worker.is_alive() and time.monotonic() < ends:
        # More than once, because a kernel ignores it between cells. Later interrupts do not disturb
        # the clean-up of an action.
        for pid in progress.kernels:
            _signal_group(pid, signal.SIGINT)
        worker.join(_INTERRUPT_EVERY_S)
    if not worker.is_alive():
        return ""
    for pid in progress.kernels:
        _signal_group(pid, signal.SIGKILL)
    worker.join(GRACE_S)
    return (
        f" Cell {progress.cell} ignored the interrupt and was killed, so its clean-up did not run."
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group of the kernel `pid`, which is its leader."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def failure(ename: str, evalue: str, count: object) -> tuple[int, str]:
    """Return the exit code and the sentence for an exception in a cell.

    REFUSED and UNUSABLE where the runbook itself refused, INTERRUPTED, else BROKE.
    """
    if ename == "KeyboardInterrupt":
        return ExitCode.INTERRUPTED, f"Cell [{count or '?'}] was interrupted."
    raised = getattr(errors, ename, None)
    code: int = ExitCode.BROKE
    if isinstance(raised, type) and issubclass(raised, errors.OpsnbError):
        code = raised.exit_code
    if code != ExitCode.BROKE:
        return code, evalue
    return ExitCode.BROKE, f"Cell [{count or '?'}] raised {ename}: {evalue}"


def _failure(error: Exception) -> tuple[int, str]:
    """Return exit code and sentence for an error of papermill, whose classes are slow to import."""
    kind = type(error).__name__
    if kind == "PapermillExecutionError":
        details = (getattr(error, name, "") for name in ("ename", "evalue", "exec_count"))
        return failure(*details)
    if kind == "DeadKernelError":
        why = "The kernel died. Check whether the machine ran out of memory."
    elif isinstance(error, errors.OpsnbError):
        return error.exit_code, str(error)
    elif isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        why = f"The notebook could not be executed: {error.strerror}{where}."
    else:
        why = f"The notebook could not be executed: {kind}: {error}"
    return ExitCode.BROKE, why

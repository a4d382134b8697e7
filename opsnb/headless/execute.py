"""Execute a notebook by papermill so that it can be stopped and always leaves what it had done.

papermill runs in a thread of its own: the main thread stays free for signals and the time limit.
To stop, the kernel is interrupted, so that the notebook's own clean-up runs and its output is
saved; only when that does not help within the grace time is the kernel's process group killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from opsnb import errors

GRACE_S = 10.0
"""How long an interrupted notebook may take for its clean-up."""

_POLL_S = 0.05
_INTERRUPT_EVERY_S = 3.0
BROKE, TIMED_OUT, INTERRUPTED = 70, 124, 130


@dataclass(frozen=True)
class Execution:
    """How the execution of a notebook ended."""

    notebook: dict[str, Any]
    """The notebook as far as it was executed; as it stood before when nothing was."""
    exit_code: int = 0
    """0 when every cell ran; 64, 77 refused, 70 broke, 124 timed out, 130 interrupted."""
    error: str | None = None
    """Why it did not run to its end, in one sentence."""


def execute(
    source: Path,
    output: Path,
    parameters: dict[str, Any],
    stopped: Sequence[signal.Signals] = (),
    timeout_s: float | None = None,
) -> Execution:
    """Execute `source` with `parameters`, saving to `output` after every cell.

    It ends early when a signal turns up in `stopped`, or after `timeout_s` seconds. Whatever goes
    wrong in the notebook is told by the result, not raised.
    """
    # The parameters have been checked, and the result tells how it ended: the rest is noise.
    for noisy in ("papermill", "traitlets"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    kernels: list[int] = []
    failures: list[Exception] = []
    worker = threading.Thread(
        target=_papermill, args=(source, output, parameters, kernels, failures), daemon=True
    )
    worker.start()
    ending = _wait(worker, stopped, timeout_s)
    if ending:
        _stop(worker, kernels)
    notebook = json.loads((output if output.exists() else source).read_text(encoding="utf-8"))
    if ending == TIMED_OUT:
        return Execution(notebook, ending, f"The run took longer than {timeout_s:g} s.")
    if ending == INTERRUPTED:
        return Execution(notebook, ending, f"The run was interrupted ({stopped[0].name}).")
    if failures:
        return Execution(notebook, _exit_code(failures[0]), _sentence(failures[0]))
    if any(cell.get("execution_count") is None for cell in _code(notebook)):
        return Execution(notebook, BROKE, "The notebook ended itself before its last cell.")
    return Execution(notebook)


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the code cells that have something to execute."""
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]


def _papermill(
    source: Path,
    output: Path,
    parameters: dict[str, Any],
    kernels: list[int],
    failures: list[Exception],
) -> None:
    try:
        papermill.execute_notebook(
            source,
            output,
            parameters,
            progress_bar=False,
            kernel_manager_class=_manager(output.with_name("kernel.json"), kernels.append),
        )
    except Exception as error:  # noqa: BLE001 - the main thread tells it
        failures.append(error)


def _manager(connection: Path, started: Callable[[int], None]) -> type[AsyncKernelManager]:
    """Return a kernel manager that tells the kernel's pid, which nbclient keeps to itself.

    Where there are Unix sockets the kernel is talked to over these, beside its connection file:
    nobody else on the machine can reach them, and parallel runs cannot collide on a port.
    """

    class Manager(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            if os.name == "posix":
                kwargs |= {"transport": "ipc", "connection_file": str(connection)}
            super().__init__(**kwargs)

        async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
            # What the kernel's process itself says is for nobody; the cells' output is caught.
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return await super()._async_pre_start_kernel(**{**kwargs, **quiet})

        pre_start_kernel = _async_pre_start_kernel

        async def _async_post_start_kernel(self, **kwargs: Any) -> None:
            await super()._async_post_start_kernel(**kwargs)
            pid = getattr(self.provisioner, "pid", None)
            if pid:
                started(pid)

        post_start_kernel = _async_post_start_kernel

    return Manager


def _wait(
    worker: threading.Thread, stopped: Sequence[signal.Signals], timeout_s: float | None
) -> int:
    """Wait for the end, a signal or the time limit; return 0, INTERRUPTED or TIMED_OUT."""
    ends = time.monotonic() + timeout_s if timeout_s else float("inf")
    while worker.is_alive():
        if stopped:
            return INTERRUPTED
        if time.monotonic() > ends:
            return TIMED_OUT
        worker.join(_POLL_S)
    return 0


def _stop(worker: threading.Thread, kernels: list[int]) -> None:
    """Interrupt the kernel until it heeds it, or kill it after the grace time."""
    ends = time.monotonic() + GRACE_S
    while worker.is_alive() and time.monotonic() < ends:
        # More than once: a kernel that is starting does not hear the first.
        for pid in kernels:
            _signal_group(pid, signal.SIGINT)
        worker.join(_INTERRUPT_EVERY_S)
    if worker.is_alive():
        for pid in kernels:
            _signal_group(pid, signal.SIGKILL)
        worker.join(GRACE_S)


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group of the kernel `pid`, which is its leader."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _exit_code(error: Exception) -> int:
    """Return 77 and 64 for what a runbook itself refused, else 70: the run broke."""
    raised = getattr(errors, getattr(error, "ename", ""), None)
    if isinstance(raised, type) and issubclass(raised, errors.OpsnbError):
        return raised.exit_code
    return BROKE


def _sentence(error: Exception) -> str:
    if isinstance(error, PapermillExecutionError) and _exit_code(error) != BROKE:
        return str(error.evalue)
    if isinstance(error, PapermillExecutionError):
        return f"Cell [{error.exec_count}] raised {error.ename}: {error.evalue}"
    if isinstance(error, DeadKernelError):
        return "The kernel died; look for a lack of memory on the machine that ran it."
    return f"The notebook could not be executed: {type(error).__name__}: {error}"

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from opsnb import errors

GRACE_S = 10.0
"""How long an interrupted notebook may take for its clean-up."""

_POLL_S = 0.05
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
    source: Path, output: Path, parameters: dict[str, Any], timeout_s: float | None = None
) -> Execution:
    """Execute `source` with `parameters`, saving to `output` after every cell.

    `timeout_s` bounds the whole execution, in seconds. Whatever goes wrong in the notebook is
    told by the result, not raised.
    """
    # The parameters have been checked; what papermill guesses about them is noise.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    kernels: list[int] = []
    failures: list[Exception] = []
    worker = threading.Thread(
        target=_papermill, args=(source, output, parameters, kernels, failures), daemon=True
    )
    with _stop_signals() as stopped:
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
    return Execution(notebook)


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


@contextmanager
def _stop_signals() -> Iterator[list[signal.Signals]]:
    """Yield a list to which SIGINT and SIGTERM are added instead of ending this process."""
    came: list[signal.Signals] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield came  # signals are the main thread's
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(worker: threading.Thread, stopped: list[signal.Signals], timeout_s: float | None) -> int:
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
    for number in (signal.SIGINT, signal.SIGKILL):
        for pid in kernels:
            _signal_group(pid, number)
        worker.join(GRACE_S)
        if not worker.is_alive():
            return


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

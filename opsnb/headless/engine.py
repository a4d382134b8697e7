"""The papermill engine `opsnb`: nbclient with fast kernels, saved after each cell.

papermill finds it by its entry point; nothing else imports it, as papermill is slow to import.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from jupyter_core.utils import run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager
from papermill.log import logger
from traitlets import Dict, Instance

from opsnb.errors import Interrupted
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.manager import Manager
from opsnb.headless.kernels.provisioner import shared
from opsnb.headless.kernels.strays import end_started_by
from opsnb.headless.progress import Progress
from opsnb.machine.marks import STARTED_BY
from opsnb.records.bounds import trim_output

_LOST_AFTER_S = 5.0
"""How long after its last output the reply of a cell may take."""

_OUTPUTS = frozenset({"stream", "error", "display_data", "execute_result", "update_display_data"})

_LARGE_OUTPUT_S = 60
"""How long after a cell's reply its outputs may come, which are many megabytes at times."""


class Engine(NBClientEngine):  # type: ignore[misc] # papermill is untyped
    """Executes notebooks as papermill's own engine does, but faster."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        *,
        server: ForkServer | Literal["shared"] | None = "shared",
        progress: Progress | None = None,
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Execute `nb` and return it. `kwargs` are those of papermill's own engine.

        `server` starts the kernel, by default one of this process; None starts a stock kernel.
        The kernel gets the environment of this process and `environment`. `progress` follows the
        execution.
        """
        progress = progress or Progress()
        saving = {name: kwargs.pop(name) for name in _OF_SAVING if name in kwargs}
        if not isinstance(nb.metadata.papermill.get("input_path"), str):
            # Otherwise a notebook without a file would be copied into its own metadata.
            nb.metadata.papermill["input_path"] = None
        kept = _Kept(progress, nb, **saving)
        kept.notebook_start()
        try:
            with (
                tempfile.TemporaryDirectory(prefix="opsnb-") as folder,
                _strays_ended() as mark,
            ):
                progress.works_in(folder)
                cls.execute_managed_notebook(
                    kept,
                    kernel_name,
                    log_output=kept.log_output,
                    folder=Path(folder),
                    server=shared() if server == "shared" else server,
                    progress=progress,
                    environment={**os.environ, **(environment or {}), STARTED_BY: mark},
                    **kwargs,
                )
        finally:
            kept.cleanup_pbar()
            kept.notebook_complete()
        return kept.nb

    @classmethod
    def execute_managed_notebook(  # noqa: PLR0913, PLR0917 - papermill's own signature
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        input_path: str | None = None,  # noqa: ARG003 - given by papermill to every engine
        **kwargs: Any,
    ) -> Any:
        """Execute the notebook that `nb_man` manages."""
        options: dict[str, Any] = {
            **kwargs,
            "timeout": execution_timeout or kwargs.get("timeout"),
            "startup_timeout": start_timeout,
            "iopub_timeout": _LARGE_OUTPUT_S,
        }
        return _Client(
            nb_man,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
            **options,
        ).execute()


@contextmanager
def _strays_ended() -> Iterator[str]:
    """Yield a mark for the kernel's environment; end all processes with it at the end."""
    mark = secrets.token_hex(16)
    try:
        yield mark
    finally:
        end_started_by(mark)


_OF_SAVING = ("output_path", "progress_bar", "log_output", "autosave_cell_every")


class _Kept(NotebookExecutionManager):  # type: ignore[misc] # papermill is untyped
    """Saves when there is something to save."""

    def __init__(self, progress: Progress, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._saves = True

    def save(self, **kwargs: Any) -> None:
        if not self._saves:
            return
        super().save(**kwargs)
        self._progress.save(self.nb)

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        # Text is not executed, and a cell that starts has nothing to save yet.
        if cell.cell_type == "code":
            if self._progress.ends.is_set():
                raise Interrupted("The run ended before this cell.")
            with self._unsaved():
                super().cell_start(cell, cell_index, **kwargs)
            if cell.source.strip():
                self._progress.cell_began(cell_index)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        if cell.cell_type == "code" and cell.metadata.papermill.get("start_time"):
            self._progress.cell_ended()
            super().cell_complete(cell, cell_index, **kwargs)

    @contextmanager
    def _unsaved(self) -> Iterator[None]:
        self._saves = False
        try:
            yield
        finally:
            self._saves = True


class _Client(PapermillNotebookClient):  # type: ignore[misc] # papermill is untyped
    folder = Instance(Path, help="The folder of the kernel's sockets.")
    server = Instance(ForkServer, allow_none=True, help="None starts a stock kernel.")
    progress = Instance(Progress)
    environment = Dict()

    def create_kernel_manager(self) -> Manager:
        name = self.kernel_name or "python3"
        self.km = Manager(folder=self.folder, kernel_name=name, config=self.config)
        self.km.server = self.server
        return self.km

    def process_message(self, msg: dict[str, Any], *arguments: Any, **kwargs: Any) -> Any:
        if msg["msg_type"] in _OUTPUTS:
            trim_output(msg["content"])  # before it is copied several times
        return super().process_message(msg, *arguments, **kwargs)

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        await super().async_start_new_kernel(env=dict(self.environment), **kwargs)
        if pid := getattr(self.km.provisioner, "pid", None):
            self.progress.kernel(pid)

    start_new_kernel = run_sync(async_start_new_kernel)

    async def _async_poll_for_reply(
        self, msg_id: str, cell: Any, timeout: int | None, output: Any, alive: Any
    ) -> Any:
        """Wait for the kernel's reply to a cell, but only briefly once the kernel is idle again.

        When the reply is lost, the outputs of the cell replace it.
        """
        poll = super()._async_poll_for_reply(msg_id, cell, timeout, output, alive)
        reply = asyncio.ensure_future(poll)
        try:
            await asyncio.wait({reply, output}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reply}, timeout=_LOST_AFTER_S if _has_ended(output) else None)
            if reply.done():
                return reply.result()
            alive.cancel()
            return _reply_of(cell)
        finally:
            reply.cancel()


def _has_ended(output: Any) -> bool:
    """Return whether the kernel has reported that it is idle again."""
    return bool(output.done() and not output.cancelled() and output.exception() is None)


def _reply_of(cell: Any) -> dict[str, Any]:
    """Return the reply that matches the outputs of an executed cell."""
    errors = [output for output in cell.outputs if output["output_type"] == "error"]
    if not errors:
        return {"content": {"status": "ok", "payload": []}}
    error = {name: errors[-1][name] for name in ("ename", "evalue", "traceback")}
    return {"content": {"status": "error", **error}}

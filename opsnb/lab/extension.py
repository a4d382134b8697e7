"""What opsnb adds to the server of its JupyterLab: records, locks, and notices of them."""

from __future__ import annotations

import asyncio
import posixpath
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.ioloop import PeriodicCallback
from traitlets import Float

from opsnb.headless.kernels.forkserver import FORKS
from opsnb.headless.kernels.provisioner import shared
from opsnb.journal import JOURNAL
from opsnb.lab.locks import Locks
from opsnb.lab.recorder import Recorder, Run
from opsnb.model import now
from opsnb.records import Store, reap
from opsnb.target import load_config
from opsnb.terminal import visible

_LOOK_EVERY_S = 2.0
_CONTENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"
_NOTICE = "urn:opsnb:notice"  # notices.js listens for it
_SCHEMA = {
    "$id": _NOTICE,
    "version": "1",
    "title": "A sentence for the user",
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "type": {"enum": ["info", "warning", "error"]},
    },
}


class Sessions(SessionManager):
    """Starts the kernels of working copies so that they journal their actions for the record."""

    records: Records | None = None
    """Set by the extension as it is loaded."""

    async def start_kernel_for_session(
        self, session_id: str, path: str | None, name: Any, *args: Any, **kwargs: Any
    ) -> str:
        """Start a kernel; that of a working copy begins its run."""
        run = await self.records.begin(_file(path, name)) if self.records else None
        kernel_id = await super().start_kernel_for_session(session_id, path, name, *args, **kwargs)
        if run and self.records:
            await self.records.kernel_started(run, kernel_id)
        return kernel_id

    def get_kernel_env(self, path: str | None, name: Any = None) -> dict[str, str]:
        """Return the environment of a kernel, which names the journal of its run."""
        environment = super().get_kernel_env(path, name)
        run = self.records.known(_file(path, name)) if self.records else None
        return {**environment, JOURNAL: str(run.journal) if run else ""}


def _file(path: str | None, name: str | None) -> str:
    """Return the path of a notebook. As a session is made, a random one stands in for its name."""
    return posixpath.join(posixpath.dirname(path or ""), name) if name else path or ""


class Records(ExtensionApp):
    """Keeps the records of what is run in this JupyterLab, and tells the user of it."""

    name = "opsnb"
    idle_s = Float(
        5 * 60.0,
        config=True,
        help="A kernel with nothing to do for so many seconds gives the lock of its target back.",
    )

    def initialize_settings(self) -> None:
        """Begin to follow saves and kernels."""
        self._server = cast("Any", self.serverapp)  # its managers are what its configuration says
        store = Store(load_config().store)
        reap(store)
        self._recorder = Recorder(Path(self._server.root_dir), store)
        self._locks = Locks(store)
        self._kernels: dict[Run, str] = {}
        self._failed: dict[str, str] = {}
        """What was told of the working copies whose last save has no record."""
        self._server.session_manager.records = self
        events = self._server.event_logger
        events.register_event_schema(_SCHEMA)
        events.add_listener(schema_id=_CONTENTS, listener=self._heard)
        self._looking = PeriodicCallback(self._look, timedelta(seconds=_LOOK_EVERY_S))
        self._looking.start()
        if FORKS:
            shared()  # has imported everything by the time that the first notebook is open
        # Ctrl-C and a terminal that is closed end it in order, as SIGTERM does, without a question.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._server.stop(from_signal=True))

    async def stop_extension(self) -> None:
        """End the kernels, then the records; say on the terminal what was recorded."""
        self._looking.stop()
        # What an action does while its kernel ends belongs to the record.
        await self._server.cleanup_kernels()
        for ended in self._recorder.close():
            if isinstance(ended, Exception):
                told = f"A record is not written yet, the next opsnb command tries again: {ended}"
            else:
                told = f"Recorded: {ended.status} {ended.runbook} on {ended.target}, {ended.run_id}"
            sys.stderr.write(visible(f"opsnb: {told}\n"))
        self._locks.hold({})

    async def begin(self, path: str) -> Run | None:
        """Begin the run of a working copy; None for other files, and when it cannot be recorded."""
        try:
            return await asyncio.to_thread(self._recorder.run, path)
        except Exception as error:  # noqa: BLE001 - the kernel starts all the same
            self._tell(f"What you run in {path} is not recorded: {error}", "error")
            return None

    def known(self, path: str) -> Run | None:
        """Return the run of the working copy at `path` if it has begun."""
        return self._recorder.runs.get(path)

    async def kernel_started(self, run: Run, kernel_id: str) -> None:
        """Note the kernel of a run, and lock the target if its cells may act on it."""
        self._kernels[run] = kernel_id
        provisioner = self._server.kernel_manager.get_kernel(kernel_id).provisioner
        if pid := getattr(provisioner, "pid", None):
            run.add_kernel(pid)
        await self._see_to_locks()

    async def _heard(self, *, data: dict[str, Any], **_: Any) -> None:
        path = data["path"].strip("/")
        if data["action"] == "rename":
            self._recorder.moved(data["source_path"].strip("/"), path)
        elif data["action"] == "save":
            await self._saved(path)

    async def _saved(self, path: str) -> None:
        try:
            run = await asyncio.to_thread(self._recorder.run, path)
            made = await asyncio.to_thread(run.save) if run else None
        except Exception as error:  # noqa: BLE001 - the user must know that it is not recorded
            self._tell_failure(path, str(error))
            return
        if self._failed.pop(path, None):
            self._tell(f"The record of {path} is up to date again.", "info")
        elif made:
            self._tell(
                f"Recorded as {made.run_id}; each save brings the record up to date.", "info"
            )
        await self._see_to_locks()

    def _tell_failure(self, path: str, why: str) -> None:
        """Tell once that a save has no record; autosaves would tell it every few seconds."""
        if self._failed.get(path) != why:
            self._failed[path] = why
            self._tell(
                f"{path} is saved, but its record is not: {why} The next save tries again.", "error"
            )

    async def _look(self) -> None:
        manager = self._server.kernel_manager
        for run in [run for run, kernel_id in self._kernels.items() if kernel_id not in manager]:
            del self._kernels[run]
            try:
                await asyncio.to_thread(run.end)
            except Exception as error:  # noqa: BLE001 - the user must know that it is not recorded
                self._tell_failure(run.path.name, str(error))
        await self._see_to_locks()

    async def _see_to_locks(self) -> None:
        """Hold the locks of the targets that cells may act on while their kernels are in use."""
        acting = {
            run.acts_on: run.opening
            for run, kernel_id in self._kernels.items()
            if run.acts_on and self._is_used(kernel_id)
        }
        idle = self._idle_since()
        for sentence in await asyncio.to_thread(self._locks.hold, acting, idle):
            self._tell(sentence, "warning")

    def _idle_since(self) -> dict[str, datetime | None]:
        """Return by target since when none of its kernels is at work; None when one is."""
        found: dict[str, datetime | None] = {}
        manager = self._server.kernel_manager
        for run, kernel_id in self._kernels.items():
            if (target := run.acts_on) and kernel_id in manager:
                kernel = manager.get_kernel(kernel_id)
                is_busy = kernel.execution_state == "busy"
                since = None if is_busy else kernel.last_activity
                before = found.setdefault(target, since)
                found[target] = max(before, since) if before and since else None
        return found

    def _is_used(self, kernel_id: str) -> bool:
        manager = self._server.kernel_manager
        if kernel_id not in manager:
            return False
        kernel = manager.get_kernel(kernel_id)
        is_idle = kernel.execution_state != "busy"
        return not (is_idle and now() - kernel.last_activity > timedelta(seconds=self.idle_s))

    def _tell(self, message: str, kind: str) -> None:
        self._server.event_logger.emit(schema_id=_NOTICE, data={"message": message, "type": kind})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": Records}]

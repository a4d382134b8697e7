"""What opsnb adds to the server of its JupyterLab: records, locks, and notices of them."""

from __future__ import annotations

import asyncio
import posixpath
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.ioloop import PeriodicCallback
from traitlets import Float

from opsnb import catalog, journal
from opsnb.errors import OpsnbError
from opsnb.headless.kernels.forkserver import FORKS
from opsnb.headless.kernels.provisioner import shared
from opsnb.journal import JOURNAL
from opsnb.lab import copies, links
from opsnb.lab.ending import Ending, kill
from opsnb.lab.handlers import Close, Open, Targets
from opsnb.lab.locks import Locks
from opsnb.lab.recorder import Recorder, Run
from opsnb.model import now
from opsnb.records import Store, reap
from opsnb.target import load_config
from opsnb.terminal import visible

_LOOK_EVERY_S = 2.0
_TURNS_EVERY_S = 0.1
_CONTENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"
_NOTICE, _LOCK = "urn:opsnb:notice", "urn:opsnb:lock"  # the pages listen for them
_SCHEMAS = (
    {
        "$id": _NOTICE,
        "version": "1",
        "title": "A sentence for the user",
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "type": {"enum": ["info", "warning", "error"]},
            "path": {"type": "string", "description": "The notebook that it concerns."},
            "topic": {"enum": ["record", "lock"]},
        },
    },
    {
        "$id": _LOCK,
        "version": "1",
        "title": "The targets that this JupyterLab keeps locked for others",
        "type": "object",
        "properties": {
            "targets": {"type": "array", "items": {"type": "string"}},
            "seconds": {"type": "number", "description": "An idle kernel keeps them so long."},
        },
    },
)


class Sessions(SessionManager):
    """Starts the kernels of working copies so that they journal their actions for the record."""

    records: Records | None = None
    """Set by the extension as it is loaded."""

    async def start_kernel_for_session(
        self, session_id: str, path: str | None, name: Any, *args: Any, **kwargs: Any
    ) -> str:
        """Start a kernel; that of a working copy begins its run."""
        run = await self.records.begin(_file(path, name)) if self.records else None
        try:
            kernel_id = await super().start_kernel_for_session(
                session_id, path, name, *args, **kwargs
            )
            if run and self.records:
                await self.records.kernel_started(run, kernel_id)
        finally:
            if run and self.records:
                self.records.starting.discard(run)
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
        60.0,
        config=True,
        help="A kernel that has been idle for so many seconds releases the lock of its target.",
    )

    def initialize_settings(self) -> None:
        """Begin to follow saves and kernels."""
        self._server = cast("Any", self.serverapp)  # its managers are what its configuration says
        store = Store(load_config().store)
        reap(store)
        self._recorder = Recorder(Path(self._server.root_dir), store)
        self._locks = Locks(store)
        self._locking = asyncio.Lock()
        self.starting: set[Run] = set()
        """Those whose kernel is about to be there."""
        self._kernels: dict[Run, str] = {}
        self._acting: dict[Run, str] = {}
        """The targets on which cells that run now are acting."""
        self._announced: frozenset[str] = frozenset()
        """The targets that the pages know to be locked for others."""
        self._closing: set[str] = set()
        """Copies whose page was closed while their kernel was still at work."""
        self._failed: dict[str, str] = {}
        """What was reported of the working copies whose last save has no record."""
        self._server.session_manager.records = self
        self._server.contents_manager.openings = self
        events = self._server.event_logger
        for schema in _SCHEMAS:
            events.register_event_schema(schema)
        events.add_listener(schema_id=_CONTENTS, listener=self._heard)
        self._looking = PeriodicCallback(self._look, timedelta(seconds=_LOOK_EVERY_S))
        self._looking.start()
        self._turns = PeriodicCallback(self._give_turns, timedelta(seconds=_TURNS_EVERY_S))
        self._turns.start()
        if FORKS:
            shared()  # has imported everything by the time that the first notebook is open
        Ending(lambda: self._server.stop(from_signal=True), self._pids).listen()

    def initialize_handlers(self) -> None:
        """Answer what the pages ask."""
        given = {"records": self}
        self.handlers += [
            ("/opsnb/targets", Targets, given),
            ("/opsnb/open", Open, given),
            ("/opsnb/close", Close, given),
        ]

    async def stop_extension(self) -> None:
        """End the kernels, then the records; say on the terminal what was recorded."""
        try:
            # What an action does while its kernel ends belongs to the record.
            await self._server.cleanup_kernels()
        except Exception:  # noqa: BLE001 - whatever fails, the records end, and so does JupyterLab
            kill(self._pids())
        finally:
            self._looking.stop()
            self._turns.stop()
            self._end_records()

    def _end_records(self) -> None:
        for ended in self._recorder.close():
            if isinstance(ended, Exception):
                line = f"A record is not written yet, the next opsnb command tries again: {ended}"
            else:
                line = f"Recorded: {ended.status} {ended.runbook} on {ended.target}, {ended.run_id}"
            sys.stderr.write(visible(f"opsnb: {line}\n"))
        self._locks.hold({})

    def fresh(self, runbook: str, link: str, source: str, target: str) -> str:
        """Make a fresh copy for a link that was followed in the copy `source`; return its path.

        `target` is the one that is shown beside the link. Raises OpsnbError.
        """
        info = catalog.runbook(runbook)
        here = self._recorder.parameters(source)
        values = links.values(info, link, here, target, load_config())
        return copies.fresh(Path(self._server.root_dir), info, values)

    async def goes_on(self, path: str) -> bool:
        """Whether a kernel still runs for the copy at `path`; if none does, its run is over.

        A run that goes on only plans from now on.
        """
        self._closing.discard(path)
        run = self.known(path)
        if run and (
            run in self.starting or self._kernels.get(run, "") in self._server.kernel_manager
        ):
            run.disarm()
            return True
        await self._end_run(path)
        return False

    def closed(self, path: str) -> None:
        """End the copy at `path`, as its page was closed; an action that has begun goes on."""
        self._closing.add(path.strip("/"))

    async def begin(self, path: str) -> Run | None:
        """Begin the run of a working copy; None for other files, and when it cannot be recorded."""
        try:
            run = await asyncio.to_thread(self._recorder.run, path)
        except Exception as error:  # noqa: BLE001 - the kernel starts all the same
            self._tell(f"What you run in {path} is not recorded: {error}", "error", path)
            return None
        if run:
            self.starting.add(run)
        return run

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

    def _pids(self) -> list[int]:
        """Return the processes of all kernels."""
        manager = self._server.kernel_manager
        kernels = (manager.get_kernel(kernel_id) for kernel_id in manager.list_kernel_ids())
        return [pid for each in kernels if (pid := getattr(each.provisioner, "pid", None))]

    async def _heard(self, *, data: dict[str, Any], **_: Any) -> None:
        path = data["path"].strip("/")
        if data["action"] == "rename":
            self._recorder.moved(data["source_path"].strip("/"), path)
        elif data["action"] == "save":
            await self._saved(path)

    async def _saved(self, path: str) -> None:
        try:
            run = await self._run_at(path)
            made = await asyncio.to_thread(run.save) if run else None
        except Exception as error:  # noqa: BLE001 - the user must know that it is not recorded
            self._tell_failure(path, str(error))
            return
        if self._failed.pop(path, None):
            self._tell(f"The record of {path} is up to date again.", "info", path)
        elif made:
            self._tell(
                f"Recorded as {made.run_id}; each save brings the record up to date.", "info", path
            )
        await self._see_to_locks()

    async def _run_at(self, path: str) -> Run | None:
        """Return the run of the copy at `path`, begun now if it has a kernel but none yet.

        Without a kernel nothing was run in it: a duplicate, an upload and what was saved under
        another name hold the outputs of another run, which has a record of its own.
        """
        if run := self.known(path):
            return run
        sessions = await self._server.session_manager.list_sessions()
        if all(session["path"] != path for session in sessions):
            return None
        return await asyncio.to_thread(self._recorder.run, path)

    def _tell_failure(self, path: str, why: str) -> None:
        """Report once that a save has no record; autosaves would repeat it every few seconds."""
        if self._failed.get(path) != why:
            self._failed[path] = why
            self._tell(
                f"{path} is saved, but its record is not: {why} The next save tries again.",
                "error",
                path,
            )

    async def _look(self) -> None:
        manager = self._server.kernel_manager
        for run in [run for run, kernel_id in self._kernels.items() if kernel_id not in manager]:
            del self._kernels[run]
            try:
                await asyncio.to_thread(run.end)
            except Exception as error:  # noqa: BLE001 - the user must know that it is not recorded
                self._tell_failure(run.path.name, str(error))
        for path in list(self._closing):
            await self._close(path)
        await self._see_to_locks()

    async def _close(self, path: str) -> None:
        """End the kernel of a closed copy if it has nothing to do, then its run, and disarm it.

        Another browser window may still show the copy: then that one is waited for.
        """
        sessions = self._server.session_manager
        for session in await sessions.list_sessions():
            if session["path"] == path:
                is_shown = session["kernel"].get("connections", 0) > 0
                if is_shown or self._is_busy(session["kernel"]["id"]):
                    return
                await sessions.delete_session(session["id"])
        if path in self._closing:  # nobody has opened it again meanwhile
            self._closing.discard(path)
            await self._end_run(path)
            with suppress(OSError, ValueError):  # it was deleted
                file = Path(self._server.root_dir, path)
                await asyncio.to_thread(copies.opened, file, goes_on=True)

    async def _end_run(self, path: str) -> None:
        """End the run of a copy for good; what is run in it next is another run."""
        if run := self.known(path):
            self._kernels.pop(run, None)
        try:
            await asyncio.to_thread(self._recorder.forget, path)
        except OpsnbError as error:
            self._tell(
                f"The record of {path} is not written yet, the next opsnb command tries again: "
                f"{error}",
                "error",
                path,
            )

    async def _give_turns(self) -> None:
        """Take the locks that actions ask for, or tell them who holds those."""
        for run in list(self._kernels):
            if any(journal.turns(run.journal).glob("*.ask")):
                async with self._locking:
                    with suppress(OSError):  # the action gives up by itself, and says so
                        await asyncio.to_thread(self._give, run)
                await self._see_to_locks()

    def _give(self, run: Run) -> None:
        def lock(target: str) -> str:
            opening = run.opening.model_copy(update={"target": target})
            refusal = self._locks.take(target, opening)
            if not refusal:
                self._acting[run] = target
            return refusal

        journal.give_turns(run.journal, lock)

    async def _see_to_locks(self) -> None:
        """Hold the locks of the targets that cells may act on while their kernels are in use."""
        async with self._locking:
            wanted = self._wanted()
            opened = {target: run.opening for target, run in wanted.items()}
            idle = {target: self._idle_since(target) for target in wanted}
            refused = await asyncio.to_thread(self._locks.hold, opened, idle)
            if self._locks.held != self._announced:
                self._announced = self._locks.held
                data = {"targets": sorted(self._announced), "seconds": self.idle_s}
                self._server.event_logger.emit(schema_id=_LOCK, data=data)
        for target, sentence in refused.items():
            self._tell(sentence, "warning", self._path(wanted[target]), topic="lock")

    def _wanted(self) -> dict[str, Run]:
        """Return the targets whose locks are needed now, with a run that needs each."""
        wanted = {}
        for run, kernel_id in self._kernels.items():
            if not self._is_busy(kernel_id):
                self._acting.pop(run, None)
            if target := self._acting.get(run):
                wanted[target] = run
            if run.acts_on and self._is_used(kernel_id):
                wanted[run.acts_on] = run
        return wanted

    def _path(self, run: Run) -> str:
        return next((path for path, each in self._recorder.runs.items() if each is run), "")

    def _is_busy(self, kernel_id: str) -> bool:
        manager = self._server.kernel_manager
        return kernel_id in manager and manager.get_kernel(kernel_id).execution_state == "busy"

    def _idle_since(self, target: str) -> datetime | None:
        """Return since when no kernel is at work on a target; None when one is."""
        manager = self._server.kernel_manager
        last = []
        for run, kernel_id in self._kernels.items():
            if run.acts_on == target and kernel_id in manager:
                if self._is_busy(kernel_id):
                    return None
                last.append(manager.get_kernel(kernel_id).last_activity)
        return max(last, default=None)

    def _is_used(self, kernel_id: str) -> bool:
        manager = self._server.kernel_manager
        if kernel_id not in manager:
            return False
        kernel = manager.get_kernel(kernel_id)
        is_idle = kernel.execution_state != "busy"
        return not (is_idle and now() - kernel.last_activity > timedelta(seconds=self.idle_s))

    def _tell(self, message: str, kind: str, path: str, *, topic: str = "record") -> None:
        data = {"message": message, "type": kind, "path": path, "topic": topic}
        self._server.event_logger.emit(schema_id=_NOTICE, data=data)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": Records}]

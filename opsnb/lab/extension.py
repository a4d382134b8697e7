"""The extension of JupyterLab's server: records, locks, and notices about both."""

from __future__ import annotations

import asyncio
import posixpath
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.ioloop import PeriodicCallback
from traitlets import Float

from opsnb import catalog
from opsnb.actions.journal import JOURNAL
from opsnb.config.file import load_config
from opsnb.errors import OpsnbError
from opsnb.headless.kernels.forkserver import FORKS
from opsnb.headless.kernels.provisioner import shared
from opsnb.lab import copies, links
from opsnb.lab.ending import Ending, kill
from opsnb.lab.handlers import Close, Open, Targets
from opsnb.lab.kernels import Kernels
from opsnb.lab.locks import Keeper, Locks
from opsnb.lab.notices import Notices
from opsnb.lab.recorder import Recorder
from opsnb.lab.run import Run
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from opsnb.view.terminal import visible

_FOLLOW_EVERY_S = 2.0
_TURNS_EVERY_S = 0.1
_CONTENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"


class Sessions(SessionManager):
    """Starts the kernels of working copies with a journal for their actions."""

    records: Records | None = None
    """Set by the extension when it is loaded."""

    async def start_kernel_for_session(
        self, session_id: str, path: str | None, name: Any, *args: Any, **kwargs: Any
    ) -> str:
        """Start a kernel; for a working copy, this begins its run."""
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
        """Return the environment of a kernel, with the journal of its run."""
        environment = super().get_kernel_env(path, name)
        run = self.records.known(_file(path, name)) if self.records else None
        return {**environment, JOURNAL: str(run.journal) if run else ""}


def _file(path: str | None, name: str | None) -> str:
    """Return the path of a notebook; a new session has a random name in `path`."""
    return posixpath.join(posixpath.dirname(path or ""), name) if name else path or ""


class Records(ExtensionApp):
    """Keeps the records of the runs in this JupyterLab, and reports them to the user."""

    name = "opsnb"
    idle_s = Float(
        60.0,
        config=True,
        help="After how many idle seconds a kernel releases the lock of its target.",
    )

    def initialize_settings(self) -> None:
        """Start to follow saves and kernels."""
        self._server = cast("Any", self.serverapp)  # its managers are set by its configuration
        store = Store(load_config().store)
        reap(store)
        self._recorder = Recorder(Path(self._server.root_dir), store)
        self._kernels = Kernels(self._server.kernel_manager)
        self._notices = Notices(self._server.event_logger)
        self._keeper = Keeper(Locks(store), self._kernels, self._notices, self.idle_s, self._path)
        self.starting: set[Run] = set()
        """Those whose kernel is about to be there."""
        self._closing: set[str] = set()
        """Copies whose page was closed while their kernel was busy."""
        self._server.session_manager.records = self
        self._server.contents_manager.openings = self
        self._server.event_logger.add_listener(schema_id=_CONTENTS, listener=self._on_file_event)
        self._following = PeriodicCallback(self._follow, timedelta(seconds=_FOLLOW_EVERY_S))
        self._following.start()
        self._turns = PeriodicCallback(self._keeper.give_turns, timedelta(seconds=_TURNS_EVERY_S))
        self._turns.start()
        if FORKS:
            shared()  # so that it has imported everything when the first notebook opens
        Ending(lambda: self._server.stop(from_signal=True), self._kernels.pids).listen()

    def initialize_handlers(self) -> None:
        """Add the requests of the pages."""
        given = {"records": self}
        self.handlers += [
            ("/opsnb/targets", Targets, given),
            ("/opsnb/open", Open, given),
            ("/opsnb/close", Close, given),
        ]

    async def stop_extension(self) -> None:
        """End the kernels, then the records; print the records on the terminal."""
        try:
            # First, so that what an action does at the end is in the record.
            await self._server.cleanup_kernels()
        except Exception:  # noqa: BLE001 - whatever fails, the records end, and so does JupyterLab
            kill(self._kernels.pids())
        finally:
            self._following.stop()
            self._turns.stop()
            self._end_records()

    def _end_records(self) -> None:
        for ended in self._recorder.close():
            if isinstance(ended, Exception):
                line = f"A record could not be written. The next opsnb command tries again. {ended}"
            else:
                line = f"Recorded: {ended.status} {ended.runbook} on {ended.target}, {ended.run_id}"
            sys.stderr.write(visible(f"opsnb: {line}\n"))
        self._keeper.release_all()

    def fresh(self, runbook: str, link: str, source: str, target: str) -> str:
        """Create a copy for a link that was clicked in the copy `source`; return its path.

        `target` is the one shown beside the link. Raises OpsnbError.
        """
        info = catalog.runbook(runbook)
        here = self._recorder.parameters(source)
        values = links.values(info, link, here, target, load_config())
        return copies.fresh(Path(self._server.root_dir), info, values)

    async def goes_on(self, path: str) -> bool:
        """Whether the copy at `path` still has a kernel; without one, its run is over.

        A run that continues only plans from now on.
        """
        self._closing.discard(path)
        run = self.known(path)
        if run and (run in self.starting or run in self._kernels):
            run.disarm()
            return True
        await self._end_run(path)
        return False

    def closed(self, path: str) -> None:
        """End the copy at `path` after its page was closed; an action in progress continues."""
        self._closing.add(path.strip("/"))

    async def begin(self, path: str) -> Run | None:
        """Begin the run of a working copy; None for other files, or if it cannot be recorded."""
        try:
            run = await asyncio.to_thread(self._recorder.run, path)
        except Exception as error:  # noqa: BLE001 - the kernel must start in any case
            self._notices.say(f"Runs in {path} are not recorded: {error}", "error", path)
            return None
        if run:
            self.starting.add(run)
        return run

    def known(self, path: str) -> Run | None:
        """Return the run of the working copy at `path`, if it has begun."""
        return self._recorder.runs.get(path)

    async def kernel_started(self, run: Run, kernel_id: str) -> None:
        """Note the kernel of a run, and lock its target if its cells may act."""
        self._kernels.add(run, kernel_id)
        await self._keeper.update()

    async def _on_file_event(self, *, data: dict[str, Any], **_: Any) -> None:
        path = data["path"].strip("/")
        if data["action"] == "rename":
            self._recorder.moved(data["source_path"].strip("/"), path)
        elif data["action"] == "save":
            await self._saved(path)

    async def _saved(self, path: str) -> None:
        try:
            run = await self._run_at(path)
            made = await asyncio.to_thread(run.save) if run else None
        except Exception as error:  # noqa: BLE001 - reported to the user
            self._notices.failed(path, str(error))
            return
        self._notices.saved(path, made.run_id if made else None)
        await self._keeper.update()

    async def _run_at(self, path: str) -> Run | None:
        """Return the run of the copy at `path`; if it has only a kernel, begin its run.

        Without a kernel it was not run: a duplicate, an upload or a copy under another name holds
        outputs of another run, which has its own record.
        """
        if run := self.known(path):
            return run
        sessions = await self._server.session_manager.list_sessions()
        if all(session["path"] != path for session in sessions):
            return None
        return await asyncio.to_thread(self._recorder.run, path)

    async def _follow(self) -> None:
        for run in self._kernels.ended():
            self._kernels.forget(run)
            try:
                await asyncio.to_thread(run.end)
            except Exception as error:  # noqa: BLE001 - reported to the user
                self._notices.failed(run.path.name, str(error))
        for path in list(self._closing):
            await self._close(path)
        await self._keeper.update()

    async def _close(self, path: str) -> None:
        """End the idle kernel of a closed copy, then its run, and disarm the copy.

        Nothing happens while another browser window shows the copy.
        """
        sessions = self._server.session_manager
        for session in await sessions.list_sessions():
            if session["path"] == path:
                is_shown = session["kernel"].get("connections", 0) > 0
                if is_shown or self._kernels.is_kernel_busy(session["kernel"]["id"]):
                    return
                await sessions.delete_session(session["id"])
        if path in self._closing:  # it was not opened again meanwhile
            self._closing.discard(path)
            await self._end_run(path)
            with suppress(OSError, ValueError):  # the copy was deleted
                file = Path(self._server.root_dir, path)
                await asyncio.to_thread(copies.opened, file, goes_on=True)

    async def _end_run(self, path: str) -> None:
        """End the run of a copy for good; the next one is another run."""
        if run := self.known(path):
            self._kernels.forget(run)
        try:
            await asyncio.to_thread(self._recorder.forget, path)
        except OpsnbError as error:
            self._notices.say(
                f"The record of {path} could not be written. The next opsnb command tries "
                f"again. {error}",
                "error",
                path,
            )

    def _path(self, run: Run) -> str:
        return next((path for path, each in self._recorder.runs.items() if each is run), "")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": Records}]

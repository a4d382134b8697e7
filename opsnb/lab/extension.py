"""What opsnb adds to the server of its JupyterLab: records, locks, and notices of them."""

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
        self._kernels = Kernels(self._server.kernel_manager)
        self._notices = Notices(self._server.event_logger)
        self._keeper = Keeper(Locks(store), self._kernels, self._notices, self.idle_s, self._path)
        self.starting: set[Run] = set()
        """Those whose kernel is about to be there."""
        self._closing: set[str] = set()
        """Copies whose page was closed while their kernel was still at work."""
        self._server.session_manager.records = self
        self._server.contents_manager.openings = self
        self._server.event_logger.add_listener(schema_id=_CONTENTS, listener=self._heard)
        self._following = PeriodicCallback(self._follow, timedelta(seconds=_FOLLOW_EVERY_S))
        self._following.start()
        self._turns = PeriodicCallback(self._keeper.give_turns, timedelta(seconds=_TURNS_EVERY_S))
        self._turns.start()
        if FORKS:
            shared()  # has imported everything by the time that the first notebook is open
        Ending(lambda: self._server.stop(from_signal=True), self._kernels.pids).listen()

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
            kill(self._kernels.pids())
        finally:
            self._following.stop()
            self._turns.stop()
            self._end_records()

    def _end_records(self) -> None:
        for ended in self._recorder.close():
            if isinstance(ended, Exception):
                line = f"A record is not written yet, the next opsnb command tries again: {ended}"
            else:
                line = f"Recorded: {ended.status} {ended.runbook} on {ended.target}, {ended.run_id}"
            sys.stderr.write(visible(f"opsnb: {line}\n"))
        self._keeper.release_all()

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
        if run and (run in self.starting or run in self._kernels):
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
            self._notices.say(f"What you run in {path} is not recorded: {error}", "error", path)
            return None
        if run:
            self.starting.add(run)
        return run

    def known(self, path: str) -> Run | None:
        """Return the run of the working copy at `path` if it has begun."""
        return self._recorder.runs.get(path)

    async def kernel_started(self, run: Run, kernel_id: str) -> None:
        """Note the kernel of a run, and lock the target if its cells may act on it."""
        self._kernels.add(run, kernel_id)
        await self._keeper.update()

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
            self._notices.failed(path, str(error))
            return
        self._notices.saved(path, made.run_id if made else None)
        await self._keeper.update()

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

    async def _follow(self) -> None:
        for run in self._kernels.ended():
            self._kernels.forget(run)
            try:
                await asyncio.to_thread(run.end)
            except Exception as error:  # noqa: BLE001 - the user must know that it is not recorded
                self._notices.failed(run.path.name, str(error))
        for path in list(self._closing):
            await self._close(path)
        await self._keeper.update()

    async def _close(self, path: str) -> None:
        """End the kernel of a closed copy if it has nothing to do, then its run, and disarm it.

        Another browser window may still show the copy: then that one is waited for.
        """
        sessions = self._server.session_manager
        for session in await sessions.list_sessions():
            if session["path"] == path:
                is_shown = session["kernel"].get("connections", 0) > 0
                if is_shown or self._kernels.is_kernel_busy(session["kernel"]["id"]):
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
            self._kernels.forget(run)
        try:
            await asyncio.to_thread(self._recorder.forget, path)
        except OpsnbError as error:
            self._notices.say(
                f"The record of {path} is not written yet, the next opsnb command tries again: "
                f"{error}",
                "error",
                path,
            )

    def _path(self, run: Run) -> str:
        return next((path for path, each in self._recorder.runs.items() if each is run), "")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": Records}]

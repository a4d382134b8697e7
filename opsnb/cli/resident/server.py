"""The resident's process: imports what a run needs, then forks for each.

It has one thread, opens no connection to anything operated, and reads no request: its children do.
It ends after some idle minutes, and when a file that it imported or its configuration has changed,
its socket is gone, or the process that starts the kernels has ended.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from typer.main import get_command

from opsnb.catalog import runbooks, share
from opsnb.cli.application import app
from opsnb.cli.resident import address, protocol, session
from opsnb.cli.resident.claim import is_at
from opsnb.config.places import find_config
from opsnb.errors import ExitCode
from opsnb.headless import execute
from opsnb.headless.kernels import forkserver
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.order import source_of
from opsnb.machine import imported, inherited_files
from opsnb.redaction import Redactor
from opsnb.runbook import warm_up

_BACKLOG = 16
_CHECKS = 20
"""How often it checks its socket's file while it waits for its end."""

_MODULES = (
    "opsnb.cli.live",
    "opsnb.cli.run",
    "opsnb.headless.engine",
    "opsnb.headless.fleet",
    "opsnb.headless.resume",
    "opsnb.headless.run",
    "opsnb.notify.dispatch",
    "opsnb.records.show",
    "encodings.utf_8_sig",
    "fsspec.implementations.chained",
    "fsspec.implementations.local",
    "ipykernel.kernelspec",
)
"""What a run imports late; `papermill` before them, as it imports its engines itself."""


def serve(path: Path, idle_s: float, claim: int, began_ns: int) -> None:
    """Serve at `path` until `idle_s` seconds pass without a run, or something has changed.

    `claim` is the descriptor of the lock file; `began_ns` is when this process began to import.
    """
    with ForkServer(imports(runbooks())) as kernels:
        _prepare()
        files = imported.files()
        if config := find_config():
            files.append(str(config))
        versions = imported.versions(files)
        if any(changed > began_ns for changed, *_ in versions):
            return  # it may have imported what was there before
        os.chdir("/")
        forkserver.inherited = kernels
        with _listening(path) as listener:
            _Resident(listener, path, idle_s, [claim, os.pidfd_open(kernels.pid)]).serve(
                lambda: imported.versions(files) == versions
            )


def _prepare() -> None:
    """Import what a run needs."""
    gc.disable()
    execute.papermill()
    for module in _MODULES:
        import_module(module)
    get_command(app)
    warm_up()
    known = Redactor(["warm-up"])
    shared = share("notebooks")
    for runbook in runbooks():
        # Others may import modules of their own, which the process of the run does.
        if runbook.path.is_relative_to(shared):
            known.entries({each.name: each.default for each in runbook.parameters})
            known.tree(json.loads(source_of(runbook)))
    gc.collect()
    gc.freeze()  # children share these objects while the collector does not touch them
    gc.enable()


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Listen at `path`, in place of a resident that was killed."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(aside))
        listener.listen(_BACKLOG)
        aside.rename(path)  # whoever finds it is served
        found = path.lstat()
        try:
            yield listener
        finally:
            if is_at(path, found):
                path.unlink()


class _Resident:
    """The loop of the resident: a process for each connection, until it is time to end."""

    def __init__(
        self, listener: socket.socket, path: Path, idle_s: float, handles: Sequence[int]
    ) -> None:
        self._listener, self._path, self._idle_s = listener, path, idle_s
        self._found = path.lstat()
        self._handles = handles
        """What is the resident's own; the last is a pidfd of the process that starts kernels."""
        self._runs: dict[int, tuple[int, socket.socket]] = {}
        """By pidfd: the pid of each process, and the connection to its client."""
        self._poll = select.poll()
        for handle in (listener.fileno(), handles[-1]):
            self._poll.register(handle, select.POLLIN)

    def serve(self, is_current: Callable[[], bool]) -> None:
        """Fork for each connection, as long as the code `is_current`."""
        ends = time.monotonic() + self._idle_s
        while self._runs or time.monotonic() < ends:
            for handle, _ in self._poll.poll(1000 * self._idle_s / _CHECKS):
                if handle == self._listener.fileno():
                    if not is_current():
                        return  # the clients that wait run in their own process
                    self._accept()
                elif handle in self._runs:
                    self._reap(handle)
                else:
                    return  # nothing can start kernels any longer
                ends = time.monotonic() + self._idle_s
            if not is_at(self._path, self._found):
                return

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if not address.is_of_this_user(connection):
            connection.close()
            return
        pid = os.fork()
        if not pid:
            try:
                self._forget()
                inherited_files.reopen()
                session.run(connection)
            finally:
                os._exit(ExitCode.BROKE)  # never the end of the resident
        handle = os.pidfd_open(pid)
        self._runs[handle] = pid, connection
        self._poll.register(handle, select.POLLIN)

    def _forget(self) -> None:
        """Close what is the resident's own, in a process that was forked from it."""
        self._listener.close()
        for handle in (*self._handles, *self._runs):
            os.close(handle)
        for _, connection in self._runs.values():
            connection.close()

    def _reap(self, handle: int) -> None:
        """Collect a process that has ended; if a signal killed it, tell its client."""
        self._poll.unregister(handle)
        pid, connection = self._runs.pop(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        with connection, suppress(OSError):  # the client may be gone
            if os.WIFSIGNALED(status):
                connection.sendall(protocol.ENDING.pack(protocol.KILLED, os.WTERMSIG(status)))

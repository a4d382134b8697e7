"""The owner's side of a process that imports everything once and forks kernels.

Most of the time of a runbook is spent on imports. The process behind a `ForkServer` imports once
and forks for each kernel; with `once` it does not fork but becomes the single kernel, so that it
imports while its runner is still importing too.

Each kernel has a connection to its runner, over which it gets its environment. The process in
between never reads it, so it holds no secret. When the runner is gone, the connection closes and
the kernel shuts down.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from opsnb.errors import RunBroke
from opsnb.machine.holder import started

# What Python and the dynamic linker need; the process gets nothing else of the environment.
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_ANSWER_WITHIN_S = 60.0  # importing is slow on a loaded machine
FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith("PYTHON")
    }


class KernelProcess:
    """A kernel's process, which may not be a child; with the methods of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(
        self, pid: int, line: socket.socket, child: subprocess.Popen[bytes] | None
    ) -> None:
        self.pid = pid
        self._line = line
        self._child = child
        self._started = started(pid)

    def poll(self) -> int | None:
        """Return None while the process runs."""
        if self._child:
            return self._child.poll()
        return None if self._started and self._started == started(self.pid) else 0

    async def ended(self) -> None:
        """Wait until the process has ended, or return at once where only polling tells."""
        try:
            handle = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, an old one, or the process is gone
            return
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, done.set)
        try:
            if self.poll() is None:
                await done.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)

    def wait(self) -> int:
        """Close the connection. Call this when `poll` says that the process has ended."""
        self._line.close()
        return self._child.wait() if self._child else 0

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts kernels from a process that has executed `imports`; its owner closes it.

    Imports that fail are skipped. Safe for several threads.
    """

    def __init__(self, imports: Iterable[str], *, once: bool = False) -> None:
        self._imports = list(imports)
        self._once = once
        self._turn = threading.Lock()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The pid of the process that forks."""
        return self._process.pid

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), "once" if self._once else "fork", *self._imports]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "opsnb.headless.kernels.preloaded", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # the runner handles Ctrl-C on the terminal
            )

    def start_kernel(
        self, arguments: Sequence[str], *, folder: str | Path, environment: Mapping[str, str]
    ) -> KernelProcess:
        """Start an IPython kernel in `folder` with `arguments`, such as `-f connection.json`.

        Raises RunBroke when no process could be started.
        """
        request = {"arguments": list(arguments), "folder": str(folder), "env": dict(environment)}
        for _ in range(2):
            server = self._process
            line = self._open_line()
            try:
                line.settimeout(_ANSWER_WITHIN_S)
                line.sendall(json.dumps(request).encode() + b"\n")
                if pid := line.recv(64):
                    line.settimeout(None)
                    return KernelProcess(int(pid), line, self._process if self._once else None)
            except OSError:
                pass
            line.close()
            self._replace(server)  # it was killed; its kernels are still running
        raise RunBroke("The process that starts kernels did not start. Run it again with --cold.")

    def _open_line(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        with (
            theirs,
            self._turn,
            suppress(OSError),
        ):  # noticed by the connection, which closes at once
            socket.send_fds(self._control, [b"k"], [theirs.fileno()])
        return mine

    def _replace(self, broken: subprocess.Popen[bytes]) -> None:
        """Start another process, unless another thread already did."""
        with self._turn:
            if self._process is broken:
                self.close()
                self._start()

    def close(self) -> None:
        """End the process that forks; its kernels keep running."""
        self._control.close()
        if self._once:
            return  # it is the kernel itself, or ends at once without one
        self._process.kill()
        self._process.wait()


inherited: ForkServer | None = None
"""That of the process from which this one was forked; it starts the kernels of this one too."""

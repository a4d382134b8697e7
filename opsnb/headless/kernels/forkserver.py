"""A process that has imported everything once, and makes kernels of itself: its owner's side.

Importing what a runbook needs takes most of the time that it takes. The process behind a
`ForkServer` imports it once and forks for each kernel; with `once` it does not fork but becomes
the one kernel that is wanted, so that a single run imports while its runner still imports too.

Each kernel has a line to the runner that wanted it, over which it gets its environment. The
process in between never reads that: it holds no secret. When the runner goes, the line breaks,
and the kernel ends itself in order.
"""

from __future__ import annotations

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

# What Python and the dynamic linker need; nothing else of the environment is the process's to know.
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_ANSWER_WITHIN_S = 60.0  # importing everything may take long on a loaded machine
FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith("PYTHON")
    }


class KernelProcess:
    """A kernel's process, whosever child it is; has the methods of `subprocess.Popen` in use."""

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

    def wait(self) -> int:
        """Let the line go. To be called when `poll` says that the process has ended."""
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
    """Starts kernels from a process that has executed `imports`; to be closed by its owner.

    Statements that fail are left out. May be used by several threads.
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
        """Of the process that forks."""
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
                start_new_session=True,  # a Ctrl-C at the terminal is the runner's to handle
            )

    def start_kernel(
        self, arguments: Sequence[str], *, folder: str | Path, environment: Mapping[str, str]
    ) -> KernelProcess:
        """Start an IPython kernel in `folder` with `arguments`, such as `-f connection.json`.

        Raises RunBroke when no process could be made.
        """
        request = {"arguments": list(arguments), "folder": str(folder), "env": dict(environment)}
        for _ in range(2):
            asked = self._process
            line = self._open_line()
            try:
                line.settimeout(_ANSWER_WITHIN_S)
                line.sendall(json.dumps(request).encode() + b"\n")
                if told := line.recv(64):
                    line.settimeout(None)
                    return KernelProcess(int(told), line, self._process if self._once else None)
            except OSError:
                pass
            line.close()
            self._replace(asked)  # somebody killed it; its kernels live on
        raise RunBroke("The process that starts kernels does not come up; run it with --cold.")

    def _open_line(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        with theirs, self._turn, suppress(OSError):  # told by the line, which ends at once
            socket.send_fds(self._control, [b"k"], [theirs.fileno()])
        return mine

    def _replace(self, broken: subprocess.Popen[bytes]) -> None:
        """Start another process, unless another thread has done so already."""
        with self._turn:
            if self._process is broken:
                self.close()
                self._start()

    def close(self) -> None:
        """End the process that forks; kernels that run keep running."""
        self._control.close()
        if self._once:
            return  # it is the kernel, and ends with that, or without one at once
        self._process.kill()
        self._process.wait()

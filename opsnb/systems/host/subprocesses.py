"""Programs that run on this machine, to their end or to their time limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from opsnb.machine.marks import STARTED_BY

_GONE_S = 1.0


class NotStarted(Exception):
    """The operating system cannot start the program; the words are why."""


def _without_mark() -> dict[str, str]:
    """Return this process' environment, so that what an action starts on purpose outlives its run.

    What has the mark is ended with the run.
    """
    return {name: value for name, value in os.environ.items() if name != STARTED_BY}


def finish(argv: Sequence[str], limit_s: float, env: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Run a program to its end; at the time limit end it with all that it has started."""
    with _file() as out:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**_without_mark(), **env},
            )
        except OSError as error:
            raise NotStarted(error.strerror) from error
        try:
            _, err = process.communicate(timeout=limit_s)
        except BaseException:
            # An interrupt may come when the program has ended already: its group is then gone.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # the kernel may hold it, as over a dead NFS
                process.wait(_GONE_S)
            raise
        out.seek(0)
        return process.returncode, out.read(), err


def _file() -> IO[bytes]:
    """Return a file in memory: Node may end before a pipe has taken all that it printed."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("opsnb"), "w+b")
    return TemporaryFile()

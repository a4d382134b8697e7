"""The end of JupyterLab: one signal ends it, whatever its kernels do."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType

from opsnb.errors import ExitCode
from opsnb.view.terminal import visible

LIMIT_S = 25.0
"""How long an orderly shutdown may take; the kernels get 5 s of it in parallel."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def kill(kernels: Iterable[int]) -> None:
    """End the processes of kernels, and what they have started, at once."""
    for pid in kernels:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


class Ending:
    """Shuts JupyterLab down at the first signal, without a prompt; more signals are ignored."""

    def __init__(self, stop: Callable[[], None], kernels: Callable[[], Iterable[int]]) -> None:
        """`stop` starts the shutdown; `kernels` returns the pids that must not outlive it."""
        self._stop = stop
        self._kernels = kernels
        self._begun = False

    def listen(self) -> None:
        """Take over the signals, in the main thread."""
        for number in SIGNALS:
            signal.signal(number, self._received)

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        if self._begun:
            return
        self._begun = True
        watchdog = threading.Timer(LIMIT_S, self._force)
        watchdog.daemon = True
        watchdog.start()
        self._stop()

    def _force(self) -> None:
        """Exit at once after the limit; the next opsnb command writes the records."""
        kill(self._kernels())
        with suppress(OSError):
            sys.stderr.write(
                visible(
                    f"opsnb: JupyterLab did not shut down within {LIMIT_S:.0f} s and was killed. "
                    "The next opsnb command completes its records.\n"
                )
            )
        os._exit(ExitCode.BROKE)

"""SIGINT, SIGTERM and SIGHUP as something to be looked at, so that work can end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noted() -> Iterator[list[signal.Signals]]:
    """Yield a list to which SIGINT, SIGTERM and SIGHUP are added instead of ending this process.

    A SIGHUP that is ignored, as under nohup, stays so.
    """
    came: list[signal.Signals] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield came  # signals are the main thread's
        return
    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

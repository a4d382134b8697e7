"""SIGINT, SIGTERM and SIGHUP as something to be read, so that work can end in order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CLEAN_UP_S = 10.0
"""How long what was interrupted may take to put things back."""

_WORDS = {
    signal.SIGINT: "You interrupted the run.",
    signal.SIGHUP: "The run was stopped (SIGHUP): its terminal was closed.",
}


def sentence(number: signal.Signals) -> str:
    """Return what a run says that ended by a signal."""
    return _WORDS.get(number, f"The run was stopped ({number.name}).")


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


def ignore() -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP from now on, for a process that is ending."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class Shield:
    """Lets the first SIGINT interrupt the work, and none of those that follow its clean-up."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._defers = False
        self._pending = False

    def defer(self) -> None:
        """From now on let nothing be interrupted: the interrupt comes when the shield is gone."""
        self._defers = True

    def end(self) -> None:
        """Raise the interrupt that was deferred, if one was."""
        if self._pending:
            raise KeyboardInterrupt

    def note(self, _: int, __: FrameType | None) -> None:
        """Take a SIGINT."""
        is_clean_up = self._first is not None and time.monotonic() - self._first < CLEAN_UP_S
        if is_clean_up:
            return
        self._first = time.monotonic()
        if self._defers:
            self._pending = True
        else:
            raise KeyboardInterrupt


@contextmanager
def shielded() -> Iterator[Shield]:
    """Let one SIGINT interrupt the work, and its clean-up run undisturbed for its time.

    Whoever is impatient presses Ctrl-C twice, and a runner asks more than once.
    """
    shield = Shield()
    if threading.current_thread() is not threading.main_thread():
        yield shield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, shield.note)
    try:
        yield shield
    finally:
        signal.signal(signal.SIGINT, before)
    shield.end()


@contextmanager
def deferred() -> Iterator[None]:
    """Let what puts things back run to its end: a SIGINT that comes meanwhile is raised after it.

    One that comes when the block has had its time interrupts it all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    began, came = time.monotonic(), []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if time.monotonic() - began > CLEAN_UP_S:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)  # as whoever is around the block takes it

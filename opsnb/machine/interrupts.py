"""Handle SIGINT, SIGTERM and SIGHUP so that work can end in an orderly way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

CLEAN_UP_S = 10.0
"""How long interrupted work may take to clean up."""

_WORDS = {
    signal.SIGINT: "You interrupted the run.",
    signal.SIGHUP: "The run was stopped (SIGHUP): its terminal was closed.",
}


def sentence(number: signal.Signals) -> str:
    """Return the error of a run that ended by a signal."""
    return _WORDS.get(number, f"The run was stopped ({number.name}).")


def end_at_once() -> None:
    """Let a SIGINT end this process with one line, while it has nothing to clean up.

    An exception instead would show a traceback, or be swallowed by the module that is just being
    imported. A SIGINT that is ignored, as in the background of a script, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def end_in_order() -> None:
    """Let a SIGINT raise KeyboardInterrupt again, after `end_at_once`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_: int, __: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"opsnb: Interrupted.\n")
    os._exit(130)


@contextmanager
def noted() -> Iterator[list[signal.Signals]]:
    """Yield a list that collects SIGINT, SIGTERM and SIGHUP instead of ending this process.

    A SIGHUP that is ignored, as under nohup, stays ignored.
    """
    received: list[signal.Signals] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread handles signals
        return
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP from now on, in a process that is ending."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class Shield:
    """Lets the first SIGINT interrupt the work; later ones do not interrupt its clean-up."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._defers = False
        self._pending = False

    def defer(self) -> None:
        """Defer interrupts from now on, until the shield is gone."""
        self._defers = True

    def end(self) -> None:
        """Raise a deferred interrupt, if there is one."""
        if self._pending:
            raise KeyboardInterrupt

    def note(self, _: int, __: FrameType | None) -> None:
        """Handle a SIGINT."""
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
    """Let one SIGINT interrupt the work, and protect its clean-up for a limited time.

    People press Ctrl-C twice, and a runner sends more than one SIGINT.
    """
    shield = Shield()
    if threading.current_thread() is not threading.main_thread():
        yield shield  # only the main thread handles signals
        return
    before = signal.signal(signal.SIGINT, shield.note)
    try:
        yield shield
    finally:
        signal.signal(signal.SIGINT, before)
    shield.end()


@contextmanager
def deferred() -> Iterator[None]:
    """Let a clean-up run to its end; a SIGINT that arrives meanwhile is raised after it.

    After the time limit, a SIGINT interrupts the clean-up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread handles signals
        return
    began, received = time.monotonic(), []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        if time.monotonic() - began > CLEAN_UP_S:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        signal.raise_signal(signal.SIGINT)  # for the handler outside of this block

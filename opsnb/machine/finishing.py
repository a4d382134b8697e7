"""Finish a process without Python's own end, which also destroys every object."""

from __future__ import annotations

import atexit
import threading


def finish() -> None:
    """Wait for the threads that are no daemons, and run what is registered for the end."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()

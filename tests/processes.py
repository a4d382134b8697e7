"""Processes that a test has seen start."""

from __future__ import annotations

import psutil


def lives(pid: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent to note it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

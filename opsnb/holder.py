"""Who holds a lock or writes a record: a process, known again though its pid is used anew."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict


def operator() -> str:
    """Return who runs this, by name; by number in a container whose user has no entry in passwd."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class Holder(BaseModel):
    """A process on a machine. What it started as tells it from a later one with the same pid."""

    model_config = ConfigDict(frozen=True)

    host: str
    pid: int
    began: str
    """A moment on the machine's own monotonic clock, so that setting the time changes nothing."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the holder that is the running process `pid` of this machine."""
        return cls(host=socket.gethostname(), pid=pid, began=_began(pid))

    @property
    def is_here(self) -> bool:
        """Whether it ran on this machine, so that `is_alive` can tell."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; True for one of another machine: nobody here can know."""
        return not self.is_here or (bool(self.began) and self.began == _began(self.pid))


def _began(pid: int) -> str:
    """Return when the process began: ticks since boot where the system tells them; empty if gone.

    A zombie is gone: it holds nothing any more.
    """
    try:
        # The name before the last bracket may hold blanks.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else f"{_boot()}/{fields[18]}"
    except ProcessLookupError:
        return ""
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

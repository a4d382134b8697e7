"""The process that holds a lock or writes a record, recognised even if its pid is reused."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, Field

_LARGEST_PID = 2**31 - 1


def operator() -> str:
    """Return the name of the user; the number in a container without a passwd entry."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class Holder(BaseModel):
    """A process: its pid, the PID namespace of that pid, and when it started."""

    model_config = ConfigDict(frozen=True)

    host: str
    namespace: str = ""
    """The boot and the PID namespace; empty if they cannot be read.

    Containers may share a host name, and each has a pid 1: a host name alone identifies nothing.
    """
    pid: int = Field(le=_LARGEST_PID)
    began: str
    """Ticks of the monotonic clock, so that setting the time changes nothing."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the holder for the process `pid` in this PID namespace."""
        return cls(
            host=socket.gethostname(), namespace=_namespace(), pid=pid, began=started(pid) or ""
        )

    @property
    def is_here(self) -> bool:
        """Whether its process is visible from here, so that `is_alive` is certain."""
        return bool(self.namespace) and self.namespace == _namespace() and not self._is_hidden

    @property
    def is_elsewhere(self) -> bool:
        """Whether its process is certainly in another container, or of another boot."""
        here = _namespace()
        return bool(self.namespace and here) and self.namespace != here

    @property
    def is_alive(self) -> bool:
        """Whether the process is still running; True if it is not visible from here."""
        return not self.is_here or (bool(self.began) and self.began == started(self.pid))

    @property
    def _is_hidden(self) -> bool:
        """Whether the process exists but is hidden from this user (/proc with hidepid)."""
        return started(self.pid) is None


def started(pid: int) -> str | None:
    """Return when the process started; empty if it is gone, None if it is hidden.

    A zombie is gone: it holds nothing.
    """
    if not sys.platform.startswith("linux"):
        try:
            return str(psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return ""
        except psutil.Error:
            return None
    try:
        # The name before the last bracket may contain spaces.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except ProcessLookupError:
        return ""
    except OSError:
        return None if psutil.pid_exists(pid) else ""
    return "" if state in "ZX" else f"{_boot()}/{fields[18]}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """Return an id of the process table of this process.

    It combines the number of the PID namespace with the id of the boot. Empty if one of them is
    missing, or if /proc belongs to another namespace.
    """
    if not sys.platform.startswith("linux"):
        return f"{socket.gethostname()}/{psutil.boot_time():.0f}"
    try:
        is_ours = str(Path("/proc/self").readlink()) == str(os.getpid())
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    boot = _boot()
    return f"{boot}/{namespace}" if boot and is_ours else ""

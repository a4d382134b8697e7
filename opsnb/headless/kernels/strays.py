"""What a notebook's cells have started and left running: it ends with the run.

A kernel's environment has a mark, and so has that of each program that is started from it, also
in a session of its own. Commands that opsnb itself runs on a host go without it: what an action
starts on purpose, such as the daemon of pm2 or a server, is to go on.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from opsnb.machine.holder import STARTED_BY

_GRACE_S = 3.0


def end_started_by(mark: str) -> None:
    """End every process of this user that was started from the kernel with that `mark`."""
    if found := _started_by(mark):
        for process in found:
            _signal(process, force=False)
        psutil.wait_procs(found, timeout=_GRACE_S)
        for process in _started_by(mark):  # also what they have started meanwhile
            _signal(process, force=True)


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        process.kill() if force else process.terminate()
    except psutil.Error:
        return


def _started_by(mark: str) -> list[psutil.Process]:
    entry = f"{STARTED_BY}={mark}".encode()
    found = []
    for pid in psutil.pids():
        try:
            # Read directly: psutil takes several times as long for the same.
            if pid != os.getpid() and entry in _environment(pid):
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return found


def _environment(pid: int) -> list[bytes]:
    if Path("/proc/self/environ").exists():
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return [f"{name}={value}".encode() for name, value in psutil.Process(pid).environ().items()]

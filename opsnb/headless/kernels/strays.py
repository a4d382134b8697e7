"""Processes that cells started and left running: they end with the run.

A kernel's environment has a mark, which all programs started from it inherit, even in their own
session. Commands that opsnb itself runs on a host do not have it: what an action starts on purpose,
such as the pm2 daemon or a server, keeps running.
"""

from __future__ import annotations

import os
import sys

import psutil

from opsnb.machine.marks import STARTED_BY

_GRACE_S = 3.0


def end_started_by(mark: str) -> None:
    """End every process of this user that was started from the kernel with `mark`."""
    if strays := _started_by(mark):
        for process in strays:
            _signal(process, force=False)
        psutil.wait_procs(strays, timeout=_GRACE_S)
        for process in _started_by(mark):  # including what they started meanwhile
            _signal(process, force=True)


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        process.kill() if force else process.terminate()
    except psutil.Error:
        return


def _started_by(mark: str) -> list[psutil.Process]:
    entry = f"{STARTED_BY}={mark}".encode()
    strays = []
    for pid in psutil.pids():
        try:
            if pid != os.getpid() and entry in _environment(pid):
                strays.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return strays


def _environment(pid: int) -> bytes:
    if not sys.platform.startswith("linux"):
        variables = psutil.Process(pid).environ()
        return "\0".join(f"{name}={value}" for name, value in variables.items()).encode()
    # Read directly, which is several times faster than psutil.
    handle = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(handle, 2**16), b""))
    finally:
        os.close(handle)

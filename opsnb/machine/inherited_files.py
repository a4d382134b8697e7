"""Files that a forked process has open from before the fork.

Processes that share an open file share the position in it: one that reads moves it for all. So a
font that matplotlib loads before the fork gives glyphs of one process to another, or an error.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

_STANDARD = (0, 1, 2)


def reopen() -> None:
    """Open the inherited files that are only read again, at the position where they are."""
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):  # it is that of the list itself, or its file is gone
            _reopen(int(entry.name))


def _reopen(number: int) -> None:
    if number in _STANDARD or not stat.S_ISREG(os.fstat(number).st_mode):
        return
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        return
    own = os.open(_path(number), os.O_RDONLY)
    try:
        os.lseek(own, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(own, number, os.get_inheritable(number))
    finally:
        os.close(own)


def _path(number: int) -> str | bytes:
    if sys.platform == "darwin":
        return fcntl.fcntl(number, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    return f"/proc/self/fd/{number}"

"""The lock file of a resident: of two that are started for one address, one ends at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".lock"


@contextmanager
def claimed(path: Path) -> Iterator[int | None]:
    """Yield the descriptor of the lock of the socket at `path`; None if a resident has it.

    Raises OSError when the lock cannot be made.
    """
    file = path.with_suffix(_SUFFIX)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not _is_locked(file, handle):
            yield None
            return
        try:
            yield handle
        finally:
            file.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_locked(file: Path, handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_at(file, os.fstat(handle))  # or the one before has just removed it


def is_at(path: Path, found: os.stat_result) -> bool:
    """Return whether the file `found` is still at `path`."""
    try:
        there = path.lstat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)


def sweep(folder: Path) -> None:
    """Remove what killed residents left in `folder`."""
    for file in folder.glob(f"*{_SUFFIX}"):
        path = file.with_suffix(".sock")
        with suppress(OSError), claimed(path) as handle:
            if handle is not None:
                path.unlink(missing_ok=True)
                path.with_suffix(".new").unlink(missing_ok=True)

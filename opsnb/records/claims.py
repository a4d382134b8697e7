"""Mutual exclusion on a store that has no locks and may know no exclusive creation.

Object stores can be asked for two things only: a write is seen by every later read, and a listing
shows every earlier write. That suffices: each process writes a claim of its own and then lists the
claims. Of two, the one that lists later sees the other's.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

ABANDONED_AFTER_S = 20.0
"""A claim is held for a few requests. One that stays for longer was left by a killed process."""
_POLL_S = 0.05


@contextmanager
def claimed(files: Any, folder: str) -> Iterator[None]:
    """Hold the only claim in `folder` of the fsspec file system `files`.

    Raises TimeoutError when others hold it, one after the other, for very long.
    """
    mine = _take(files, folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            files.rm_file(f"{folder}/{mine}")


def _take(files: Any, folder: str) -> str:
    ends = time.monotonic() + 3 * ABANDONED_AFTER_S
    seen: dict[str, float] = {}
    mine = _write(files, folder)
    while time.monotonic() < ends:
        claims = _claims(files, folder)
        others = [name for name in claims if name != mine and not _left(files, folder, name, seen)]
        if not others and mine in claims:
            return mine
        if mine not in claims:  # taken for one that a killed process left
            mine = _write(files, folder)
        elif min(others) < mine:  # the first of several waits, and the others leave
            files.rm_file(f"{folder}/{mine}")
            time.sleep(random.uniform(_POLL_S, 4 * _POLL_S))
            mine = _write(files, folder)
        else:
            time.sleep(_POLL_S)
    files.rm_file(f"{folder}/{mine}")
    raise TimeoutError("other processes change the same file without end")


def _write(files: Any, folder: str) -> str:
    name = secrets.token_hex(8)
    files.makedirs(folder, exist_ok=True)
    files.pipe_file(f"{folder}/{name}", b"")
    return name


def _claims(files: Any, folder: str) -> list[str]:
    files.invalidate_cache(folder)
    found = files.ls(folder, detail=False)
    return [str(path).rstrip("/").rpartition("/")[2] for path in found]


def _left(files: Any, folder: str, name: str, seen: dict[str, float]) -> bool:
    """Return whether a killed process has left that claim, and remove it then."""
    now = time.monotonic()
    if now - seen.setdefault(name, now) <= ABANDONED_AFTER_S:
        return False
    with suppress(FileNotFoundError):
        files.rm_file(f"{folder}/{name}")
    return True

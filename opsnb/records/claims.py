"""Mutual exclusion on a store without locks or exclusive creation.

Object stores guarantee two things: a later read sees a write, and a listing shows every earlier
write. That is enough: each process writes its own claim and then lists the claims. Of two
processes, the one that lists later sees the claim of the other.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

ABANDONED_AFTER_S = 20.0
"""A claim is held for a few requests. An older one was left by a killed process."""
_POLL_S = 0.05


@contextmanager
def claimed(files: Any, folder: str) -> Iterator[None]:
    """Hold the only claim in `folder` of the fsspec file system `files`.

    Raises TimeoutError when other processes hold it for too long.
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
        if mine not in claims:  # another process took it for one that a killed process left
            mine = _write(files, folder)
        elif min(others) < mine:  # of several, the first waits and the others retry
            files.rm_file(f"{folder}/{mine}")
            time.sleep(random.uniform(_POLL_S, 4 * _POLL_S))
            mine = _write(files, folder)
        else:
            time.sleep(_POLL_S)
    files.rm_file(f"{folder}/{mine}")
    raise TimeoutError("other processes keep changing the same file")


def _write(files: Any, folder: str) -> str:
    name = secrets.token_hex(8)
    files.makedirs(folder, exist_ok=True)
    files.pipe_file(f"{folder}/{name}", b"")
    return name


def _claims(files: Any, folder: str) -> list[str]:
    files.invalidate_cache(folder)
    paths = files.ls(folder, detail=False)
    return [str(path).rstrip("/").rpartition("/")[2] for path in paths]


def _left(files: Any, folder: str, name: str, seen: dict[str, float]) -> bool:
    """Return whether a killed process left that claim; if so, remove it."""
    now = time.monotonic()
    if now - seen.setdefault(name, now) <= ABANDONED_AFTER_S:
        return False
    with suppress(FileNotFoundError):
        files.rm_file(f"{folder}/{name}")
    return True

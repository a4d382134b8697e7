"""Files and folders that only this user may read: they hold parameters, outputs and journals."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077


def folder(path: Path) -> Path:
    """Create the folder `path` and return it; an existing one is closed to other users.

    Its parents are created with default rights. Raises OSError when it cannot be created.
    """
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    close(path)
    return path


def close(path: Path, others: int = _OTHERS) -> None:
    """Remove the rights `others` from a file or folder, if this user may."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & others and not path.is_symlink():
            path.chmod(mode & ~others)


def write(path: Path, text: str) -> None:
    """Write `path` so that readers see the old or the new text, never a part. Raises OSError."""
    aside = path.with_name(f"{path.name}.aside")
    try:
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE), "w") as file:
            file.write(text)
        aside.replace(path)
    except OSError:
        with suppress(OSError):  # a partial file takes space that others need
            aside.unlink(missing_ok=True)
        raise


def settle(root: Path) -> None:
    """Create the folder `root`, or close an existing one to other users.

    A group keeps its rights if the folder is meant for it: it has the setgid bit, the group may
    write, or everyone else has no rights. Everything below has the same rights as `root`.
    """
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=FOLDER, exist_ok=True)
        return
    mode = root.stat().st_mode
    is_shared = mode & (stat.S_ISGID | stat.S_IWGRP) or not mode & stat.S_IRWXO
    close(root, stat.S_IRWXO if is_shared else _OTHERS)


def folder_below(path: Path) -> Path:
    """Create the folder `path` and its parents, with the rights of the folder that they are in."""
    if not path.is_dir():
        folder_below(path.parent)
        with suppress(FileExistsError):
            new_folder(path)
    return path


def new_folder(path: Path) -> None:
    """Create the folder `path` with the rights of its parent. Raises FileExistsError."""
    path.mkdir(mode=FOLDER)
    if shared := path.parent.stat().st_mode & (stat.S_ISGID | stat.S_IRWXG):
        path.chmod(FOLDER | shared)


def mode_in(parent: Path) -> int:
    """Return the mode of a new file in the folder `parent`."""
    return FILE | parent.stat().st_mode & (stat.S_IRGRP | stat.S_IWGRP)

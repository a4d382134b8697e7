"""Files and folders that only this user may read: parameters, outputs and journals lie in them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077


def folder(path: Path) -> Path:
    """Make the folder `path` and return it; one that others may enter is closed to them.

    The folders above it are made as usual. Raises OSError when it cannot be made.
    """
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    close(path)
    return path


def close(path: Path, others: int = _OTHERS) -> None:
    """Take the rights `others` on a file or folder from everybody else, if it is ours to do so."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & others and not path.is_symlink():
            path.chmod(mode & ~others)


def close_tree(root: Path) -> None:
    """Close `root` and everything in it."""
    close(root)
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            close(Path(parent, name))


def write(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old text or the new, never a part. Raises OSError."""
    aside = path.with_name(f"{path.name}.aside")
    try:
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE), "w") as file:
            file.write(text)
        aside.replace(path)
    except OSError:
        with suppress(OSError):  # what is half-written takes the room that others need
            aside.unlink(missing_ok=True)
        raise


def settle(root: Path) -> None:
    """Make the folder `root`, or close one that others may enter.

    A group keeps its rights where the folder was made for it: by the setgid bit, by the right to
    write, or by shutting out everybody else. All below is as open as `root` is.
    """
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=FOLDER, exist_ok=True)
        return
    mode = root.stat().st_mode
    is_shared = mode & (stat.S_ISGID | stat.S_IWGRP) or not mode & stat.S_IRWXO
    close(root, stat.S_IRWXO if is_shared else _OTHERS)


def folder_below(path: Path) -> Path:
    """Make the folder `path`, and those above it, as open as the one that they are in."""
    if not path.is_dir():
        folder_below(path.parent)
        with suppress(FileExistsError):
            new_folder(path)
    return path


def new_folder(path: Path) -> None:
    """Make the folder `path` as open as the one that it is in. Raises FileExistsError."""
    path.mkdir(mode=FOLDER)
    if shared := path.parent.stat().st_mode & (stat.S_ISGID | stat.S_IRWXG):
        path.chmod(FOLDER | shared)


def mode_in(parent: Path) -> int:
    """Return the mode of a file as open as the folder `parent`."""
    return FILE | parent.stat().st_mode & (stat.S_IRGRP | stat.S_IWGRP)

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

"""Whether the files that this process has imported are still the same."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

Version = tuple[int, int, int]
"""When a file was last changed in ns, its inode and its size; zeros when it is gone."""


def files() -> list[str]:
    """Return the files that were imported; of other installed packages, only their folders.

    Installing, upgrading or removing a package changes the time of its folder.
    """
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
    own = str(Path(__file__).parents[1])
    found = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return [
        *installed,
        *(
            file
            for file in found
            if file.startswith(own) or (file and not file.startswith(installed))
        ),
    ]


def versions(paths: list[str]) -> list[Version]:
    """Return the version of each of `paths`."""
    return [_version(path) for path in paths]


def _version(path: str) -> Version:
    try:
        found = os.stat(path)  # noqa: PTH116 - hundreds of files before each run
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size

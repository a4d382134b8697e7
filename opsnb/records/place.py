"""Where a store of records is: a folder or any fsspec URL, with its errors in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from opsnb.errors import ConfigError, OpsnbError, RunBroke
from opsnb.records.stored import month_of
from opsnb.redaction import safe_url


class Place:
    """A folder or a URL with the file system that opens it."""

    def __init__(self, url: str) -> None:
        """Open `url`, an absolute folder or an fsspec URL; it need not exist yet.

        Raises ConfigError when no driver opens such a URL, or when it is a file.
        """
        self.address = url
        """As configured, including any secret."""
        self.url = safe_url(url)
        try:
            # Other processes write here too, so no listing is cached.
            self.files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except Exception as error:  # any driver raises its own class
            raise ConfigError(
                f"The record store {self.url} cannot be opened: {reason(error)}. "
                "Correct [records] store in opsnb.toml, or install the driver."
            ) from error
        self.root: str = root.rstrip("/")
        self.folder = Path(root) if isinstance(self.files, LocalFileSystem) else None
        """The local folder; None for any other URL."""
        if self.folder and self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(
                f"The record store {self.url} is not a folder. Correct [records] store in "
                "opsnb.toml, or OPSNB_RECORDS."
            )

    def path(self, name: str) -> str:
        """Return the path of a file or folder in the store."""
        return f"{self.root}/{name}"

    def record(self, run_id: str, name: str = "") -> str:
        """Return the path of the folder of a run, or of the file `name` in it."""
        folder = self.path(f"{month_of(run_id)}/{run_id}")
        return f"{folder}/{name}" if name else folder

    def shown(self, path: str) -> str:
        """Return `path` as people see it: a folder, or a URL without secrets."""
        return path if self.folder else safe_url(str(self.files.unstrip_protocol(path)))

    @contextmanager
    def mapped_errors(self, done: str, name: str = "") -> Iterator[None]:
        """Turn errors of the file system or its driver into RunBroke: it could not be `done`.

        `name` is the file, if it is not about a record.
        """
        try:
            yield
        except (OpsnbError, ValidationError):
            raise
        except Exception as error:
            file = f"{name} in the record store" if name else "The record store"
            raise RunBroke(
                f"{file} {self.url} could not be {done}: {reason(error)}. {remedy(error)}"
            ) from error


def reason(error: Exception) -> str:
    """Return the reason of `error` on one line, without path, class or secrets."""
    text: Any = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(safe_url(str(text)).split()).rstrip(".")


def remedy(error: Exception) -> str:
    """Return how to fix a store that failed with `error`."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "Free space there, or set OPSNB_RECORDS to another folder."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS) or isinstance(error, PermissionError):
        return "Make it writable for this user, or set OPSNB_RECORDS to another folder."
    if code in (errno.ENOTDIR, errno.EEXIST):
        return "Remove the file that is in place of a folder, or set OPSNB_RECORDS to another."
    if code == errno.EISDIR:
        return "Remove the folder that is in place of a file, or set OPSNB_RECORDS to another."
    return "Fix that, or set OPSNB_RECORDS to another folder."

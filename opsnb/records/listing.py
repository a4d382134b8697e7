"""Which runs a store has, by the names of its folders, without reading a record."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from opsnb.records import stored
from opsnb.records.place import Place, reason
from opsnb.records.stored import RESULT

_YEAR, _MONTH = re.compile(r"\d{4}"), re.compile(r"\d{2}")


class Version(NamedTuple):
    """What changes with the content of a record's result.json."""

    size: int = 0
    """In bytes."""
    mtime_ns: int = 0
    inode: int = 0


UNKNOWN = Version()
"""The version of a file that is missing, or in a store behind a URL, where asking takes time."""


UNSETTLED = Version(size=-1)
"""The version of a file that is so young that it may change again without another time stamp."""


def stamp(since: datetime | None) -> str:
    """Return what the ids of runs begun at `since` begin with; those of later runs are greater."""
    return since.astimezone(UTC).strftime(stored.STAMP) if since else ""


class Listing:
    """Lists the runs of a store. Methods raise RunBroke when the store cannot be read."""

    def __init__(self, place: Place, unread: dict[str, str]) -> None:
        """List `place`.

        In `unread` a sentence is noted for each folder that cannot be listed, and for each record
        in a wrong one.
        """
        self._place, self._unread = place, unread

    def run_ids(self, first: str = "") -> Iterator[str]:
        """Yield the run ids from `first` on, which may be the beginning of one, newest first."""
        for year in self._names("", _YEAR):
            for month in self._names(year, _MONTH):
                if f"{year}{month}" < first[:6]:
                    return
                for run_id in self._names(f"{year}/{month}", stored.RUN_ID):
                    if run_id[:6] != f"{year}{month}":
                        self._note_misplaced(run_id, f"{year}/{month}")
                    elif run_id[: len(first)] < first:
                        return
                    else:
                        yield run_id

    def version(self, run_id: str) -> Version:
        """Return the version of the result of a run."""
        if self._place.folder is None:
            return UNKNOWN
        try:
            # Not a Path: of thousands, this takes half of the time.
            state = os.lstat(f"{self._place.root}/{stored.month_of(run_id)}/{run_id}/{RESULT}")
        except OSError:  # reading it says what is wrong
            return UNKNOWN
        return Version(state.st_size, state.st_mtime_ns, state.st_ino)

    def _note_misplaced(self, run_id: str, month: str) -> None:
        self._unread[run_id] = (
            f"{run_id} is in {month}, where its run id does not belong. "
            f"Move it to {stored.month_of(run_id)}, or remove it."
        )

    def _names(self, folder: str, shape: re.Pattern[str]) -> list[str]:
        """Return the names in `folder` that have that shape, the last one first."""
        with self._place.mapped_errors("read"):
            try:
                path = self._place.path(folder).rstrip("/") or "/"
                paths = self._place.files.ls(path, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            except OSError as error:
                if not folder:
                    raise
                self._unread[folder] = f"The folder {folder} cannot be read: {reason(error)}."
                return []
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted((name for name in names if shape.fullmatch(name)), reverse=True)

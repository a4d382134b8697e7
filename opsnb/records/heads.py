"""The heads of a store: the records that no other record names yet, so that the next one does.

Each has a marker, a small file `<store>/.heads/<sha256>`; a few exist at a time, whatever the size
of the store. Nothing is locked. A writer reads the markers, names those records in its own, sets
its own marker, and then removes theirs. Two writers at the same time name the same records and
leave two markers, and the next one names both.

A marker is set before its record appears, as `<sha256>.new`, and renamed after that, so that a
writer may be killed at any time: a `.new` one counts if the record is there and has that seal.
The markers can be thrown away: without any, the newest records are read instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pydantic_core import from_json

from opsnb.machine import private_files
from opsnb.model import Seal, now
from opsnb.records import atomic, removals, seals, stored
from opsnb.records.listing import Listing
from opsnb.records.place import Place
from opsnb.records.seals import Sealed
from opsnb.records.stored import RESULT

HEADS = ".heads"
_NEW = ".new"
_MARKER = re.compile(rf"([0-9a-f]{{64}})({re.escape(_NEW)})?")
_MOST = 1000  # markers that are read
_MARKER_LIMIT = 4096  # bytes
_SETTLED = 200  # so many records in a row that are no heads: older ones are none either
_TRIES = 5
_ABANDONED_AFTER = timedelta(hours=1)  # no record takes so long to appear


class Heads:
    """The heads of the store at a place. Methods raise the errors of its driver."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def current(self) -> list[Sealed]:
        """Return the heads, at least those that were written a moment ago."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # named by another writer meanwhile: list again
                if found := self.marked():
                    return found
                break
        return list(self._newest())

    def marked(self) -> list[Sealed]:
        """Return the heads that have a marker, whether or not their records still exist.

        Raises FileNotFoundError when another process is removing one.
        """
        found = []
        for name in self._names():
            sha256, is_new = name.removesuffix(_NEW), name.endswith(_NEW)
            head = self._head(name, sha256)
            if head and (not is_new or self._is_written(head)):
                found.append(head)
            elif head is None or now() - head.at > _ABANDONED_AFTER:
                self._remove(name)
        return found

    @contextmanager
    def joined(self, run_id: str, seal: Seal, digest: str) -> Iterator[None]:
        """Mark the record or list that the body writes, with the sha256 `digest`, as a head.

        After that, those that it names are heads no more. When the body fails and has written
        nothing, there is no marker.
        """
        head = Sealed(run_id, digest, seal.at)
        self._write(f"{digest}{_NEW}", head)
        try:
            yield
        except BaseException:
            with suppress(Exception):
                if not self._is_written(head):
                    self._remove(f"{digest}{_NEW}")
            raise
        # The record is there: what fails now is done by the next writer.
        with suppress(Exception):
            self._settle(head)
            for sha256 in seal.previous.values():
                self._remove(sha256)
                self._remove(f"{sha256}{_NEW}")

    def _names(self) -> Iterable[str]:
        try:
            paths = self._place.files.ls(self._place.path(HEADS), detail=False)
        except FileNotFoundError:
            return []
        names = sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths)
        if self._place.folder:
            atomic.sweep_files(self._place.folder / HEADS, names)
        markers = (name for name in names if _MARKER.fullmatch(name))
        return sorted(markers, key=lambda name: name.endswith(_NEW))[:_MOST]

    def _head(self, name: str, sha256: str) -> Sealed | None:
        path = self._path(name)
        try:
            data = stored.read(self._place.files, path, _MARKER_LIMIT)
        except stored.Damaged:
            return None
        head = seals.from_text(sha256, data.decode(errors="replace"))
        return head if head and stored.RUN_ID.fullmatch(head.run_id) else None

    def _is_written(self, head: Sealed) -> bool:
        with suppress(OSError, ValueError):
            return seals.claimed(self._result(head.run_id)) == head.sha256
        with suppress(OSError, ValueError):
            return removals.sha256(self._place, head.run_id) == head.sha256
        return False

    def _result(self, run_id: str) -> bytes:
        path = self._place.record(run_id, RESULT)
        return stored.read(self._place.files, path, stored.RESULT_LIMIT)

    def _newest(self) -> Iterator[Sealed]:
        """Yield the heads among the newest records, as far back as there are some."""
        named: set[str] = set()
        in_a_row = 0
        for run_id in Listing(self._place, {}).run_ids():
            in_a_row += 1
            with suppress(OSError, ValueError):
                data = self._result(run_id)
                if seal := seals.parsed(from_json(data)):
                    if run_id not in named and seals.SHA256.fullmatch(seal.sha256):
                        in_a_row = 0
                        yield Sealed(run_id, seal.sha256, seal.at)
                    named |= seal.previous.keys()
            if in_a_row >= _SETTLED:
                return

    def _write(self, name: str, head: Sealed) -> None:
        text = seals.as_text(head).encode()
        if self._place.folder:
            private_files.settle(self._place.folder)
            atomic.replace(self._place.folder / HEADS, {name: text})
        else:
            self._place.files.pipe_file(self._path(name), text)

    def _settle(self, head: Sealed) -> None:
        name = f"{head.sha256}{_NEW}"
        if self._place.folder:
            Path(self._path(name)).rename(self._path(head.sha256))
        else:
            self._write(head.sha256, head)
            self._remove(name)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._place.files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return self._place.path(f"{HEADS}/{name}")

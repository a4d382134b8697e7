"""Write the store of records: once for each run, and again only while a run is open.

A record appears whole or not at all. In a folder it is written aside and renamed into place; other
stores cannot rename at once, so `result.json` is written last, and a record without it does not
count.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from opsnb.errors import ConfigError, OpsnbError, RunBroke
from opsnb.machine import private_files
from opsnb.model import RunResult
from opsnb.records import atomic, stored
from opsnb.records.contents import as_json, record_files
from opsnb.records.extract import rebuild
from opsnb.records.heads import Heads
from opsnb.records.place import reason, remedy
from opsnb.records.reader import RESTORE, Reader
from opsnb.records.seals import completed, drafted
from opsnb.records.shared_files import SharedFiles
from opsnb.records.stored import NOTEBOOK, RESULT, digest
from opsnb.redaction import Redactor


def new_run_id(runbook: str, target: str, started: datetime) -> str:
    """Return an id such as `20261123T071500Z-health.daily-demo-7f3a`, which sorts by time.

    `started` must have a time zone.
    """
    when = started.astimezone(UTC).strftime(stored.STAMP)
    return f"{when}-{stored.id_part(runbook)}-{stored.id_part(target)}-{_suffix()}"


# Counting up from a random number: runs that one process starts in the same second differ.
_suffixes = count(secrets.randbelow(0x10000))


def _draw_again() -> None:
    """In a forked process: runs that its siblings start in the same second differ too."""
    global _suffixes  # noqa: PLW0603 - the state of this process
    _suffixes = count(secrets.randbelow(0x10000))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_draw_again)


def _suffix() -> str:
    return f"{next(_suffixes) % 0x10000:04x}"


class Store(Reader):
    """Reads and writes records."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`, as `Reader` does."""
        super().__init__(url)
        self.shared = SharedFiles(self.place)
        """Small files beside the records."""
        self.heads = Heads(self.place)

    def demand_writable(self) -> None:
        """Raise ConfigError when no record can be written here now. A missing folder is created."""
        if not self.place.folder:
            return  # only writing a record shows it
        try:
            private_files.settle(self.place.folder)
            with tempfile.TemporaryFile(dir=self.place.folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"The record store {self.url} cannot be written: {reason(error)}. " + remedy(error)
            ) from error

    def keep(
        self,
        result: RunResult,
        notebook: dict[str, Any],
        redactor: Redactor,
        *,
        is_final: bool = True,
    ) -> str:
        """Store the record of a run, redacted, and return its location.

        It is sealed if it `is_final` and the run is not open. The result is stamped into
        `notebook`. Output beyond the limits of `bounds` is left out.
        When another run has the same run id, `result.run_id` gets another suffix: no record is
        overwritten or lost. Raises RunBroke when the store cannot be written; nothing of the record
        is left behind then.
        """
        if not stored.RUN_ID.fullmatch(result.run_id):
            raise ValueError(f"'{result.run_id}' is not a run id; make it with new_run_id")
        with self.place.mapped_errors("written"):
            while True:
                with (
                    suppress(atomic.Taken),
                    self._sealed(result, notebook, redactor, is_final) as (files),
                ):
                    self._put(result.run_id, files)
                    return self.folder(result.run_id)
                head, _, _ = result.run_id.rpartition("-")
                other = f"{head}-{_suffix()}"
                result.fleet = other if result.is_summary else result.fleet
                result.run_id = other

    def _put(self, run_id: str, files: dict[str, bytes]) -> None:
        """Write a record's files. Raises Taken when another record has its id."""
        if self.place.folder:
            atomic.create_folder(self.place.folder, Path(self._path(run_id)), files)
        else:
            self._put_result_last(self._path(run_id), files)

    def _put_result_last(self, folder: str, files: dict[str, bytes]) -> None:
        if self.place.files.exists(folder):
            raise atomic.Taken
        try:
            self.place.files.makedirs(folder, exist_ok=True)
            for name in (NOTEBOOK, RESULT):
                self.place.files.pipe_file(f"{folder}/{name}", files[name])
        except BaseException:
            with suppress(Exception):
                self.place.files.rm(folder, recursive=True)
            raise

    def sweep(self, run_id: str) -> None:
        """Remove what a killed writer has left of the record of that run."""
        if self.place.folder:
            shutil.rmtree(self.place.folder / atomic.WRITING / run_id, ignore_errors=True)
            for name in (NOTEBOOK, RESULT):
                for left in Path(self._path(run_id)).glob(f".{name}.*"):
                    left.unlink(missing_ok=True)
            return
        folder = self._path(run_id)
        with self.place.mapped_errors("written"):
            if self.place.files.exists(folder) and not self.place.files.exists(
                f"{folder}/{RESULT}"
            ):
                self.place.files.rm(folder, recursive=True)

    def update(
        self,
        result: RunResult,
        notebook: dict[str, Any],
        redactor: Redactor,
        *,
        is_final: bool = True,
    ) -> None:
        """Replace the record of a run that is not sealed yet, redacted.

        It is sealed as by `keep`. Readers see the old or the new content of each of the two files.
        Raises RunBroke when the store cannot be written; the record is unchanged then.
        """
        with (
            self.place.mapped_errors("written"),
            self._sealed(result, notebook, redactor, is_final) as files,
        ):
            self._replace(result.run_id, files)

    def seal(self, run_id: str, redactor: Redactor) -> None:
        """Seal the record of a run, whole id, that has ended; does nothing if it has a seal."""
        result = self.result(run_id)
        if result.seal is None:
            self.update(result, self.notebook(run_id), redactor)

    @contextmanager
    def _sealed(
        self, result: RunResult, notebook: dict[str, Any], redactor: Redactor, is_final: bool
    ) -> Iterator[dict[str, bytes]]:
        """Yield the files of a record, for the body to write."""
        if not is_final or result.open:
            result.seal = None
            yield record_files(result, notebook, redactor)
            return
        result.seal = drafted(self.heads.current())
        files = record_files(result, notebook, redactor)
        with self.heads.joined(result.run_id, result.seal, result.seal.sha256):
            yield files

    def _replace(self, run_id: str, files: dict[str, bytes]) -> None:
        folder = self._path(run_id)
        if self.place.folder:
            atomic.replace(Path(folder), files)
        else:
            for name, data in files.items():
                self.place.files.pipe_file(f"{folder}/{name}", data)

    def reindex(self) -> list[str]:
        """Make the index again, and `result.json` from the notebook where it is missing or broken.

        Return the run ids that were repaired; the others stay in `broken`.
        """
        self.broken.clear()
        self.index.discard()
        self.broken |= self.index.broken()
        return [run_id for run_id in list(self.broken) if self._rebuild(run_id)]

    def _rebuild(self, run_id: str) -> bool:
        try:
            result = rebuild(self.notebook(run_id))
            self._demand_plausible(result, run_id)
            with self.place.mapped_errors("written"):
                # The notebook was redacted when it was written.
                data = as_json(result.model_dump(mode="json"))
                if result.seal:
                    path = self._path(run_id, NOTEBOOK)
                    data = completed(data, digest(self.place.files, path, stored.NOTEBOOK_LIMIT))
                self._replace(run_id, {RESULT: data})
        except OpsnbError as error:
            self.broken[run_id] = str(error)
            return False
        del self.broken[run_id]
        return True

    def _demand_plausible(self, result: RunResult, run_id: str) -> None:
        """Raise RunBroke when the notebook of a run contradicts its run id."""
        try:
            stored.demand_fits(result, run_id)
            wrong = stored.wrong_links(result)
        except stored.Damaged as error:
            wrong = str(error)
        if wrong:
            raise RunBroke(f"{NOTEBOOK} of {run_id} {wrong}. {RESTORE}")

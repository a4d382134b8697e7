"""A run that is going on: what is known of it lies aside, so that a killed run leaves a record too.

The folder is private to the user and on this machine, whatever the store is. In it are

run.json       the result as it will be told if nobody comes to write a better one, and who runs
record.ipynb   the notebook after the last cell that ended, redacted
journal.jsonl  what the actions did, told by the kernel itself before and after each step
resumed.json   what the actions of the run did that is continued, if one is
alive          held by the runner while it lives, for containers that cannot see its process

A run that has ended and whose record could not be written leaves its folder to the spool.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from pydantic import BaseModel, Field, ValidationError

from opsnb.actions import journal
from opsnb.config.places import state_folder, state_home
from opsnb.errors import ConfigError
from opsnb.machine import private_files
from opsnb.machine.holder import Holder
from opsnb.model import RunResult
from opsnb.records.contents import joined_streams
from opsnb.records.extract import merge
from opsnb.records.store import Store
from opsnb.records.stored import NOTEBOOK, RUN_ID
from opsnb.redaction import Redactor

RUN, SEEN_FREE = "run.json", "seen-free"
_JOURNAL, _RESUMED = "journal.jsonl", "resumed.json"
_ALIVE = "alive"
_KERNEL_ENDS_S = 60.0


class Staged(BaseModel):
    """What run.json holds."""

    store: str
    """Where the record belongs."""
    holders: list[Holder]
    """The runner and its kernels: as long as one of them lives, the run is going on."""
    result: RunResult
    folders: list[str] = Field(default_factory=list)
    """Temporary folders that go with the run."""
    unwritten: str = ""
    """Why the record of a run that has ended could not be written; empty while it goes on."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what is known of the run in `folder`. Raises OSError, ValueError."""
        found = cls.model_validate_json((folder / RUN).read_text(encoding="utf-8"))
        if not RUN_ID.fullmatch(found.result.run_id):  # paths are made of it
            raise ValueError(f"{found.result.run_id!r} is no run id")
        return found

    def belongs_to(self, store: Store) -> bool:
        """Whether its record belongs in `store`."""
        return self.store in (store.url, store.address)

    def is_over(self, folder: Path) -> bool:
        """Whether nobody works any more on the run that has the `folder`."""
        if self.unwritten:
            return True
        if all(each.is_here for each in self.holders):
            return not any(each.is_alive for each in self.holders)
        # Another container's, that has this folder too: the runner holds the file while it lives.
        return _has_been_free(folder / _ALIVE)


class Stage:
    """The folder of a run that is going on, or has left it behind."""

    def __init__(self, folder: Path, run: Staged) -> None:
        self.folder = folder
        self.journal = folder / _JOURNAL
        self._run = run
        self._alive: IO[bytes] | None = None

    @classmethod
    def open(
        cls, store: Store, result: RunResult, notebook: dict[str, Any], redactor: Redactor
    ) -> Self:
        """Make the folder. `result` and `notebook` are told when the runner is killed at once.

        Raises ConfigError when it cannot be made.
        """
        run = Staged(store=store.url, holders=[Holder.of(os.getpid())], result=result)
        stage = cls(home() / result.run_id, run)
        try:
            state_folder(home().name)
            stage.folder.mkdir(mode=private_files.FOLDER)
            try:
                stage._hold()
                stage._write_notebook(notebook, redactor)
                stage._write_run()  # last: with it the folder counts
            except OSError:
                stage.close()
                raise
        except OSError as error:
            raise ConfigError(
                f"The folder for runs that are going on, {home()}, cannot be written: "
                f"{error.strerror}. Make room there, or set XDG_STATE_HOME to another folder."
            ) from error
        return stage

    def add_holder(self, pid: int) -> None:
        """Note a kernel of the run."""
        self._run.holders.append(Holder.of(pid))
        self._write_run()

    def add_folder(self, folder: str) -> None:
        """Note a temporary folder, which is removed with the stage of a run that was killed."""
        self._run.folders.append(folder)
        with suppress(OSError):
            self._write_run()

    def update(self, result: RunResult) -> None:
        """Note what is known of the run by now; when that fails the run goes on."""
        self._run.result = result
        with suppress(OSError):
            self._write_run()

    def save(self, notebook: dict[str, Any], redactor: Redactor) -> None:
        """Keep `notebook`, redacted, as what the run has done so far.

        When that fails the run goes on: its record is still to be written.
        """
        with suppress(OSError):
            self._write_notebook(notebook, redactor)

    def keep_resumed(self, result: RunResult) -> Path:
        """Keep the actions of the run that this one continues where its kernel can read them."""
        path = self.folder / _RESUMED
        private_files.write(path, journal.Continued.of(result).model_dump_json())
        return path

    def leave(
        self, folder: Path, result: RunResult, notebook: dict[str, Any], redactor: Redactor
    ) -> None:
        """Leave the record of a run that has ended, as `folder`, until the store takes it.

        `result` is free of secrets. Raises OSError when the folder cannot be moved, or has no room
        for the whole notebook: then it has that of the last cell that could be saved.
        """
        self._run.result, self._run.unwritten = result, result.kept_late
        self._write_run()
        try:
            self._write_notebook(notebook, redactor)
        finally:
            self.folder.rename(folder)

    def close(self) -> None:
        """Remove the folder, and what a killed run has left elsewhere: the run has its record."""
        for left in self._run.folders:
            if Path(left).name.startswith("opsnb-"):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._alive:
            self._alive.close()

    def _hold(self) -> None:
        """Hold a file as long as this process lives, which every container can see."""
        opened = os.open(self.folder / _ALIVE, os.O_RDWR | os.O_CREAT, private_files.FILE)
        self._alive = os.fdopen(opened, "r+b")
        with suppress(OSError):  # a file system that knows no locks
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _write_run(self) -> None:
        private_files.write(self.folder / RUN, self._run.model_dump_json())

    def _write_notebook(self, notebook: dict[str, Any], redactor: Redactor) -> None:
        kept = json.dumps(redactor.tree(joined_streams(notebook)))
        private_files.write(self.folder / NOTEBOOK, kept)


def _has_been_free(path: Path) -> bool:
    """Whether nobody has held the file for longer than a kernel outlives its runner."""
    seen_free = path.with_name(SEEN_FREE)
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if seen_free.exists():
                return time.time() - seen_free.stat().st_mtime > _KERNEL_ENDS_S
            seen_free.touch(mode=private_files.FILE)
    except OSError:  # held, or nobody can know
        return False
    return False


def complete(notebook: dict[str, Any], path: Path, run: RunResult | None = None) -> None:
    """Put into `notebook` what its outputs lack of the journal of its actions at `path`.

    The cells of a `run` that is open may have been run again: plans that they no longer show are
    past, and what was done to another target is told by another record.
    """
    told = journal.read(path)
    if run and run.open:
        told = [record for record in told if record.begun and record.target == run.target]
    merge(notebook, told)


def is_going_on(run_id: str) -> bool:
    """Whether there is no record yet of a run whose id is, or begins or ends with, `run_id`."""
    names = (path.parent.name for path in home().glob(f"*/{RUN}"))
    return any(name.startswith(run_id) or name.endswith(run_id) for name in names)


def going_on(store: Store, target: str, before: datetime) -> list[str]:
    """Return the runs on `target` that were begun before a moment and have no record yet.

    One that is open in JupyterLab has its record already; one of this very process does not count.
    """
    found = []
    for path in sorted(home().glob(f"*/{RUN}")):
        with suppress(ValidationError, OSError):
            run = Staged.read(path.parent)
            result = run.result
            ours = run.belongs_to(store) and result.target == target and not result.open
            # The holder of a drill is the process that asks.
            is_own = run.holders == [Holder.of(os.getpid())]
            is_earlier = result.started <= before
            if ours and not is_own and is_earlier and not run.is_over(path.parent):
                found.append(result.run_id)
    return found


def home() -> Path:
    """Return the folder of the runs that are going on; it may not be there yet."""
    return state_home() / "running"

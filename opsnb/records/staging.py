"""A run in progress: what is known of it is kept aside, so that a killed run leaves a record too.

The folder is private to the user and on this machine, whatever the store is. It holds

run.json       the result as recorded if the run is killed now, and its processes
record.ipynb   the notebook after the last completed cell, redacted
journal.jsonl  what the actions did, written by the kernel before and after each step
resumed.json   what the actions did of the run that this one continues, if it does
alive          locked by the runner while it lives, for containers that cannot see its process

When the record of a run cannot be written, its folder moves to the spool.
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

from opsnb import catalog
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
    """The store of the record."""
    holders: list[Holder]
    """The runner and its kernels: while one of them lives, the run is in progress."""
    result: RunResult
    folders: list[str] = Field(default_factory=list)
    """Temporary folders of the run."""
    unwritten: str = ""
    """Why the record could not be written; empty while the run is in progress."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what is known of the run in `folder`. Raises OSError, ValueError."""
        run = cls.model_validate_json((folder / RUN).read_text(encoding="utf-8"))
        if not RUN_ID.fullmatch(run.result.run_id):  # paths are made of it
            raise ValueError(f"{run.result.run_id!r} is not a run id")
        return run

    def belongs_to(self, store: Store) -> bool:
        """Whether its record belongs in `store`."""
        return self.store in (store.url, store.address)

    def is_over(self, folder: Path) -> bool:
        """Whether no process works on the run in `folder` any more."""
        if self.unwritten:
            return True
        if all(holder.is_here for holder in self.holders):
            return not any(holder.is_alive for holder in self.holders)
        # The runner is in another container that shares this folder: it locks the file.
        return _has_been_free(folder / _ALIVE)


class Stage:
    """The folder of a run that is in progress or was killed."""

    def __init__(self, folder: Path, run: Staged) -> None:
        self.folder = folder
        self.journal = folder / _JOURNAL
        self._run = run
        self._alive: IO[bytes] | None = None

    @classmethod
    def open(
        cls, store: Store, result: RunResult, notebook: dict[str, Any], redactor: Redactor
    ) -> Self:
        """Create the folder. `result` and `notebook` become the record if the runner is killed now.

        Raises ConfigError when it cannot be created.
        """
        run = Staged(store=store.url, holders=[Holder.of(os.getpid())], result=result)
        stage = cls(home() / result.run_id, run)
        try:
            state_folder(home().name)
            stage.folder.mkdir(mode=private_files.FOLDER)
            try:
                stage._hold()
                stage._write_notebook(notebook, redactor)
                stage._write_run()  # last: it makes the folder complete
            except OSError:
                stage.close()
                raise
        except OSError as error:
            raise ConfigError(
                f"The folder for runs in progress, {home()}, cannot be written: "
                f"{error.strerror}. Free space there, or set XDG_STATE_HOME to another folder."
            ) from error
        return stage

    def add_holder(self, pid: int) -> None:
        """Note a kernel of the run."""
        self._run.holders.append(Holder.of(pid))
        self._write_run()

    def add_folder(self, folder: str) -> None:
        """Note a temporary folder to remove with this one."""
        self._run.folders.append(folder)
        with suppress(OSError):
            self._write_run()

    def update(self, result: RunResult) -> None:
        """Update what is known of the run; when that fails, the run continues."""
        self._run.result = result
        with suppress(OSError):
            self._write_run()

    def save(self, notebook: dict[str, Any], redactor: Redactor) -> None:
        """Keep `notebook`, redacted, as the progress of the run.

        When that fails, the run continues: its record is written at the end.
        """
        with suppress(OSError):
            self._write_notebook(notebook, redactor)

    def keep_resumed(self, result: RunResult) -> Path:
        """Write the actions of the run that this one continues to a file for its kernel."""
        path = self.folder / _RESUMED
        command = catalog.again(result.runbook, result.target, result.parameters)
        continued = journal.Continued(run_id=result.run_id, command=command, actions=result.actions)
        private_files.write(path, continued.model_dump_json())
        return path

    def leave(
        self, folder: Path, result: RunResult, notebook: dict[str, Any], redactor: Redactor
    ) -> None:
        """Move the record of a run that has ended to `folder`, until the store takes it.

        `result` is redacted. Raises OSError when the folder cannot be moved, or has no room for the
        whole notebook: then it has the notebook of the last cell that could be saved.
        """
        self._run.result, self._run.unwritten = result, result.kept_late
        self._write_run()
        try:
            self._write_notebook(notebook, redactor)
        finally:
            self.folder.rename(folder)

    def close(self) -> None:
        """Remove the folder and the temporary folders: the run has its record."""
        for left in self._run.folders:
            if Path(left).name.startswith("opsnb-"):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._alive:
            self._alive.close()

    def _hold(self) -> None:
        """Lock a file while this process lives, which every container can see."""
        opened = os.open(self.folder / _ALIVE, os.O_RDWR | os.O_CREAT, private_files.FILE)
        self._alive = os.fdopen(opened, "r+b")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _write_run(self) -> None:
        private_files.write(self.folder / RUN, self._run.model_dump_json())

    def _write_notebook(self, notebook: dict[str, Any], redactor: Redactor) -> None:
        kept = json.dumps(redactor.tree(joined_streams(notebook)))
        private_files.write(self.folder / NOTEBOOK, kept)


def _has_been_free(path: Path) -> bool:
    """Whether the file has been unlocked for longer than a kernel outlives its runner."""
    seen_free = path.with_name(SEEN_FREE)
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if seen_free.exists():
                return time.time() - seen_free.stat().st_mtime > _KERNEL_ENDS_S
            seen_free.touch(mode=private_files.FILE)
    except OSError:  # locked, or unknown
        return False
    return False


def complete(notebook: dict[str, Any], path: Path, run: RunResult | None = None) -> None:
    """Add to `notebook` what its outputs lack of the journal of its actions at `path`.

    The cells of an open `run` may have been run again: plans that they no longer show are obsolete,
    and actions on another target are in another record.
    """
    records = journal.read(path)
    if run and run.open:
        records = [record for record in records if record.begun and record.target == run.target]
    merge(notebook, records)


def is_going_on(run_id: str) -> bool:
    """Whether a run without a record has an id that is, or begins or ends with, `run_id`."""
    names = (path.parent.name for path in home().glob(f"*/{RUN}"))
    return any(name.startswith(run_id) or name.endswith(run_id) for name in names)


def going_on(store: Store, target: str, before: datetime) -> list[str]:
    """Return the runs on `target` that began before a moment and are still in progress.

    Runs in JupyterLab and runs of this process do not count.
    """
    run_ids = []
    for path in sorted(home().glob(f"*/{RUN}")):
        with suppress(ValidationError, OSError):
            run = Staged.read(path.parent)
            result = run.result
            ours = run.belongs_to(store) and result.target == target and not result.open
            # A drill is held by this very process.
            is_own = run.holders == [Holder.of(os.getpid())]
            is_earlier = result.started <= before
            if ours and not is_own and is_earlier and not run.is_over(path.parent):
                run_ids.append(result.run_id)
    return run_ids


def home() -> Path:
    """Return the folder of the runs in progress; it may not exist yet."""
    return state_home() / "running"

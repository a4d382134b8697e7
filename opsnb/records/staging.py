"""A run that is going on: what is known of it lies aside, so that a killed run leaves a record too.

The folder is private to the user and on this machine, whatever the store is. In it are

run.json       the result as it will be told if nobody comes to write a better one, and who runs
record.ipynb   the notebook after the last cell that ended, redacted
journal.jsonl  what the actions did, told by the kernel itself before and after each step
resumed.json   what the actions of the run did that is continued, if one is
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from opsnb import journal
from opsnb.errors import ConfigError, OpsnbError
from opsnb.holder import Holder
from opsnb.model import RunResult, Status, worst
from opsnb.records.extract import actions, executed, findings, merge
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets
from opsnb.target import state_home

_NOTEBOOK, _JOURNAL, _RUN = "record.ipynb", "journal.jsonl", "run.json"
_RESUMED = "resumed.json"


class _Run(BaseModel):
    """What run.json holds."""

    store: str
    """Where the record belongs."""
    holders: list[Holder]
    """The runner and its kernels: as long as one of them lives, the run is going on."""
    result: RunResult


class Stage:
    """The folder of a run that is going on."""

    def __init__(self, folder: Path, run: _Run) -> None:
        self.folder = folder
        self.journal = folder / _JOURNAL
        self._run = run

    @classmethod
    def open(cls, store: Store, result: RunResult, notebook: dict[str, Any]) -> Self:
        """Make the folder. `result` and `notebook` are told when the runner is killed at once.

        Raises ConfigError when it cannot be made.
        """
        run = _Run(store=store.address, holders=[Holder.of(os.getpid())], result=result)
        stage = cls(_home() / result.run_id, run)
        try:
            stage.folder.mkdir(parents=True, mode=0o700)
            _write(stage.folder / _NOTEBOOK, json.dumps(notebook))
            stage._write_run()
        except OSError as error:
            raise ConfigError(
                f"The folder for runs that are going on, {_home()}, cannot be written: "
                f"{error.strerror}. Make room there, or set XDG_STATE_HOME to another folder."
            ) from error
        return stage

    def add_holder(self, pid: int) -> None:
        """Note a kernel of the run."""
        self._run.holders.append(Holder.of(pid))
        self._write_run()

    def update(self, result: RunResult) -> None:
        """Note what is known of the run by now; when that fails the run goes on."""
        self._run.result = result
        with suppress(OSError):
            self._write_run()

    def save(self, notebook: dict[str, Any]) -> None:
        """Keep `notebook`, already redacted, as what the run has done so far.

        When that fails the run goes on: its record is still to be written.
        """
        with suppress(OSError):
            _write(self.folder / _NOTEBOOK, json.dumps(notebook))

    def keep_resumed(self, result: RunResult) -> Path:
        """Keep the actions of the run that this one continues where its kernel can read them."""
        path = self.folder / _RESUMED
        _write(path, journal.Continued.of(result).model_dump_json())
        return path

    def close(self) -> None:
        """Remove the folder: the run has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_run(self) -> None:
        _write(self.folder / _RUN, self._run.model_dump_json())


def complete(notebook: dict[str, Any], path: Path, run: RunResult | None = None) -> None:
    """Put into `notebook` what its outputs lack of the journal of its actions at `path`.

    The cells of a `run` that is open may have been run again: plans that they no longer show are
    past, and what was done to another target is told by another record.
    """
    told = journal.read(path)
    if run and run.open:
        told = [record for record in told if record.begun and record.target == run.target]
    merge(notebook, told)


def reap(store: Store) -> list[str]:
    """Make records of the runs of `store` whose runner was killed; return their ids.

    Those that cannot be made yet, as the store is full, are left for the next time.
    """
    home = _home()
    if not home.exists():
        return []
    made = []
    # One at a time, so that no run gets two records; who comes second has nothing to do.
    with suppress(Timeout, OSError), FileLock(home / ".lock", timeout=0):
        for path in sorted(home.glob(f"*/{_RUN}")):
            with suppress(ValidationError, ValueError, OSError, OpsnbError):
                run = _Run.model_validate_json(path.read_text(encoding="utf-8"))
                if run.store == store.address and not any(each.is_alive for each in run.holders):
                    made += _keep(store, Stage(path.parent, run), run.result)
    return made


def is_going_on(run_id: str) -> bool:
    """Whether there is no record yet of a run whose id is, or begins or ends with, `run_id`."""
    names = (path.parent.name for path in _home().glob(f"*/{_RUN}"))
    return any(name.startswith(run_id) or name.endswith(run_id) for name in names)


def going_on(store: Store, target: str, before: datetime) -> list[str]:
    """Return the runs on `target` that were begun before a moment and have no record yet.

    One that is open in JupyterLab has its record already; one of this very process does not count.
    """
    found = []
    for path in sorted(_home().glob(f"*/{_RUN}")):
        with suppress(ValidationError, OSError):
            run = _Run.model_validate_json(path.read_text(encoding="utf-8"))
            result = run.result
            ours = run.store == store.address and result.target == target and not result.open
            # The holder of a drill is the process that asks.
            others = [each for each in run.holders if each.pid != os.getpid()]
            if ours and result.started <= before and any(each.is_alive for each in others):
                found.append(result.run_id)
    return found


def _keep(store: Store, stage: Stage, result: RunResult) -> list[str]:
    """Make or end the record of a run that was killed; return its id, or nothing if it needs none.

    A run that was open in JupyterLab has a record already, or none when no cell was run.
    """
    store.sweep(result.run_id)
    kept = store.has(result.run_id)
    if kept and not store.result(result.run_id).open:
        stage.close()
        return []
    notebook = json.loads((stage.folder / _NOTEBOOK).read_text(encoding="utf-8"))
    complete(notebook, stage.journal, result)
    if result.open and not executed(notebook):
        stage.close()
        return []
    result.findings, result.actions = findings(notebook), actions(notebook)
    found = (finding.status for finding in result.findings)
    result.status = worst([*found, Status.UNKNOWN])
    last = max(each.stat().st_mtime for each in stage.folder.iterdir())
    result.finished = max(result.started, datetime.fromtimestamp(last, UTC))
    result.seconds = (result.finished - result.started).total_seconds()
    result.open = False
    write = store.update if kept else store.keep
    # Redacted by those who wrote it; this process need not know the same secrets.
    write(result, notebook, Redactor(environment_secrets()))
    stage.close()
    return [result.run_id]


def _home() -> Path:
    return state_home() / "running"


def _write(path: Path, text: str) -> None:
    """Write `path` anew, so that a reader sees the old text or the new, never a part."""
    aside = path.with_suffix(".aside")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)

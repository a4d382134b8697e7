"""Bring records to their store that wait in the spool, or whose runner was killed.

The next command that reads the store does this: once for each record, though several commands may
try at the same time or be killed while they do, and in the order of the runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from opsnb.config.places import state_folder
from opsnb.errors import OpsnbError
from opsnb.machine import private_files
from opsnb.model import RunResult, Status, status_of, worst
from opsnb.records.extract import actions, executed, findings
from opsnb.records.spool import LATE, folder
from opsnb.records.staging import RUN, SEEN_FREE, Stage, Staged, complete, home
from opsnb.records.store import Store
from opsnb.records.stored import NOTEBOOK, demand_notebook
from opsnb.redaction import Redactor, environment_secrets, safe_url

_ABANDONED_AFTER_S = 3600.0  # no run takes an hour to begin


@dataclass
class Recovery:
    """The outcome of bringing records to their store."""

    made: list[str] = field(default_factory=list)
    """The runs whose records were written, oldest first."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Why other records are still waiting, by run id."""


def reap(store: Store) -> list[str]:
    """Write the records for `store` that wait, or whose runner was killed; return their run ids.

    Those that cannot be written yet are left for the next time.
    """
    return recover(store).made


def recover(store: Store, *, wait_s: float = 0) -> Recovery:
    """Write the records for `store` that wait, or whose runner was killed.

    When another process is doing so, wait at most `wait_s` seconds for it. Raises nothing.
    """
    done = Recovery()
    if not any(root.exists() for root in (home(), folder())):
        return done
    # One process at a time, so that no run gets two records.
    with suppress(Timeout, OSError), FileLock(_lock(), timeout=wait_s, mode=private_files.FILE):
        _sweep()
        for staged in _staged():
            try:
                run = Staged.read(staged)
            except (OSError, ValueError) as error:  # being removed, or not a run
                if staged.exists() and staged.parent == folder():
                    done.waiting[staged.name] = f"{staged / RUN} is damaged: {error}."
                continue
            if not (run.belongs_to(store) and run.is_over(staged)):
                continue
            try:
                done.made += _write(store, Stage(staged, run), run)
            except ValueError as error:  # the record is damaged, not the store
                done.waiting[run.result.run_id] = f"{staged} is damaged: {error}."
            except Exception as error:  # noqa: BLE001 - the driver of a store may raise anything
                done.waiting[run.result.run_id] = str(error)
                break  # others would fail too, or be written before older ones
    for left in waiting(store):
        done.waiting.setdefault(left.run_id, left.kept_late)
    return done


def waiting(store: Store) -> list[RunResult]:
    """Return the results whose records for `store` wait in the spool, oldest first."""
    found = []
    for staged in _staged():
        with suppress(OSError, ValueError):
            run = Staged.read(staged)
            if run.unwritten and run.belongs_to(store):
                found.append(run.result.model_copy(update={"location": str(staged)}))
    return found


def staged_results(store: Store) -> Iterator[RunResult]:
    """Yield the known results of runs that have no record in `store` yet.

    They wait in the spool, are running, or were killed.
    """
    for staged in _staged():
        with suppress(OSError, ValueError):
            run = Staged.read(staged)
            if run.belongs_to(store):
                yield run.result


def why_waiting(result: RunResult) -> str:
    """Return why the record of a run is waiting."""
    return result.kept_late.removeprefix(LATE)


def of_other_stores(store: Store) -> dict[str, int]:
    """Return how many records wait for other stores, by URL."""
    found: Counter[str] = Counter()
    for path in folder().glob(f"*/{RUN}"):
        with suppress(OSError, ValueError):
            run = Staged.read(path.parent)
            if not run.belongs_to(store):
                found[safe_url(run.store)] += 1
    return dict(found)


def notebook(result: RunResult) -> dict[str, Any] | None:
    """Return the notebook of a run whose record is waiting; None if it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(Path(result.location, NOTEBOOK).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def _write(store: Store, stage: Stage, run: Staged) -> list[str]:
    """Write or complete the record of one run; return its id, or nothing if it needs none.

    A run in JupyterLab already has a record, or needs none when no cell was run.
    """
    result = run.result
    store.sweep(result.run_id)
    kept = store.has(result.run_id)
    # Its runner redacted it; this process may not know the same secrets.
    redactor = Redactor(environment_secrets())
    if kept and _is_whole(store, result.run_id):
        with suppress(OpsnbError):  # such as a notebook that was damaged meanwhile
            store.seal(result.run_id, redactor)  # JupyterLab was killed before it did
        stage.close()
        return []
    found = _executed(stage, result)
    if result.open and not executed(found):
        stage.close()
        return []
    if not run.unwritten:
        _end(result, found, stage.folder)
    write = store.update if kept else store.keep
    write(result, found, redactor)
    stage.close()
    return [result.run_id]


def _executed(stage: Stage, result: RunResult) -> dict[str, Any]:
    """Return the notebook of a run, with its journal. Raises ValueError if it cannot be read."""
    try:
        read = json.loads((stage.folder / NOTEBOOK).read_text(encoding="utf-8"))
        found = demand_notebook(read)
        complete(found, stage.journal, result)
    except (OSError, RecursionError) as error:
        raise ValueError(f"its notebook cannot be read ({error})") from error
    return found


def _is_whole(store: Store, run_id: str) -> bool:
    """Whether the record in the store is readable and its run has ended."""
    try:
        return not store.result(run_id).open
    except OpsnbError:
        return False


def _end(result: RunResult, found: dict[str, Any], staged: Path) -> None:
    """Complete the result of a killed run from its notebook and its files."""
    result.findings, result.actions = findings(found), actions(found)
    result.status = worst([status_of(result.findings), Status.UNKNOWN])
    last = max(file.stat().st_mtime for file in staged.iterdir() if file.name != SEEN_FREE)
    result.finished = max(result.started, datetime.fromtimestamp(last, UTC))
    result.seconds = (result.finished - result.started).total_seconds()
    result.open = False


def _sweep() -> None:
    """Remove what a runner left that was killed before its folder was complete."""
    for made in home().iterdir():
        with suppress(OSError):
            is_whole = (made / RUN).exists() or not made.is_dir()
            if not is_whole and time.time() - made.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(made)


def _staged() -> list[Path]:
    """Return the folders of runs, oldest first: a run id begins with its time."""
    roots = (home(), folder())
    folders = [path.parent for root in roots for path in root.glob(f"*/{RUN}")]
    return sorted(folders, key=lambda folder: folder.name)


def _lock() -> Path:
    return state_folder(home().name) / ".lock"

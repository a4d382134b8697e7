"""Records that the store did not take when their run ended.

The store may fill up, become read-only or disappear during a run. The record then waits here,
private to the user and on this machine, until `recovery` brings it to the store.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from opsnb.config.places import state_folder, state_home
from opsnb.errors import ExitCode, RunBroke
from opsnb.machine import private_files
from opsnb.model import RunResult
from opsnb.records.contents import joined_streams
from opsnb.records.staging import Stage
from opsnb.records.store import Store
from opsnb.records.stored import NOTEBOOK
from opsnb.redaction import Redactor

LIMIT_S = 300.0
"""How long the store may take to write a record."""

LATE = "This record could not be written when the run ended, only later. "


def keep(
    store: Store, stage: Stage, result: RunResult, notebook: dict[str, Any], redactor: Redactor
) -> RunResult:
    """Keep the record of a run that has ended and return its result as it was kept.

    When the store fails, the record waits in the spool; the returned result says where and why,
    and its exit code is 70 where the run itself did not fail. Nothing is raised.
    """
    try:
        _within(LIMIT_S, store, partial(store.keep, result, notebook, redactor))
    except RunBroke as error:
        return leave(stage, result, notebook, redactor, error)
    stage.close()
    kept = redactor.result(result)
    with suppress(Exception):  # the store may fail right after, with any error of its driver
        kept = store.result(result.run_id)
    return kept


def _within(limit_s: float, store: Store, write: Callable[[], object]) -> None:
    """Write to `store`. Raises RunBroke when that fails or takes longer than `limit_s` seconds.

    A file server that is down may block a writer forever; if it takes the record after all, that is
    noticed when the spool is emptied.
    """
    raised: list[BaseException] = []

    def work() -> None:
        try:
            write()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            raised.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(limit_s)
    if worker.is_alive():
        raise RunBroke(
            f"The record store {store.url} did not respond within {limit_s:g} s. Check its disk or "
            "server, or set OPSNB_RECORDS to another folder."
        )
    if raised:
        raise raised[0]


def leave(
    stage: Stage,
    result: RunResult,
    notebook: dict[str, Any],
    redactor: Redactor,
    error: RunBroke,
) -> RunResult:
    """Leave the record of a run in the spool because the store failed with `error`.

    Return the result of the run, with an error that says so.
    """
    kept = redactor.result(result)
    why = redactor.text(str(error))
    kept.kept_late = f"{LATE}{why}"
    try:
        place = state_folder(_NAME) / result.run_id
        stage.leave(place, kept, notebook, redactor)
        note = (
            f"Until then the record is kept in {place}. The next opsnb command brings it to the "
            "store, or: opsnb records recover"
        )
        location = str(place)
    except OSError as failure:
        note, location = _leave_anywhere(notebook, redactor, failure)
    reported = kept.model_copy(update={"location": location})
    reported.error = " ".join(filter(None, (kept.error, why, note)))
    if kept.exit_code < ExitCode.UNUSABLE:  # else the run itself failed, which matters more
        reported.exit_code = error.exit_code
    return reported


def _leave_anywhere(
    notebook: dict[str, Any], redactor: Redactor, failure: OSError
) -> tuple[str, str]:
    """Leave the notebook anywhere with room; return a sentence about it, and the folder."""
    nor = f"It could not be kept in {state_home()} ({failure.strerror or failure})"
    text = json.dumps(redactor.tree(joined_streams(notebook)), indent=1)
    for root in _elsewhere():
        with suppress(OSError):
            left = Path(tempfile.mkdtemp(prefix="opsnb-", dir=root))
            private_files.write(left / NOTEBOOK, text)
            return f"{nor}. The executed notebook is {left / NOTEBOOK}", str(left)
    return f"{nor} or anywhere else. This output is all that is left of the run: keep it.", ""


def _elsewhere() -> Iterator[str]:
    with suppress(OSError):  # there may be none
        yield tempfile.gettempdir()
    with suppress(OSError):  # it may have been deleted
        yield str(Path.cwd())


_NAME = "spool"


def folder() -> Path:
    """Return the folder of waiting records; it may not exist yet."""
    return state_home() / _NAME

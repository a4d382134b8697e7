"""One manual run: the record of a working copy.

A working copy is one run from the start of its kernel until it is closed. It gets a record when one
of its cells is run; reading alone leaves none. Each save updates the record, and the end of the
kernel or of JupyterLab completes it. A copy that is opened again is another run. An open run is
staged like a headless run: when JupyterLab is killed, the next opsnb command completes its record
from its journal.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from opsnb.actions import journal
from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import ConfigError, RunBroke
from opsnb.headless.execute import Execution
from opsnb.headless.order import Order
from opsnb.headless.result import begin, end
from opsnb.lab import cells, copies
from opsnb.lab.outputs import first_failure, last_target, target_of
from opsnb.model import RunResult
from opsnb.records import spool
from opsnb.records.extract import executed
from opsnb.records.staging import Stage, complete
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import Redactor, environment_secrets
from opsnb.view import commands

_TRIGGER = "interactive"
_KILLED = "JupyterLab was killed while this was open. Cells run after the last save are missing."


def begin_by_hand(
    runbook: RunbookInfo, source: bytes, parameters: dict[str, Any], since: datetime | None = None
) -> RunResult:
    """Return the result of a manual run as it begins, now or at `since`.

    `source` is the runbook's file.
    """
    target = Target(name=_target(parameters))
    incident = os.environ.get(commands.INCIDENT) or None
    order = Order(runbook, target, parameters, trigger=_TRIGGER, incident=incident)
    opening = begin(order, source)
    opening.open, opening.error = True, _KILLED
    if since:
        opening.started = since
        opening.run_id = new_run_id(opening.runbook, opening.target, since)
    return opening


class Run:
    """The run of one working copy. Its methods are safe in any thread."""

    def __init__(
        self, store: Store, info: RunbookInfo, source: bytes, folder: Path, path: Path
    ) -> None:
        """Begin it; `source` is the original, `folder` that of the working copies.

        Raises OpsnbError when it cannot be staged.
        """
        self.path = path
        self._folder = folder
        self._store = store
        self._info = info
        self._source = source
        self._turn = threading.Lock()
        self._secrets: frozenset[str] = frozenset()
        self._saved = b""
        """The notebook as it was last recorded, or as it was opened."""
        self._kept: RunResult | None = None
        """The recorded result; None while there is none."""
        self._unwritten: tuple[RunResult, dict[str, Any]] | None = None
        """What the store did not take last time."""
        self._saved = self._read()
        notebook = _notebook(self._saved, path)
        self._typed = cells.parameters(notebook)
        self._opening = begin_by_hand(info, source, self._typed)
        redactor = self._redactor()
        self._stage = Stage.open(store, redactor.result(self._opening), notebook, redactor)
        try:
            journal.turns(self.journal).mkdir(mode=0o700)
        except OSError as error:
            raise RunBroke(f"{self._stage.folder} cannot be written: {error.strerror}.") from error

    @property
    def opening(self) -> RunResult:
        """Its result without the outputs of its cells, as of the last save."""
        return self._opening

    @property
    def acts_on(self) -> str | None:
        """The target that its cells may change; None when they only plan."""
        return _target(self._typed) if self._typed.get("apply") else None

    def disarm(self) -> None:
        """Note that its cells only plan, until the next save."""
        with self._turn:
            self._typed = {**self._typed, "apply": False}

    @property
    def journal(self) -> Path:
        """The file in which its kernel journals its actions."""
        return self._stage.journal

    def add_kernel(self, pid: int) -> None:
        """Note a kernel's process: while it lives, the run is in progress."""
        with self._turn, suppress(OSError):
            self._stage.add_holder(pid)

    def save(self) -> RunResult | None:
        """Update its record from the notebook as it was saved.

        Return the result if that created a record, else None. Raises OpsnbError when the notebook
        cannot be read or the record cannot be written.
        """
        with self._turn:
            before = self._kept
            self._record(self._read(), is_open=True)
            made = self._kept and (before is None or before.run_id != self._kept.run_id)
            return self._kept if made else None

    def end(self, *, is_final: bool = False) -> None:
        """Complete the record after the end of the kernel. Raises OpsnbError.

        A save reopens it, unless it `is_final`: then the record is sealed.
        """
        with self._turn:
            self._record(self._read(), is_open=False, is_final=is_final)

    def close(self) -> RunResult | None:
        """End the run for good and return its result; None when it has no record.

        Raises OpsnbError when the record cannot be written: then it waits in the spool.
        """
        try:
            self.end(is_final=True)
        except RunBroke as error:
            redactor = self._redactor()
            if self._unwritten is None:
                failed = self._opening.model_copy(update={"error": str(error)})
                self._stage.update(redactor.result(failed))
                raise
            left = spool.leave(self._stage, *self._unwritten, redactor, error)
            raise RunBroke(left.error or str(error)) from error
        self._stage.close()
        return self._kept

    def _record(self, content: bytes, *, is_open: bool, is_final: bool = False) -> None:
        notebook = _notebook(content, self.path)
        redactor = self._redactor()
        self._follow(notebook, redactor)
        self._leave_others_out(notebook)
        self._stage.save(notebook, redactor)
        is_new = content != self._saved
        self._write(notebook, redactor, is_open=is_open, is_new=is_new, is_final=is_final)
        self._saved = content
        if self._kept:
            copies.note_recorded(self._folder, _notebook(content, self.path), self._opening.run_id)

    def _follow(self, notebook: dict[str, Any], redactor: Redactor) -> None:
        """Update the parameters; running cells on another target begins another run.

        A target that is typed but on which no cell was run does not count yet.
        """
        self._typed = self._typed | cells.parameters(notebook)
        before = self._opening.target if self._kept else _target(self._typed)
        target = last_target(notebook) or before
        parameters = {**self._typed, "target": target}
        if parameters == self._opening.parameters:
            return
        if target == self._opening.target:
            self._opening = self._opening.model_copy(update={"parameters": parameters})
        else:
            since = self._kept.finished if self._kept else self._opening.started
            self._end_former(redactor)
            self._opening = begin_by_hand(self._info, self._source, parameters, since)
            self._kept = None
        self._stage.update(redactor.result(self._opening))

    def _end_former(self, redactor: Redactor) -> None:
        """Complete the record of the previous target, as it was last saved."""
        if self._kept:
            notebook = _notebook(self._saved, self.path)
            self._leave_others_out(notebook)
            self._write(notebook, redactor, is_open=False, is_new=False, is_final=True)

    def _leave_others_out(self, notebook: dict[str, Any]) -> None:
        """Remove from `notebook` outputs on other targets: they are in their records."""
        target = self._opening.target
        for cell in notebook["cells"]:
            if "outputs" in cell:
                cell["outputs"] = [
                    each for each in cell["outputs"] if target_of(each) in (None, target)
                ]

    def _write(
        self,
        notebook: dict[str, Any],
        redactor: Redactor,
        *,
        is_open: bool,
        is_new: bool,
        is_final: bool,
    ) -> None:
        complete(notebook, self.journal, self._opening)
        if not executed(notebook):
            return
        result = end(self._opening, Execution(notebook, *first_failure(notebook)))
        result.open = is_open
        if self._kept and not is_new:
            result.finished, result.seconds = self._kept.finished, self._kept.seconds
        self._unwritten = result, notebook
        if self._kept:
            self._store.update(result, notebook, redactor, is_final=is_final)
        else:
            self._store.keep(result, notebook, redactor, is_final=is_final)
            self._opening.run_id = result.run_id  # a new one, if it was taken
            self._stage.update(redactor.result(self._opening))
        self._kept, self._unwritten = result, None

    def _redactor(self) -> Redactor:
        """Return a redactor for the secrets of every target: the cells may use any of them."""
        secrets = set(environment_secrets())
        with suppress(ConfigError):  # secrets that were known before are still masked
            config = load_config()
            for name in config.names:
                with suppress(ConfigError):
                    secrets |= config.target(name).secrets
        self._secrets |= secrets
        return _redactor(self._secrets)

    def _read(self) -> bytes:
        """Return the notebook's file; if it was deleted, as it was last recorded."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return self._saved
        except OSError as error:
            raise RunBroke(f"{self.path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=2)
def _redactor(secrets: frozenset[str]) -> Redactor:
    """Return the same redactor for each save: it remembers what it has masked."""
    return Redactor(secrets)


def _notebook(content: bytes, path: Path) -> dict[str, Any]:
    try:
        notebook: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise RunBroke(f"{path} is not a readable notebook: {error}.") from error
    return notebook


def _target(parameters: dict[str, Any]) -> str:
    """Return the name of the target; empty if the cells do not set one."""
    return str(parameters.get("target", ""))

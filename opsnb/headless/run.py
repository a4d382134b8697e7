"""A run: parameters checked, notebook executed, record kept, exit code told."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import opsnb
from opsnb.actions.journal import JOURNAL, RESUME
from opsnb.catalog import RunbookInfo
from opsnb.config.target import Config, Target
from opsnb.errors import ConfigError, Refused, UsageError
from opsnb.headless.execute import BROKE, INTERRUPTED, Ending, Execution, Limits, execute
from opsnb.headless.kernels.forkserver import FORKS, ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.locks import Lock, held
from opsnb.headless.progress import Progress, Spectator
from opsnb.machine import interrupts
from opsnb.machine.holder import operator
from opsnb.model import ActionRecord, RunResult, Status, now, status_of, worst
from opsnb.records.bounds import shortened
from opsnb.records.ending import word
from opsnb.records.extract import actions, findings
from opsnb.records.recovery import reap, staged_results
from opsnb.records.spool import keep
from opsnb.records.staging import Stage, complete
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import Redactor, environment_secrets
from opsnb.view import commands

_METADATA = "opsnb"  # of a notebook: its `timeout_s` and `cell_timeout_s`

_HEADLINE = "opsnb-headline"
_CELLS_HAVE_IDS = (4, 5)  # the version of the notebook format

LIMIT_S = 3600.0
"""How long a run may take whose notebook and command line do not say."""


@dataclass(frozen=True)
class Order:
    """What is to be run: a runbook, on a target, with checked parameters."""

    runbook: RunbookInfo
    target: Target
    parameters: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    """Of the whole run; None for what the notebook says, or else an hour."""
    trigger: str = "manual"
    scheduled: datetime | None = None
    incident: str | None = None
    resumes: RunResult | None = None
    """The run that is continued, with the actions of those that it continued in turn."""
    fleet: str | None = None
    cold: bool = False
    """True starts a stock kernel."""
    wait_s: float | None = None
    """How long to wait for a target that another run acts on; None refuses at once."""
    spectator: Spectator = field(default_factory=Spectator)

    @property
    def applies(self) -> bool:
        """Whether it may change the target."""
        return bool(self.parameters.get("apply"))


def run(
    order: Order,
    config: Config,
    stopped: Sequence[signal.Signals] = (),
    *,
    server: ForkServer | None = None,
) -> RunResult:
    """Run `order`, keep its record and return the result as it was kept, without secrets.

    The run ends early when a signal turns up in `stopped`. `server` is for several runs; without
    one, the kernel's process begins to import while this one still does.
    Raises ConfigError, before anything is started, when the record cannot be kept; Locked when
    another run acts on the target. When the store fails in the end, the record waits in the
    spool, and the result's error says so.
    """
    store = Store(config.store)
    store.demand_writable()
    reap(store)
    source = source_of(order.runbook)
    opening = begin(order, source)
    with (
        _locked(order, store, opening, stopped) as lock,
        _still_to_continue(order, store),
        fork_server(order, server, once=True) as kernels,
    ):
        return _Run(order, store, source, opening, lock, stopped).run(kernels)


@contextmanager
def _still_to_continue(order: Order, store: Store) -> Iterator[None]:
    """Raise UsageError when somebody has continued the same run while this one waited its turn."""
    if order.resumes and order.applies and not order.resumes.is_summary:
        reap(store)  # also what was killed meanwhile
        demand_not_continued(store, order.resumes)
    yield


def demand_not_continued(store: Store, former: RunResult) -> None:
    """Raise UsageError when another run has continued `former`."""
    # Not since it began: the clock may have been set back meanwhile.
    kept = store.results(runbook=former.runbook, target=former.target)
    for child in chain(staged_results(store), kept):
        if child.parent == former.run_id:
            raise UsageError(
                f"{former.run_id} was continued by {child.run_id}"
                + (
                    ", which ran to its end, so there is nothing to continue."
                    if child.ended
                    else f"; continue that one: {commands.line('run', '--resume', child.run_id)}"
                )
            )


def source_of(runbook: RunbookInfo) -> bytes:
    """Return the notebook's file. Raises ConfigError when it cannot be read."""
    try:
        return runbook.path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{runbook.path} cannot be read: {error.strerror}. Restore it from git."
        ) from error


@contextmanager
def _locked(
    order: Order, store: Store, opening: RunResult, stopped: Sequence[signal.Signals]
) -> Iterator[Lock | None]:
    """Hold the lock of the target while a run that acts is going on."""
    if not order.applies:
        yield None
        return
    with held(
        store,
        order.target.name,
        opening,
        wait_s=order.wait_s,
        stopped=stopped,
        limit_s=_limits(order, json.loads(source_of(order.runbook))).run_s,
        waits=order.spectator.waits,
    ) as lock:
        yield lock


@contextmanager
def fork_server(
    order: Order, given: ForkServer | None, *, once: bool
) -> Iterator[ForkServer | None]:
    """Yield what starts the kernels of `order`: the server `given`, else a new one.

    `once` is for a single kernel. None means stock kernels.
    """
    if order.cold or not FORKS:
        yield None
    elif given:
        yield given
    else:
        with ForkServer(imports([order.runbook]), once=once) as server:
            yield server


@dataclass(frozen=True)
class _Run:
    """A run that nothing stands in the way of any more."""

    order: Order
    store: Store
    source: bytes
    """The notebook as it was when the run began: that is run, though the file may change."""
    opening: RunResult
    lock: Lock | None
    stopped: Sequence[signal.Signals]

    def run(self, server: ForkServer | None) -> RunResult:
        """Execute the notebook and keep the record."""
        redactor = Redactor(self.order.target.secrets | environment_secrets())
        notebook = json.loads(self.source)
        # What a killed run is told by must be as free of secrets as any record.
        opening = redactor.result(self.opening)
        stage = Stage.open(self.store, opening, notebook, redactor)
        execution = self._execute(stage, redactor, notebook, server)
        execution = _completed(execution, stage.journal)
        result = end(self.opening, execution)
        if result.error:  # it stands in a heading too, and may quote an output of any length
            result.error = shortened(redactor.text(result.error))
        headline(execution.notebook, result)
        return keep(self.store, stage, result, execution.notebook, redactor)

    def _execute(
        self,
        stage: Stage,
        redactor: Redactor,
        notebook: dict[str, Any],
        server: ForkServer | None,
    ) -> Execution:
        # What a run continues is nothing to those that its own cells may start.
        resumed = str(stage.keep_resumed(self.order.resumes)) if self.order.resumes else ""
        environment = {JOURNAL: str(stage.journal), RESUME: resumed}

        def kernel_started(pid: int) -> None:
            stage.add_holder(pid)
            if self.lock:
                self.lock.add_holder(pid)

        progress = Progress(
            works_in=stage.add_folder,
            kernel_started=kernel_started,
            saved=lambda saved: stage.save(saved, redactor),
        )
        limits = _limits(self.order, notebook)
        self.order.spectator.begins(progress, limits.run_s)
        return execute(
            notebook,
            self.order.parameters,
            server=server,
            progress=progress,
            limits=limits,
            ended=self._ended,
            environment=environment,
        )

    def _ended(self) -> Ending | None:
        if self.stopped:
            return Ending(INTERRUPTED, interrupts.sentence(self.stopped[0]))
        if self.lock and self.lock.lost:
            return Ending(BROKE, "The run lost the lock of its target, so it was stopped.")
        return None


def _completed(execution: Execution, journal: Path) -> Execution:
    """Return `execution` with what the journal of its actions says besides its outputs."""
    try:
        complete(execution.notebook, journal)
    except OSError as error:
        unknown = (
            f"The journal of its actions could not be read ({error.strerror}): an action that was "
            "interrupted may be missing here. Check the target."
        )
        told = " ".join(filter(None, (execution.error, unknown)))
        return replace(execution, exit_code=execution.exit_code or BROKE, error=told)
    return execution


def begin(order: Order, source: bytes) -> RunResult:
    """Return what is known as the run begins, and told if it is killed."""
    started = now()
    sha256 = hashlib.sha256(source).hexdigest()
    return RunResult(
        run_id=new_run_id(order.runbook.id, order.target.name, started),
        runbook=order.runbook.id,
        title=order.runbook.title,
        runbook_sha256=sha256,
        commit=_commit(order.runbook.path, sha256),
        target=order.target.name,
        operator=operator(),
        host=socket.gethostname(),
        trigger=order.trigger,
        incident=order.incident,
        scheduled=order.scheduled,
        parent=order.resumes.run_id if order.resumes else None,
        fleet=order.fleet,
        parameters=order.parameters,
        status=Status.UNKNOWN,
        exit_code=BROKE,
        error="The run was killed before its end.",
        started=started,
        finished=started,
        seconds=0,
        opsnb_version=opsnb.__version__,
    )


def end(opening: RunResult, execution: Execution) -> RunResult:
    """Return what is known as the run ends, from what was known as it began and its notebook."""
    found, done = findings(execution.notebook), actions(execution.notebook)
    status = status_of(found)
    if execution.exit_code:  # what did not run to its end may have missed the worst
        status = worst([status, Status.UNKNOWN])
    # A clock that is set back while the run goes on must not make it end before it began.
    finished = max(now(), opening.started)
    return opening.model_copy(
        update={
            "status": status,
            "exit_code": _exit_code(execution, done) or status.exit_code,
            "error": _told(execution, done),
            "findings": found,
            "actions": done,
            "finished": finished,
            "seconds": (finished - opening.started).total_seconds(),
        }
    )


def _exit_code(execution: Execution, done: Sequence[ActionRecord]) -> int:
    """Return the exit code of the execution; 64 says that nothing was changed."""
    if execution.exit_code == UsageError.exit_code and any(action.begun for action in done):
        return BROKE
    return execution.exit_code


def _told(execution: Execution, done: Sequence[ActionRecord]) -> str | None:
    """Return why the run ended early; of what was refused, also that nothing was changed."""
    error = execution.error
    refused = execution.exit_code in (UsageError.exit_code, Refused.exit_code)
    untouched = not any(action.begun for action in done)
    if not (error and refused and untouched) or "othing was changed" in error:
        return error
    return f"Nothing was changed: {error}"


def headline(notebook: dict[str, Any], result: RunResult) -> None:
    """Put on top of an executed notebook how its run ended, when that was before its end."""
    if result.error is None:
        return
    cell: dict[str, Any] = {
        "cell_type": "markdown",
        "metadata": {"tags": [_HEADLINE]},
        "source": f"**{word(result)}.** {result.error}",
    }
    if (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 0)) >= _CELLS_HAVE_IDS:
        cell["id"] = _HEADLINE
    notebook["cells"].insert(0, cell)


def _limits(order: Order, notebook: dict[str, Any]) -> Limits:
    """Return the limits of the run: those of the notebook's metadata, unless given."""
    own = notebook.get("metadata", {}).get(_METADATA, {})
    limit_s = order.timeout_s or own.get("timeout_s") or LIMIT_S
    return Limits(limit_s, own.get("cell_timeout_s"))


@cache
def _commit(path: Path, sha256: str) -> str | None:  # noqa: ARG001 - a changed file asks anew
    """Return the commit that last changed `path`, with `+` when it has been changed since."""
    commit = _git(path.parent, "log", "-1", "--format=%h", "--", path.name)
    if not commit:
        return None
    return commit + ("+" if _git(path.parent, "status", "--porcelain", "--", path.name) else "")


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says, or nothing where there is no git or no repository."""
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()

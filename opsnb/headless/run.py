"""A run: parameters checked, notebook executed, record kept, exit code told."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opsnb.actions.journal import JOURNAL, RESUME
from opsnb.config.file import Config
from opsnb.errors import ExitCode
from opsnb.headless.execute import Ending, Execution, execute
from opsnb.headless.kernels.forkserver import FORKS, ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.locks import Lock, held
from opsnb.headless.order import Order, limits_of, source_of
from opsnb.headless.progress import Progress
from opsnb.headless.result import begin, end, headline
from opsnb.headless.resume import demand_not_continued
from opsnb.machine import interrupts
from opsnb.model import RunResult
from opsnb.records.bounds import shortened
from opsnb.records.recovery import reap
from opsnb.records.spool import keep
from opsnb.records.staging import Stage, complete
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets


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
        limit_s=limits_of(order, json.loads(source_of(order.runbook))).run_s,
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
        limits = limits_of(self.order, notebook)
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
            return Ending(ExitCode.INTERRUPTED, interrupts.sentence(self.stopped[0]))
        if self.lock and self.lock.lost:
            return Ending(ExitCode.BROKE, "The run lost the lock of its target, so it was stopped.")
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
        return replace(execution, exit_code=execution.exit_code or ExitCode.BROKE, error=told)
    return execution

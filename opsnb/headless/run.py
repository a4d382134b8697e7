"""A run: execute the notebook, keep the record, return the result."""

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
from opsnb.headless.kernels import forkserver
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

    The run ends early when a signal arrives in `stopped`. `server` starts the kernels of several
    runs; without one, the kernel's process imports while this one still does. Raises ConfigError,
    before anything is started, when no record can be kept, Locked when another run acts on the
    target. When the store fails at the end, the record waits in the spool, and the result's error
    says so.
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
    """Raise UsageError when another run continued the same run while this one waited."""
    if order.resumes and order.applies and not order.resumes.is_summary:
        reap(store)  # including runs that were killed meanwhile
        demand_not_continued(store, order.resumes)
    yield


@contextmanager
def _locked(
    order: Order, store: Store, opening: RunResult, stopped: Sequence[signal.Signals]
) -> Iterator[Lock | None]:
    """Hold the lock of the target during a run that may change it."""
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
    """Yield the server that starts the kernels of `order`: `given`, an inherited or a new one.

    `once` is for a single kernel. None means stock kernels.
    """
    if order.cold or not FORKS:
        yield None
    elif server := given or forkserver.inherited:
        yield server
    else:
        with ForkServer(imports([order.runbook]), once=once) as server:
            yield server


@dataclass(frozen=True)
class _Run:
    """A run that may begin."""

    order: Order
    store: Store
    source: bytes
    """The notebook's file as it was when the run began."""
    opening: RunResult
    lock: Lock | None
    stopped: Sequence[signal.Signals]

    def run(self, server: ForkServer | None) -> RunResult:
        """Execute the notebook and keep the record."""
        redactor = Redactor(self.order.target.secrets | environment_secrets())
        notebook = json.loads(self.source)
        # It becomes the record of a killed run, so it must be free of secrets too.
        opening = redactor.result(self.opening)
        stage = Stage.open(self.store, opening, notebook, redactor)
        execution = self._execute(stage, redactor, notebook, server)
        execution = _completed(execution, stage.journal)
        result = end(self.opening, execution)
        if result.error:  # it is in a heading too, and may quote an output of any length
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
        # Emptied otherwise, so that runs that the cells start do not inherit it.
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
            return Ending(
                ExitCode.BROKE, "The run was stopped because it lost the lock of its target."
            )
        return None


def _completed(execution: Execution, journal: Path) -> Execution:
    """Return `execution` with what its outputs lack of the journal of its actions."""
    try:
        complete(execution.notebook, journal)
    except OSError as error:
        unknown = (
            f"The journal of its actions could not be read ({error.strerror}): an interrupted "
            "action may be missing here. Check the target."
        )
        told = " ".join(filter(None, (execution.error, unknown)))
        return replace(execution, exit_code=execution.exit_code or ExitCode.BROKE, error=told)
    return execution

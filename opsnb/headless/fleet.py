"""One runbook on many targets, several at a time.

Each target has its own thread, kernel process, time limit and record, so a failure on one does not
affect the others. A summary of all targets is also a record.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.errors import ExitCode, OpsnbError, Refused, UsageError, did_you_mean
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.order import Order, source_of
from opsnb.headless.result import begin
from opsnb.headless.run import fork_server
from opsnb.headless.run import run as run_one
from opsnb.model import RunResult, Status, now, worst
from opsnb.records.extract import findings
from opsnb.records.members import Member, members, notebook, worst_exit_code
from opsnb.records.recovery import reap
from opsnb.records.spool import keep
from opsnb.records.staging import Stage
from opsnb.records.store import Store
from opsnb.records.verdict import remedies, to_treat, worst_sentence
from opsnb.redaction import MASK, Redactor, environment_secrets

_OF_ONE_TARGET = ("target", "confirm")
_TICK_S = 0.2


@dataclass
class State:
    """The progress of a run on several targets."""

    total: int
    running: dict[str, datetime] = field(default_factory=dict)
    """Start times, by target."""
    done: list[Member] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """How many have not started."""
        return self.total - len(self.running) - len(self.done)


def summary(store: Store, run_id: str) -> RunResult:
    """Return the summary `run_id`, or the summary that the run `run_id` belongs to.

    `run_id` as for `Store.result`. Raises UsageError when the run was on a single target.
    """
    result = store.result(run_id)
    if result.fleet is None:
        raise UsageError(f"{result.run_id} is a run on one target, not on several.")
    return result if result.is_summary else store.result(result.fleet)


def failed(summed: RunResult) -> list[str]:
    """Return the targets whose exit code was not 0. Raises UsageError if there are none."""
    targets = [member.target for member in members(summed) if member.failed]
    if not targets:
        raise UsageError(f"No target of {summed.run_id} failed, so there is nothing to run again.")
    return targets


def parameters(summed: RunResult, runbook: RunbookInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters to repeat a run with: those of `summed`, overridden by `given`.

    `apply` is never taken from `summed`. Raises UsageError when `summed` is of another runbook, or
    a value was kept without its secret.
    """
    if summed.runbook != runbook.id:
        raise UsageError(f"{summed.run_id} is a run of {summed.runbook}, not of {runbook.id}.")
    kept = {
        name: value
        for name, value in summed.parameters.items()
        if name != "apply" and name not in given
    }
    for name, value in kept.items():
        if MASK in str(value):
            raise UsageError(f"Parameter {name} was kept without its secret. Set it: -p {name}=...")
    return {**kept, **given}


def run(  # noqa: PLR0913 - what to run, where, and how
    order: Order,
    targets: Sequence[str],
    config: Config,
    stopped: Sequence[signal.Signals] = (),
    *,
    confirmed: Sequence[str] = (),
    jobs: int | None = None,
    progress: Callable[[State], None] = lambda _: None,
    server: ForkServer | None = None,
) -> RunResult:
    """Run `order` on each of `targets` and return their summary as it was kept.

    The order's target is their `stand_in`; the run that it `resumes` is the summary on which
    `targets` failed. `confirmed` are the protected targets that may be changed; `jobs` run at a
    time, by default two per processor. `progress` is called first and after every run. When a
    signal arrives in `stopped`, runs end early and no others start.

    Errors on one target are in the summary. Before anything is started, raises Refused when a
    protected target is not confirmed, UsageError when no target is usable or no record can be kept.
    """
    orders = _orders(order, targets, config, confirmed)
    store = Store(config.store)
    store.demand_writable()
    reap(store)
    secrets = (usable.target.secrets for usable in orders.values() if isinstance(usable, Order))
    redactor = Redactor(environment_secrets().union(*secrets))
    begun = _begin(order, redactor)
    stage = Stage.open(store, begun, notebook(begun, []), redactor)
    state = State(len(orders))
    with fork_server(order, server, once=False) as kernels:
        crew = _Crew(begun.run_id, config, stopped, kernels, redactor, state)
        progress(state)
        unsaved, due = 0, 0.0
        for ended in crew.run(orders, jobs or _jobs()):
            for _ in range(ended):
                progress(state)
            unsaved += ended
            clock = time.monotonic()
            # A summary takes the longer the more targets have ended: a sixth of the time at most.
            if unsaved and clock >= due:
                stage.save(notebook(begun, state.done), redactor)
                unsaved, due = 0, time.monotonic() + 5 * (time.monotonic() - clock)
    return _summary(begun, state.done, stopped, store, stage)


def _begin(order: Order, redactor: Redactor) -> RunResult:
    """Return the summary as the runs begin, which is kept if they are killed."""
    begun = begin(order, source_of(order.runbook))
    shared = {name: value for name, value in order.parameters.items() if name not in _OF_ONE_TARGET}
    return begun.model_copy(update={"fleet": begun.run_id, "parameters": redactor.entries(shared)})


def _orders(
    order: Order, targets: Sequence[str], config: Config, confirmed: Sequence[str]
) -> dict[str, Order | UsageError]:
    """Return, by target, its order, or why it cannot be run; at least one can."""
    for given in confirmed:
        if given not in targets:
            raise UsageError(
                f"--confirm {given} is not one of the targets." + did_you_mean(given, targets)
            )
    orders = {target: _order(order, target, config, confirmed) for target in targets}
    unusable = [error for error in orders.values() if isinstance(error, UsageError)]
    if len(unusable) == len(orders):
        raise unusable[0]
    unconfirmed = [
        target
        for target, usable in orders.items()
        if isinstance(usable, Order)
        and usable.applies
        and usable.target.protected
        and target not in confirmed
    ]
    if unconfirmed:
        options = " ".join(f"--confirm {target}" for target in unconfirmed)
        raise Refused(f"Refused, nothing was started: these targets are protected. Add {options}.")
    return orders


def _order(
    order: Order, target: str, config: Config, confirmed: Sequence[str]
) -> Order | UsageError:
    own = {"target": target, "confirm": target if target in confirmed else ""}
    parameters = order.parameters | {
        name: value for name, value in own.items() if name in order.parameters
    }
    try:
        return replace(order, target=config.target(target), parameters=parameters, resumes=None)
    except UsageError as error:
        return error


def _jobs() -> int:
    """Return how many runs to start at a time: they wait more than they compute."""
    return 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class _Crew:
    """Runs orders, several at a time, and updates the progress."""

    run_id: str
    """Of the summary."""
    config: Config
    stopped: Sequence[signal.Signals]
    server: ForkServer | None
    redactor: Redactor
    state: State

    def run(self, orders: Mapping[str, Order | UsageError], jobs: int) -> Iterator[int]:
        """Run all orders; yield how many have just ended, which may be none."""
        pool = ThreadPoolExecutor(jobs)
        try:
            futures = [pool.submit(self._note, *ordered) for ordered in orders.items()]
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, _TICK_S, FIRST_COMPLETED)
                yield len(ended)
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _note(self, target: str, order: Order | UsageError) -> None:
        self.state.running[target] = now()
        member = self._member(target, order)
        del self.state.running[target]
        self.state.done.append(member)

    def _member(self, target: str, order: Order | UsageError) -> Member:
        if self.stopped:
            return self._without_record(
                target, ExitCode.INTERRUPTED, "Not started: the run was interrupted."
            )
        try:
            if isinstance(order, UsageError):
                raise order
            ordered = replace(order, fleet=self.run_id)
            return _member(run_one(ordered, self.config, self.stopped, server=self.server))
        except OpsnbError as error:
            return self._without_record(target, error.exit_code, str(error))
        except Exception as error:  # noqa: BLE001 - a failure on one target must not stop the others
            why = f"The run failed: {type(error).__name__}: {error}"
            return self._without_record(target, ExitCode.BROKE, why)

    def _without_record(self, target: str, exit_code: int, sentence: str) -> Member:
        return Member(target, Status.UNKNOWN, exit_code, self.redactor.text(sentence))


def _member(result: RunResult) -> Member:
    worst = to_treat(result.counted)
    return Member(
        target=result.target,
        status=result.status,
        exit_code=result.exit_code,
        sentence=worst_sentence(result),
        run_id=result.run_id,
        started=result.started,
        seconds=result.seconds,
        remedies=tuple(remedies(worst, result)) if worst and not result.error else (),
    )


def _summary(
    begun: RunResult,
    ended: Sequence[Member],
    stopped: Sequence[signal.Signals],
    store: Store,
    stage: Stage,
) -> RunResult:
    """Keep the summary of the members that have `ended`, and return it."""
    executed = notebook(begun, ended)
    finished = max(now(), begun.started)
    result = begun.model_copy(
        update={
            "status": worst(member.status for member in ended),
            "exit_code": worst_exit_code(ended),
            "error": _interruption(ended, stopped),
            "findings": findings(executed),
            "finished": finished,
            "seconds": (finished - begun.started).total_seconds(),
        }
    )
    # The members' results are already free of their targets' secrets.
    return keep(store, stage, result, executed, Redactor(environment_secrets()))


def _interruption(ended: Sequence[Member], stopped: Sequence[signal.Signals]) -> str | None:
    interrupted = [member for member in ended if member.exit_code == ExitCode.INTERRUPTED]
    if not (interrupted and stopped):
        return None
    unstarted = sum(member.run_id is None for member in interrupted)
    return f"Interrupted by {stopped[0].name}; {unstarted} of {len(ended)} targets did not start."

"""A drill: a fault breaks the demo stack, an engineer fixes it, and the drill says when.

It is fixed when the diagnosis of the symptom and the diagnosis of an outage find nothing that they
had not found before the fault.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from opsnb import catalog
from opsnb.config.file import DEMO, Config
from opsnb.demo import faults, parts
from opsnb.demo.faults import Fault
from opsnb.errors import DemoError, ExitCode, Locked, OpsnbError
from opsnb.headless.execute import Ending, Limits, execute
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.order import Order, source_of
from opsnb.headless.result import begin
from opsnb.headless.run import fork_server
from opsnb.model import Finding, Row, RunResult, Status, now, worst
from opsnb.records.extract import findings
from opsnb.records.recovery import reap
from opsnb.records.spool import keep
from opsnb.records.staging import Stage, going_on
from opsnb.records.store import Store, new_run_id
from opsnb.records.verdict import worst_sentence
from opsnb.records.written import notebook
from opsnb.redaction import Redactor, environment_secrets
from opsnb.view import findings as view
from opsnb.view.formats import span
from opsnb.view.tables import rows_html, rows_text

LIMIT_S = 3600.0
"""The time limit of a drill, in seconds."""

_OUTAGE = "incidents/service_down"
_LOOK_LIMIT_S = 180.0
_PAUSE_S = 2.0
_POLL_S = 0.1
_RECORDS_LIMIT_S = 150.0
_IN_A_ROW = 2  # checks that find nothing: a single one may be luck

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Look:
    """The findings of the diagnoses at one moment."""

    at: datetime
    wrong: dict[str, Finding]
    """What is not ok, by its name."""


def practise(  # noqa: PLR0913 - what is practised, on which terms, and who watches it
    drill: Fault,
    config: Config,
    stopped: Sequence[signal.Signals] = (),
    *,
    limit_s: float = LIMIT_S,
    hint: bool = False,
    say: Say = lambda _: None,
    progress: Say = lambda _: None,
) -> RunResult:
    """Hold a drill on the demo stack, keep its record and return that.

    `say` gets what the engineer may know: the symptom, and with `hint` the command that diagnoses
    it. `progress` gets what the drill is doing. The drill ends when the stack is healthy, after
    `limit_s` seconds, or when a signal arrives in `stopped`. It clears the fault in any case.

    Raises, before it breaks anything, DemoError when the stack is not up or not healthy, Locked
    when a fault is already active, and ConfigError when the record cannot be stored.
    """
    store = Store(config.store)
    store.demand_writable()
    reap(store)
    parts.current(lambda _: None)  # raises when the stack is not up
    if faults.active():  # without its name: someone may be practising on it
        raise Locked(
            "Another fault is already active, perhaps of another drill. To see how to clear it: "
            "opsnb demo status"
        )
    order = _order(drill, config)
    with fork_server(order, None, once=False) as server:
        watch = _Watch(order, server, stopped)
        progress("Checking that the demo is healthy before the drill ...")
        before = watch.look()
        if drill.cause in before.wrong:
            raise DemoError(
                f"The demo is not healthy before the drill: {before.wrong[drill.cause].message} "
                "Fix that first, or start again with: opsnb demo down, opsnb demo up"
            )
        known = frozenset(before.wrong)
        return _Drill(drill, watch, store, known, limit_s, hint, say, progress).hold()


def not_well(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings of a diagnosis that report a problem."""
    return [finding for finding in findings if finding.status not in (Status.OK, Status.SKIPPED)]


def _order(drill: Fault, config: Config) -> Order:
    info = catalog.runbook(drill.runbook)
    target = config.target(DEMO)
    return Order(info, target, info.validate({"target": DEMO, **drill.parameters}))


@dataclass(frozen=True)
class _Watch:
    """Checks the target by running the diagnoses, without records."""

    order: Order
    server: ForkServer | None
    stopped: Sequence[signal.Signals]

    def look(self) -> _Look:
        """Return what is wrong. A diagnosis that fails counts as wrong.

        They run at the same time, because the engineer waits for the last one.
        """
        at = now()
        with ThreadPoolExecutor() as pool:
            wrong = chain.from_iterable(pool.map(self._wrong, self._orders()))
        return _Look(at, {finding.name: finding for finding in wrong})

    def _orders(self) -> Iterator[Order]:
        yield self.order
        if self.order.runbook.id != _OUTAGE:
            outage = catalog.runbook(_OUTAGE)
            values = outage.validate({"target": DEMO})
            yield replace(self.order, runbook=outage, parameters=values)

    def _wrong(self, order: Order) -> list[Finding]:
        done = execute(
            json.loads(source_of(order.runbook)),
            order.parameters,
            server=self.server,
            limits=Limits(_LOOK_LIMIT_S),
            ended=lambda: Ending(ExitCode.INTERRUPTED, "Interrupted.") if self.stopped else None,
        )
        wrong = not_well(findings(done.notebook))
        if done.error:
            failed = Finding(name=order.runbook.id, status=Status.UNKNOWN, message=done.error)
            wrong.insert(0, failed)
        return wrong


@dataclass(frozen=True)
class _Outcome:
    """How a drill ended."""

    came: datetime
    """When the fault took effect."""
    ended: datetime
    """When the stack was healthy, or the drill was given up."""
    exit_code: int = 0
    error: str | None = None
    """Why it ended before the stack was healthy."""
    wrong: Sequence[Finding] = ()
    """What was still wrong at that time."""

    @property
    def seconds(self) -> float:
        """The time from the fault to the end."""
        return max(0.0, (self.ended - self.came).total_seconds())


@dataclass(frozen=True)
class _Drill:
    """A drill that can begin."""

    drill: Fault
    watch: _Watch
    store: Store
    before: frozenset[str]
    """What was wrong before the fault, and does not count."""
    limit_s: float
    hint: bool
    say: Say
    progress: Say

    def hold(self) -> RunResult:
        """Inject the fault, wait, clear it, and store the record."""
        opening = self._opening()
        redactor = Redactor(self.watch.order.target.secrets | environment_secrets())
        stage = Stage.open(self.store, opening, self._notebook([]), redactor)
        try:
            outcome = self._work()
        except OpsnbError:  # nothing broke, so there is nothing to record
            stage.close()
            raise
        told = [self._finding(outcome), *outcome.wrong]
        result = opening.model_copy(
            update={
                "status": worst(finding.status for finding in told),
                "exit_code": outcome.exit_code,
                "error": outcome.error,
                "findings": told,
                "finished": outcome.ended,
                "seconds": (outcome.ended - opening.started).total_seconds(),
            }
        )
        return keep(self.store, stage, result, self._notebook(told), redactor)

    def _opening(self) -> RunResult:
        begun = begin(self.watch.order, source_of(self.watch.order.runbook))
        return begun.model_copy(
            update={
                "run_id": new_run_id(self.drill.id, DEMO, begun.started),
                "runbook": self.drill.id,
                "title": f"Drill: {self.drill.name}",
                "parameters": {},
                "error": "The drill was killed. To clear the fault: "
                f"opsnb demo fault {self.drill.name} --clear",
            }
        )

    def _work(self) -> _Outcome:
        """Inject the fault, wait until the stack is healthy, and clear the fault."""
        self.progress("Injecting a fault; this takes up to a minute ...")
        try:
            faults.inject(self.drill.name)
            came = now()
            self._tell(came)
            outcome = self._wait(came)
        except BaseException:
            with suppress(OpsnbError):  # the first error counts
                faults.clear(self.drill.name)
            raise
        return self._cleared(outcome)

    def _tell(self, came: datetime) -> None:
        self.say(f"{came:%H:%M:%S} UTC  {self.drill.symptom}")
        if self.hint:
            self.say(f"An alert would name this runbook:\n  {self.drill.command}")
        self.say("Work in another terminal. This one says when it is fixed. Ctrl-C gives up.")
        self.progress("Checking ...")

    def _cleared(self, outcome: _Outcome) -> _Outcome:
        """Clear the fault; if that fails, the outcome says so."""
        self.progress("Clearing the fault ...")
        try:
            faults.clear(self.drill.name)
        except OpsnbError as error:
            told = " ".join(filter(None, (outcome.error, str(error))))
            return replace(outcome, exit_code=error.exit_code, error=told)
        return outcome

    def _wait(self, came: datetime) -> _Outcome:
        well_since: list[datetime] = []
        wrong: list[Finding] = []
        while not (ending := self._ending(came)):
            seen = self.watch.look()
            wrong = [finding for name, finding in seen.wrong.items() if name not in self.before]
            well_since = [] if wrong else [*well_since, seen.at]
            if len(well_since) == _IN_A_ROW:
                return _Outcome(came, well_since[0])
            # The engineer has to find out what is wrong.
            state = "not fixed yet" if wrong else "all checks are ok, checking once more"
            self.progress(f"{span((now() - came).total_seconds())} so far, {state} ...")
            self._pause()
        return _Outcome(came, now(), ending.exit_code, ending.reason, wrong)

    def _ending(self, came: datetime) -> Ending | None:
        after = (now() - came).total_seconds()
        if self.watch.stopped:
            return Ending(ExitCode.INTERRUPTED, f"Given up after {span(after)}.")
        if after > self.limit_s:
            return Ending(ExitCode.TIMED_OUT, f"Not fixed after {span(after)}.")
        return None

    def _pause(self) -> None:
        ends = time.monotonic() + _PAUSE_S
        while time.monotonic() < ends and not self.watch.stopped:
            time.sleep(_POLL_S)

    def _finding(self, outcome: _Outcome) -> Finding:
        """Return the outcome of the drill."""
        ended = outcome.error or f"Fixed in {span(outcome.seconds)}."
        cause = f"Cause: {self.drill.description}"
        story = self._story(outcome)
        ran = ", ".join(dict.fromkeys(str(row["runbook"]) for row in story)) or "nothing"
        return Finding(
            name="drill.outcome",
            title="Given up" if outcome.error else "Fixed",
            status=Status.CRIT if outcome.error else Status.OK,
            message=f"{ended} {cause} You ran: {ran}.",
            value=round(outcome.seconds, 1),
            unit="s",
            rows=story,
            started=outcome.came,
            seconds=outcome.seconds,
        )

    def _story(self, outcome: _Outcome) -> list[Row]:
        """Return the runs during the drill, the oldest first.

        The run that fixed it may still be watching; this waits for its record.
        """
        ends = time.monotonic() + _RECORDS_LIMIT_S
        while going_on(self.store, DEMO, outcome.ended) and time.monotonic() < ends:
            self.progress("Waiting for a run to end ...")
            self._pause()
        results = self.store.results(target=DEMO, since=outcome.came)
        runs = [run for run in reversed(list(results)) if run.started <= outcome.ended]
        return [
            {
                "after": span((run.started - outcome.came).total_seconds()),
                "runbook": run.runbook,
                "status": run.status,
                "applied": ", ".join(each.name for each in run.actions if each.applied),
                "reported": worst_sentence(run),
                "run": run.run_id,
            }
            for run in runs
        ]

    def _notebook(self, told: Sequence[Finding]) -> dict[str, Any]:
        text = (
            f"# Drill: {self.drill.name}\n\n{self.drill.symptom}\n\n"
            f"Diagnose it: `{self.drill.command}`\n"
        )
        shown = [*map(view.finding_data, told), *map(self._meanwhile, told[:1])]
        return notebook(text, "What you ran, and whether it helped.", shown)

    def _meanwhile(self, outcome: Finding) -> dict[str, Any]:
        """Return the runs between the symptom and the end, as an output of the notebook."""
        title = f"{outcome.started:%H:%M:%S} UTC: {self.drill.symptom}"
        return {
            "text/html": view.titled_html(title, rows_html(outcome.rows)),
            "text/plain": f"{title}\n{rows_text(outcome.rows)}",
        }

"""The session of a notebook: it runs checks and actions on a target and shows the results."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from IPython.core.getipython import get_ipython

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.actions.journal import Journal, continued
from opsnb.checks import evidence
from opsnb.checks.check import Check, title_of
from opsnb.checks.latest import Latest
from opsnb.checks.ranking import ranked
from opsnb.checks.running import Findings, Measurement
from opsnb.checks.watching import Series, Watched
from opsnb.config.file import load_target
from opsnb.config.settings import Table
from opsnb.config.systems import systems
from opsnb.config.target import Target
from opsnb.errors import (
    Misconfigured,
    NotConfigured,
    ServiceError,
    TimedOut,
    Unreachable,
    UsageError,
)
from opsnb.model import (
    PROGRESS_MIME,
    SESSION_KEY,
    ActionRecord,
    Finding,
    Row,
    Status,
    Threshold,
    now,
)
from opsnb.records import frames
from opsnb.redaction import Redactor, environment_secrets, outside
from opsnb.view import charts
from opsnb.view import findings as view
from opsnb.view.display import Display

if TYPE_CHECKING:
    from pandas import DataFrame

P = ParamSpec("P")
_MOST_NAMES = 12
_MOST_SESSIONS = 100
_SESSIONS: list[Runbook] = []
"""The sessions that cells may still use, the latest last."""


class Runbook:
    """A session on one target, named as in `opsnb.toml`. Raises UnknownTarget, ConfigError.

    With `apply`, actions are applied, else only planned; on a protected target, `confirm` must be
    its name too. A run that continues another verifies what that run applied, without repeating it.
    """

    def __init__(self, target: str, *, apply: bool = False, confirm: str = "") -> None:
        self.target: Target = load_target(target)
        redactor = Redactor(self.target.secrets | environment_secrets())
        outside.session(self.target.secrets)
        self._display = Display(self.target.name, redactor)
        self._guard = Guard(
            self.target,
            apply,
            confirm,
            self._display.action,
            journal=Journal.of_run(),
            redactor=redactor,
            continued=continued(),
        )
        self._latest = Latest(self.target)
        places = [f"{name} {place}" for name, place in self.target.describe().items() if place]
        self._display.text(
            f"Target {self.target.name}: {', '.join(places)}. {now():%F %H:%M} UTC.",
            metadata={SESSION_KEY: self._state},
        )
        _SESSIONS[:] = [*_SESSIONS[-_MOST_SESSIONS:], self]

    @property
    def _state(self) -> dict[str, Any]:
        """The state of this session, for the page around the notebook."""
        named = not self.target.protected or self._guard.confirm == self.target.name
        return {
            "target": self.target.name,
            "protected": self.target.protected,
            "armed": self._guard.apply and named,
        }

    def announce(self) -> None:
        """Show this session's state on the page, without an output in the notebook."""
        self._display.show({"text/plain": ""}, {SESSION_KEY: self._state})

    def disarm(self) -> None:
        """Only plan from now on; an action that has begun continues."""
        self._guard = replace(self._guard, apply=False, confirm="")

    def only(self, names: Callable[[Target], Sequence[str]], chosen: str) -> str:
        """Return `chosen`; when it is empty, the only one of the `names` that the target has.

        Empty when the target does not respond, which the checks then report. Raises UsageError
        unless there is exactly one to choose from.
        """
        if chosen:
            return chosen
        what = title_of(names)
        try:
            known = list(names(self.target))
        except (Unreachable, TimedOut, NotConfigured, Misconfigured):
            return ""
        except ServiceError as error:
            raise UsageError(f"Name one of the {what}: they cannot be listed. {error}") from None
        if len(known) != 1:
            raise UsageError(
                f"Target {self.target.name} has {len(known)} {what}; name one of them: "
                f"{', '.join(known[:_MOST_NAMES])}{' ...' if len(known) > _MOST_NAMES else ''}"
            )
        return known[0]

    def check(self, check: Check[P], *args: P.args, **kwargs: P.kwargs) -> Finding:
        """Run one check and show its finding."""
        *causes, finding = self._latest.measure([check.given(*args, **kwargs)])
        for shown in (*causes, finding):
            self._display.finding(shown)
        return finding

    def check_all(self, *checks: Check[[]]) -> Findings:
        """Run the checks at the same time; show all of them, the worst on top, then the numbers.

        A check that takes arguments gets them by `check.given(...)`.
        """
        clock = time.perf_counter()
        findings = self._latest.measure(checks)
        took = f"{time.perf_counter() - clock:.1f} s"
        self._display.findings(findings, f"({view.summary(findings)} in {took})")
        return findings

    def diagnose(self, symptom: Check[[]], *causes: Check[[]]) -> Findings:
        """Measure a symptom and all its possible causes at the same time, and rank the causes.

        Shows and returns the symptom, the causes with their evidence and remedies, the likeliest
        first, then those that could not be measured, and those that are ruled out. A cause that
        takes arguments gets them by `check.given(...)`.
        """
        clock = time.perf_counter()
        self._latest.relate(symptom, causes)
        diagnosis = ranked(symptom.name, self._latest.measure([symptom, *causes]))
        took = f"{time.perf_counter() - clock:.1f} s"
        self._display.headline(diagnosis.findings, f"{diagnosis.words} Measured in {took}.")
        self._display.finding(diagnosis.symptom)
        if diagnosis.causes:
            self._display.heading("Causes, the likeliest first")
        for place, finding in enumerate(diagnosis.causes, 1):
            self._display.finding(finding, place)
        for findings in filter(None, (diagnosis.unmeasured, diagnosis.ruled_out)):
            self._display.set_aside(findings)
        return diagnosis.findings

    def recheck(self) -> Findings:
        """After an action, measure again what was not ok and has not been measured since.

        The later finding counts in the status and exit code of the run. Without an action, and in
        a dry run, nothing is measured.
        """
        findings = self._latest.measure_again()
        if findings:
            self._display.heading("Measured again after the action")
        for finding in findings:
            self._display.finding(finding)
        return findings

    def watch(self, *series: Series, every_s: float, for_s: float) -> Findings:
        """Measure `series` repeatedly, and draw their values over time.

        An alert is reported once when it begins and once when it ends. A failed sample is a gap in
        the chart. An interrupt ends the watch early and keeps its samples. Returns a finding for
        each series.
        """
        watched = [Watched(one) for one in series]
        canvas, began = f"watch-{token_hex(4)}", time.monotonic()
        drawn_at, drawing_s, is_drawn = began, 0.0, False
        try:
            for sample in itertools.count():
                time.sleep(max(0.0, began + sample * every_s - time.monotonic()))
                self._sample(watched)
                self._show_numbers(watched, canvas, update=sample > 0)
                if began + (sample + 1) * every_s > began + for_s:
                    break
                # Drawing takes a moment: at most a tenth of the time goes into it.
                if time.monotonic() - drawn_at > 10 * drawing_s:
                    clock = time.monotonic()
                    self._draw(watched, canvas, update=is_drawn)
                    drawn_at, is_drawn = time.monotonic(), True
                    drawing_s = drawn_at - clock
        except KeyboardInterrupt:
            self._display.text("You ended the watch.")
        self._draw(watched, canvas, update=is_drawn)
        findings = Findings(one.finding() for one in watched)
        for finding in findings:
            self._display.finding(finding)
        return findings

    def _show_numbers(self, watched: Sequence[Watched], canvas: str, *, update: bool) -> None:
        """Show the newest numbers in place of the last; a terminal shows no charts."""
        lines = [one.newest for one in watched]
        data = {
            PROGRESS_MIME: {"lines": lines},
            "text/html": "<br>".join(map(escape, lines)),
            "text/plain": "\n".join(lines),
        }
        self._display.show(data, transient={"display_id": f"{canvas}-numbers"}, update=update)

    def _sample(self, watched: Sequence[Watched]) -> None:
        # In a new measurement, as systems that were down may be up again.
        findings = Measurement(self.target).run([one.series.check for one in watched])
        at = now()
        for one in watched:
            for sentence in one.add(at, findings[one.series.check.name]):
                self._display.text(sentence)

    def _draw(self, watched: Sequence[Watched], canvas: str, *, update: bool) -> None:
        """Draw the charts, in place of those drawn before."""
        drawn = [charts.lines(one.over_time(), over="at") for one in watched]
        self._display.charts(drawn, transient={"display_id": canvas}, update=update)

    def show(
        self,
        read: Callable[Concatenate[Target, P], Sequence[Row]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Show the rows that `read` returns, under the first line of its docstring."""
        title = title_of(read)
        try:
            with outside.reading(self.target.secrets), evidence.collected() as gaps:
                rows = self._display.redactor.rows(read(self.target, *args, **kwargs))
        except ServiceError as error:
            self._display.text(f"{title}: {error}")
            return
        if gaps:
            self._display.text(f"{title}: incomplete. {evidence.sentence(gaps)}")
        if rows:
            self._display.rows(title, rows)
        elif not gaps:
            self._display.text(f"{title}: none.")

    def act(self, action: Action[P], *args: P.args, **kwargs: P.kwargs) -> ActionRecord:
        """Plan an action and show the plan; with `apply`, apply it and show its measured effect.

        Raises Refused if it is not confirmed, the state has changed since the plan, or an
        interrupted run left an unknown rest; UsageError if what it names does not exist.
        """
        record, findings = self._guard.act(action, *args, **kwargs)
        if record.begun:
            self._latest.action_begun()
        for finding in findings:
            self._display.finding(finding)
        return record

    def chart(self, *drawn: charts.Chart) -> None:
        """Show charts side by side."""
        self._display.charts(drawn)

    def history(self, check: Check[...] | str, *, days: float = 30) -> DataFrame:
        """Return the recorded findings of a check on this target, the oldest first.

        A frame with `time` (UTC), `status`, `value`, `unit`, `run_id`; empty without records.
        """
        name = check if isinstance(check, str) else check.name
        return frames.history(self.target, name, days)

    def records(self, *runbooks: str, days: float = 30) -> DataFrame:
        """Return the recorded runs on this target, of `runbooks` or of all, the oldest first.

        A frame with `time` (UTC), `runbook`, `status`, `exit_code`, `seconds`, `operator`,
        `trigger`, `incident`, the numbers of `findings` and `actions`, and `run_id`.
        """
        return frames.records(self.target, days, runbooks)


def _models(model: type[Table]) -> Iterator[type[Table]]:
    """Yield the tables of `opsnb.toml`, which are built when they are first used."""
    for each in model.__subclasses__():
        yield each
        yield from _models(each)


def warm_up() -> None:
    """Prepare what the first session of a process would: tables, templates and patterns.

    Reads no configuration and opens no connection, so that processes may be forked afterwards.
    """
    systems()
    for model in _models(Table):
        model.model_rebuild()
    shown = Display("", Redactor(["warm-up"]))
    finding = Finding(
        name="warm.up",
        status=Status.OK,
        message="Nothing is measured.",
        value=1,
        threshold=Threshold(metric="", label="", unit="", warn=2),
        rows=[{"part": "one"}],
    )
    shown.redactor.bundle(view.finding_data(shown.redactor.result(finding)))
    shown.redactor.bundle({"text/html": view.headline_html(Status.OK, "")})


def disarm() -> None:
    """Make every session of this kernel, and new ones, only plan until a cell sets `apply` again.

    JupyterLab calls it when a notebook is opened whose kernel still runs.
    """
    shell = get_ipython()
    if shell is not None:
        off = {"apply": False, "confirm": ""}
        shell.user_ns.update({name: off[name] for name in off.keys() & shell.user_ns.keys()})
    for session in _SESSIONS:
        session.disarm()
    if _SESSIONS:
        _SESSIONS[-1].announce()

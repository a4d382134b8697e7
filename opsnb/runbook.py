"""The session of a notebook: it hands the target to checks and actions and shows what came out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from secrets import token_hex
from typing import Any, Concatenate, ParamSpec

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.actions.journal import Journal, continued
from opsnb.checks import evidence
from opsnb.checks.check import Check, title_of
from opsnb.checks.ranking import ranked, with_causes, without_causes
from opsnb.checks.running import REACHABLE, Findings, Measurement
from opsnb.checks.watching import Series, Watched
from opsnb.config.file import load_target
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
    ACTION_MIME,
    PROGRESS_MIME,
    SESSION_KEY,
    TABLE_MIME,
    TARGET_KEY,
    ActionRecord,
    Finding,
    Row,
    Status,
    Table,
    now,
    worst,
)
from opsnb.redaction import Redactor, environment_secrets, outside
from opsnb.view import charts
from opsnb.view import findings as view
from opsnb.view.terminal import visible

P = ParamSpec("P")
_MOST_NAMES = 12
_LONG_GAP = 100  # characters of what could not be seen, which are not said twice
_MOST_SESSIONS = 100
_SESSIONS: list[Runbook] = []
"""Those that cells may still use, the latest last."""


class Runbook:
    """A session on one target, named as in `opsnb.toml`. Raises UnknownTarget, ConfigError.

    With `apply` actions are done, else only planned; on a protected target also `confirm` must be
    its name. In a run that continues another, what that one applied is verified and not repeated.
    """

    def __init__(self, target: str, *, apply: bool = False, confirm: str = "") -> None:
        self.target: Target = load_target(target)
        self._redactor = Redactor(self.target.secrets | environment_secrets())
        outside.session(self.target.secrets)
        self._guard = Guard(
            self.target,
            apply,
            confirm,
            self._show_action,
            journal=Journal.of_run(),
            redactor=self._redactor,
            continued=continued(),
        )
        self._told: set[str] = set()  # the actions whose journal stands in the notebook already
        self._measurement = Measurement(self.target)
        self._acted = False
        self._symptoms: dict[str, str] = {}  # by the name of the cause
        self._latest: dict[str, tuple[Check[[]], Finding]] = {}  # by what was measured
        self._down: list[Finding] = []  # systems that were found to be down without a probe
        self._gaps: dict[str, str] = {}  # the finding that said first what could not be seen
        self._unknown_for: dict[str, str] = {}  # the same of findings that are unknown
        places = [f"{name} {place}" for name, place in self.target.describe().items() if place]
        self._publish_text(
            f"Target {self.target.name}: {', '.join(places)}. {now():%F %H:%M} UTC.",
            metadata={SESSION_KEY: self._state},
        )
        _SESSIONS[:] = [*_SESSIONS[-_MOST_SESSIONS:], self]

    @property
    def _state(self) -> dict[str, Any]:
        """What a page shows of this session beside the notebook."""
        named = not self.target.protected or self._guard.confirm == self.target.name
        return {
            "target": self.target.name,
            "protected": self.target.protected,
            "armed": self._guard.apply and named,
        }

    def announce(self) -> None:
        """Have the page show this session's state; nothing is added to the notebook."""
        self._display({"text/plain": ""}, {SESSION_KEY: self._state})

    def disarm(self) -> None:
        """Only plan from now on; an action that has begun is not stopped."""
        self._guard = replace(self._guard, apply=False, confirm="")

    def only(self, names: Callable[[Target], Sequence[str]], chosen: str) -> str:
        """Return `chosen`; when it is empty, the only one of the `names` that the target has.

        Also empty when the target cannot be asked, which the checks then report. Raises
        UsageError when there is none or more than one to choose from.
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
        *causes, finding = self._measure([check.given(*args, **kwargs)])
        for shown in (*causes, finding):
            self._publish(shown)
        return finding

    def check_all(self, *checks: Check[[]]) -> Findings:
        """Run the checks at the same time; show all of them, the worst on top, then the numbers.

        A check that takes arguments is given them by `check.given(...)`.
        """
        clock = time.perf_counter()
        found = self._measure(checks)
        status = worst(finding.status for finding in found)
        words = f"{view.summary(found)} in {time.perf_counter() - clock:.1f} s"
        text = f"{self.target.name}: {status.upper()} ({words})"
        self._display({"text/html": view.headline_html(status, words), "text/plain": text})
        for finding in view.worst_first(found):
            self._publish(finding)
        self._display(
            {
                "text/html": view.findings_table_html(found),
                "text/plain": view.findings_table_text(found),
            }
        )
        return found

    def diagnose(self, symptom: Check[[]], *causes: Check[[]]) -> Findings:
        """Measure a symptom and everything that may cause it at the same time, and rank the causes.

        Shown are the symptom, then the causes that were found, the likeliest first, each with its
        evidence and the runbook that treats it; then what could not be measured, and what was ruled
        out. Causes that take arguments are given them by `check.given(...)`. Returns the findings
        in that order.
        """
        clock = time.perf_counter()
        self._symptoms |= {cause.name: symptom.name for cause in causes}
        found = ranked(symptom.name, self._measure([symptom, *causes]))
        words = f"{found.words} Measured in {time.perf_counter() - clock:.1f} s."
        text = f"{self.target.name}: {found.status.upper()} {words}"
        self._display({"text/html": view.headline_html(found.status, words), "text/plain": text})
        self._publish(found.symptom)
        if found.causes:
            heading = "Found, the likeliest cause first"
            self._display({"text/html": view.heading_html(heading), "text/plain": heading})
        for place, finding in enumerate(found.causes, 1):
            self._publish(finding, place)
        for findings in filter(None, (found.unmeasured, found.ruled_out)):
            self._display(view.set_aside_data(self._safe(findings)))
        return found.findings

    def recheck(self) -> Findings:
        """Measure again, after an action, what was not ok and has not been measured since.

        What is measured again counts as it is then, in the status and the exit code of the run.
        Before an action, and in a dry run, nothing is measured.
        """
        changed = evidence.last_change()
        if changed is None or not self._acted:
            return Findings()
        stale = [
            (check, finding)
            for check, finding in self._latest.values()
            if finding.status is not Status.OK and finding.started.timestamp() < changed
        ]
        down = [finding for finding in self._down if finding.started.timestamp() < changed]
        checks = [check for check, _ in stale]
        found = Findings(self._measure(checks)) if checks else Findings()
        found += self._up_again(down, checks, found)
        for symptom in dict.fromkeys(self._symptoms.values()):
            found = with_causes(symptom, found)
        if found:
            heading = "Measured again after the action"
            self._display({"text/html": view.heading_html(heading), "text/plain": heading})
        for finding in found:
            self._publish(finding)
        return found

    def _measure(self, checks: Sequence[Check[[]]]) -> Findings:
        """Run `checks`, and remember what they found."""
        found = Findings(map(self._related, self._measurement.run(checks)))
        by_key = {(check.name, str(check.arguments)): check for check in checks}
        for finding in found:
            if check := by_key.get((finding.name, str(finding.arguments))):
                self._latest[finding.key] = check, finding
            else:
                self._down.append(finding)
        return found

    def _related(self, finding: Finding) -> Finding:
        """Return `finding` as it stands to those before: as a cause, without the same gaps."""
        if finding.name in self._symptoms:
            of = {"is_cause": True, "cause_of": self._symptoms[finding.name]}
            finding = finding.model_copy(update=of)
        elif finding.name in self._symptoms.values():
            finding = without_causes(finding)
        return self._without_repeated_gaps(finding)

    def _up_again(
        self, down: Sequence[Finding], checks: Sequence[Check[[]]], found: Findings
    ) -> list[Finding]:
        """Return a finding for each system that was down and answered one of `checks` now."""
        answered = {
            system
            for check, finding in zip(checks, (found[each.name] for each in checks), strict=True)
            if finding.is_measured
            for system in check.needs
        }
        return [
            Finding(
                name=finding.name, title=finding.title, status=Status.OK, message="Responds again."
            )
            for finding in down
            if finding.name.removesuffix(REACHABLE) in answered
        ]

    def _without_repeated_gaps(self, finding: Finding) -> Finding:
        """Return `finding`; what an earlier one says that it could not see is only referred to."""
        gaps = [*finding.evidence.gaps, *finding.evidence.extras]
        words = evidence.sentence([evidence.Gap(gap) for gap in gaps])
        # The first that is unknown for it says it in full, also where another lacked it before.
        said = self._unknown_for if finding.status is Status.UNKNOWN else self._gaps
        first = {self._unknown_for.get(gap) or said.setdefault(gap, finding.name) for gap in gaps}
        is_new = finding.name in first or not finding.message.endswith(words)
        if is_new or len(words) < _LONG_GAP:
            return finding
        rest = finding.message.removesuffix(words)
        message = f"{rest}Not seen: as in {' and '.join(sorted(first))}."
        return finding.model_copy(update={"message": message})

    def watch(self, *series: Series, every_s: float, for_s: float) -> Findings:
        """Look at the numbers of `series` again and again, and draw their course as it grows.

        Each alert is reported once when it begins and once when it ends. A sample that fails is a
        gap in the course. An interrupt ends the watch early, and what was seen is kept. Returns one
        finding for each series.
        """
        watched = [Watched(each) for each in series]
        canvas, began = f"watch-{token_hex(4)}", time.monotonic()
        drawn_at, drawing_s, is_drawn = began, 0.0, False
        for look in itertools.count():
            try:
                time.sleep(max(0.0, began + look * every_s - time.monotonic()))
                self._look(watched)
                self._publish_numbers(watched, canvas, update=look > 0)
            except KeyboardInterrupt:
                self._publish_text("The watch was ended by hand.")
                break
            is_last = began + (look + 1) * every_s > began + for_s
            # Drawing takes a moment: not more than a tenth of the time goes into it.
            if not is_last and time.monotonic() - drawn_at > 10 * drawing_s:
                clock = time.monotonic()
                self._draw(watched, canvas, update=is_drawn)
                drawn_at, is_drawn = time.monotonic(), True
                drawing_s = drawn_at - clock
            if is_last:
                break
        self._draw(watched, canvas, update=is_drawn)
        found = Findings(each.finding() for each in watched)
        for finding in found:
            self._publish(finding)
        return found

    def _publish_numbers(self, watched: Sequence[Watched], canvas: str, *, update: bool) -> None:
        """Show the newest numbers, in place of those before; a terminal shows no charts."""
        lines = [each.newest for each in watched]
        data = {
            PROGRESS_MIME: {"lines": lines},
            "text/html": "<br>".join(map(escape, lines)),
            "text/plain": "\n".join(lines),
        }
        self._display(data, transient={"display_id": f"{canvas}-numbers"}, update=update)

    def _look(self, watched: Sequence[Watched]) -> None:
        # A measurement of its own: what was down a moment ago may be up again.
        found = Measurement(self.target).run([each.series.check for each in watched])
        at = now()
        for each in watched:
            for sentence in each.add(at, found[each.series.check.name]):
                self._publish_text(sentence)

    def _draw(self, watched: Sequence[Watched], canvas: str, *, update: bool) -> None:
        """Draw the courses, in place of what was drawn of them before."""
        drawn = [charts.lines(each.course(), over="at") for each in watched]
        data = {"text/html": charts.grid_html(drawn), "text/plain": charts.grid_text(drawn)}
        self._display(data, transient={"display_id": canvas}, update=update)

    def show(
        self,
        look: Callable[Concatenate[Target, P], Sequence[Row]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Show the rows that `look` returns, under the first line of its docstring."""
        title = title_of(look)
        try:
            with outside.reading(self.target.secrets), evidence.collected() as gaps:
                rows = self._redactor.rows(look(self.target, *args, **kwargs))
        except ServiceError as error:
            self._publish_text(f"{title}: {error}")
            return
        if gaps:
            self._publish_text(f"{title}: seen in part. {evidence.sentence(gaps)}")
        if not rows:
            if not gaps:
                self._publish_text(f"{title}: none.")
            return
        table = Table(title=title, rows=rows[: view.MOST_ROWS], total=len(rows))
        self._display(
            {
                TABLE_MIME: table.model_dump(mode="json"),
                "text/html": view.titled_html(title, view.rows_html(rows)),
                "text/plain": f"{title}\n{view.rows_text(rows)}",
            }
        )

    def act(self, action: Action[P], *args: P.args, **kwargs: P.kwargs) -> ActionRecord:
        """Plan an action and show the plan; with `apply`, do it and show its measured effect.

        Raises Refused when it is not confirmed, the current state is not that of the plan, or a
        run was interrupted in it and what is left cannot be known; UsageError when what it names
        does not exist.
        """
        record, found = self._guard.act(action, *args, **kwargs)
        if record.begun:
            self._acted = True
            self._measurement.forget()
        for finding in found:
            self._publish(finding)
        return record

    def chart(self, *drawn: charts.Chart) -> None:
        """Show charts side by side."""
        self._display({"text/html": charts.grid_html(drawn), "text/plain": charts.grid_text(drawn)})

    def _publish(self, finding: Finding, rank: int | None = None) -> None:
        (safe,) = self._safe([finding])
        self._display(view.finding_data(safe, rank))

    def _safe(self, findings: Sequence[Finding]) -> list[Finding]:
        # Redacted before they are drawn: in HTML the shapes of secrets are harder to see.
        return [self._redactor.result(finding) for finding in findings]

    def _show_action(self, record: ActionRecord) -> None:
        """Show the journal of an action, in place of what it said before."""
        self._display(
            {
                ACTION_MIME: record.model_dump(mode="json"),
                "text/html": view.action_html(record),
                "text/plain": view.action_text(record),
            },
            transient={"display_id": record.id},
            update=record.id in self._told,
        )
        self._told.add(record.id)

    def _publish_text(self, text: str, metadata: dict[str, Any] | None = None) -> None:
        self._display(
            {"text/html": f'<div style="opacity:.75">{escape(text)}</div>', "text/plain": text},
            metadata,
        )

    def _display(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None, **how: Any
    ) -> None:
        """Emit `data` into the notebook, or print its plain form where there is no notebook."""
        safe = self._redactor.bundle(data)
        if get_ipython() is None:
            print(visible(safe["text/plain"]))  # noqa: T201 - a plain script has no other output
        else:
            of = {TARGET_KEY: self.target.name, **(metadata or {})}
            publish_display_data(safe, metadata=of, **how)  # type: ignore[no-untyped-call]


def disarm() -> None:
    """Have every session of this kernel only plan, and new ones too until a cell says otherwise.

    JupyterLab runs it when a notebook is opened whose kernel still runs.
    """
    shell = get_ipython()
    if shell is not None:
        shell.user_ns.update(
            {
                name: value
                for name, value in (("apply", False), ("confirm", ""))
                if name in shell.user_ns
            }
        )
    for session in _SESSIONS:
        session.disarm()
    if _SESSIONS:
        _SESSIONS[-1].announce()

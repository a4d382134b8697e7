"""The session of a notebook: it hands the target to checks, bounds them, and shows what came out.

One cause raises one alarm. A check that `probes` a system reports when it is down; what `needs`
that system is then `skipped` and says why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, ParamSpec

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from opsnb import charts, view
from opsnb.check import Check
from opsnb.errors import NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.model import FINDING_MIME, Finding, Status, now, worst
from opsnb.redaction import Redactor, environment_secrets
from opsnb.target import Target, load_target

P = ParamSpec("P")


class Findings(list[Finding]):
    """What `check_all` found, in the order asked for; also by name: `found["host.disk"]`."""

    def __getitem__(self, key: Any) -> Any:
        """Return the finding at an index, or the one with a name."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for finding in self:
            if finding.name == key:
                return finding
        names = ", ".join(finding.name for finding in self)
        raise KeyError(f"There is no finding '{key}' here; there are {names}.")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Say little as the last value of a cell: the findings have been shown."""
        return {"text/plain": view.summary(self)}


class Runbook:
    """A session on one target, named as in `opsnb.toml`. Raises UnknownTarget, ConfigError."""

    def __init__(self, target: str) -> None:
        self.target: Target = load_target(target)
        self._redactor = Redactor(self.target.secrets | environment_secrets())
        self._down: dict[str, str] = {}  # system -> the finding that reports that it is down
        places = [f"{name} {place}" for name, place in self.target.describe().items() if place]
        self._publish_text(f"Target {self.target.name}: {', '.join(places)}. {now():%F %H:%M} UTC.")

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

    def chart(self, *drawn: charts.Chart) -> None:
        """Show charts side by side."""
        self._display({"text/html": charts.grid_html(drawn), "text/plain": charts.grid_text(drawn)})

    def _measure(self, checks: Sequence[Check[[]]]) -> Findings:
        attempts = [
            None if self._is_blocked(check) else _Attempt(check, self.target) for check in checks
        ]
        outcomes = [attempt.outcome() if attempt else None for attempt in attempts]
        for check, outcome in zip(checks, outcomes, strict=True):
            self._note_reachability(check, outcome)
        found = Findings()
        for check, outcome in zip(checks, outcomes, strict=True):
            if isinstance(outcome, Unreachable) and outcome.system not in self._down:
                cause = _unreachable(outcome)
                self._down[outcome.system] = cause.name
                found.append(cause)
            found.append(self._finding(check, outcome))
        return found

    def _is_blocked(self, check: Check[[]]) -> bool:
        """Say whether a system that `check` needs is known to be down, so that it need not try."""
        return any(system in self._down for system in check.needs)

    def _note_reachability(self, check: Check[[]], outcome: Finding | Exception | None) -> None:
        if check.probes is None:
            return
        self._down.pop(check.probes, None)
        if isinstance(outcome, ServiceError) and not isinstance(outcome, NotConfigured):
            self._down[check.probes] = check.name

    def _finding(self, check: Check[[]], outcome: Finding | Exception | None) -> Finding:
        if isinstance(outcome, Finding) and outcome.status is Status.OK:
            return outcome
        down = [system for system in check.needs if system in self._down]
        if down:
            return _finding(
                check,
                Status.SKIPPED,
                f"Not measured: {down[0]} is down, see {self._down[down[0]]}.",
                caused_by=self._down[down[0]],
            )
        if isinstance(outcome, Finding):
            return outcome
        return _failed(check, outcome)

    def _publish(self, finding: Finding) -> None:
        self._display(
            {
                FINDING_MIME: finding.model_dump(mode="json"),
                "text/html": view.finding_html(finding),
                "text/plain": view.finding_text(finding),
            }
        )

    def _publish_text(self, text: str) -> None:
        self._display({"text/html": f'<div style="opacity:.75">{text}</div>', "text/plain": text})

    def _display(self, data: dict[str, Any]) -> None:
        """Emit `data` into the notebook, or print its plain form where there is no notebook."""
        safe = self._redactor.tree(data)
        if get_ipython() is None:
            print(safe["text/plain"])  # noqa: T201 - a plain script has no other output
        else:
            publish_display_data(safe)  # type: ignore[no-untyped-call]


class _Attempt:
    """One check, under way in a thread of its own from the beginning.

    A daemon thread, because a check may hang in a call that nothing can interrupt, and the
    kernel must be able to end all the same.
    """

    def __init__(self, check: Check[[]], target: Target) -> None:
        self.check = check
        self._target = target
        self._result: Finding | Exception | None = None
        self._ends = time.monotonic() + check.limit_s
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def outcome(self) -> Finding | Exception:
        """Wait for the check, no longer than its time limit, and return what came of it."""
        self._thread.join(max(0.0, self._ends - time.monotonic()))
        if self._result is not None:
            return self._result
        return TimedOut(
            self.check.probes or "",
            f"{self.check.title} could not be measured within {self.check.limit_s:g} s.",
        )

    def _run(self) -> None:
        try:
            self._result = self.check(self._target)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong becomes a finding
            self._result = error


def _finding(
    check: Check[[]], status: Status, message: str, *, caused_by: str | None = None
) -> Finding:
    return Finding(
        name=check.name, title=check.title, status=status, message=message, caused_by=caused_by
    )


def _failed(check: Check[[]], error: Exception | None) -> Finding:
    """Return the finding for a check that raised `error`."""
    if isinstance(error, NotConfigured):
        return _finding(check, Status.SKIPPED, str(error))
    if isinstance(error, ServiceError):
        # Only the check that probes a system may call it down; to the others it is unmeasured.
        status = Status.CRIT if check.probes == error.system else Status.UNKNOWN
        return _finding(check, status, str(error))
    return _finding(
        check, Status.UNKNOWN, f"The check itself failed: {type(error).__name__}: {error}"
    )


def _unreachable(error: Unreachable) -> Finding:
    """Return the finding for a system that is down though no check of this run probes it."""
    return Finding(
        name=f"{error.system}.reachable",
        title=f"{error.system} answers",
        status=Status.CRIT,
        message=str(error),
    )

"""Run checks at the same time, each within its time limit, and turn failures into findings.

One cause raises one alarm. A check that `probes` a system reports when it is down; what `needs`
that system is then `skipped` and says why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opsnb.checks.check import Check
from opsnb.config.systems import system_reported_as
from opsnb.config.target import Target
from opsnb.errors import (
    BadAnswer,
    Misconfigured,
    NotConfigured,
    ServiceError,
    TimedOut,
    Unreachable,
    UsageError,
)
from opsnb.model import Coverage, Evidence, Finding, Remedy, Status

REACHABLE = ".reachable"
"""The end of the name of a finding that reports a system as down which no check probes."""

_CANNOT_BE_ASKED = (Unreachable, TimedOut, NotConfigured, Misconfigured)


class Findings(list[Finding]):
    """The findings of checks, in the order of the checks; also by name: `findings["host.disk"]`."""

    def __getitem__(self, key: Any) -> Any:
        """Return the finding at an index, or the one with a name."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for finding in self:
            if finding.name == key:
                return finding
        names = ", ".join(finding.name for finding in self)
        raise KeyError(f"There is no finding '{key}' here; there are {names}.")

    def _ipython_display_(self) -> None:
        """Show nothing as the last value of a cell: the session has shown them."""


@dataclass(frozen=True)
class _Down:
    """Why a system cannot be measured."""

    finding: str
    """The name of the finding that reports it."""
    error: ServiceError

    def why(self, system: str) -> str:
        """Return the reason for a check that needs `system`."""
        if isinstance(self.error, NotConfigured | Misconfigured):
            sentence = str(self.error)
            return f"target{sentence[6:]}" if sentence.startswith("Target ") else sentence
        name = _title(system)
        name = name[:1].upper() + name[1:]
        if isinstance(self.error, BadAnswer):
            return f"{name} does not respond as it should, see {self.finding}."
        return f"{name} does not respond, see {self.finding}."


class Measurement:
    """Measures one target, and remembers which of its systems are down."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._down: dict[str, _Down] = {}  # by system

    def forget(self) -> None:
        """Forget which systems are down: an action may have started them."""
        self._down.clear()

    def run(self, checks: Sequence[Check[[]]]) -> Findings:
        """Return the findings of `checks`, in their order.

        A system that is down and that no check probes gets a finding of its own, before the first.

        Raises UsageError when a check was asked for something that does not exist.
        """
        attempts = [
            None if self._missing(check) else _Attempt(check, self.target) for check in checks
        ]
        outcomes = [attempt.outcome() if attempt else None for attempt in attempts]
        for check, outcome in zip(checks, outcomes, strict=True):
            if isinstance(outcome, UsageError):
                raise outcome
            self._note_reachability(check, outcome)
        findings = Findings()
        for check, outcome in zip(checks, outcomes, strict=True):
            if isinstance(outcome, Unreachable) and self._cause(outcome.system) not in self._down:
                system = self._cause(outcome.system)
                cause = _unreachable(self.target, system, outcome)
                self._down[system] = _Down(cause.name, outcome)
                findings.append(cause)
            findings.append(self._finding(check, outcome))
        by_name = {check.name: check for check in checks}
        return Findings(
            _explained(finding, by_name.get(finding.name), findings) for finding in findings
        )

    def _cause(self, system: str) -> str:
        """Return the system that is down when `system` is: one server may be two systems."""
        known = system_reported_as(system)
        return known.cause(self.target) if known and known.cause else system

    def _missing(self, check: Check[[]]) -> list[str]:
        """Return the systems that `check` needs and that are down."""
        return [system for system in map(self._cause, check.needs) if system in self._down]

    def _note_reachability(self, check: Check[[]], outcome: Finding | Exception | None) -> None:
        if check.probes is None:
            return
        self._down.pop(check.probes, None)
        if isinstance(outcome, _CANNOT_BE_ASKED):
            self._down[check.probes] = _Down(check.name, outcome)

    def _without_a_second_alarm(self, finding: Finding) -> Finding:
        """Return `finding`, skipped when all systems that it blames are down."""
        known = [self._down.get(self._cause(system)) for system in finding.blames]
        causes = [one for one in known if one and isinstance(one.error, Unreachable | TimedOut)]
        if not causes or len(causes) < len(known):
            return finding
        message = f"{finding.message} See {causes[0].finding}."
        update = {"status": Status.SKIPPED, "message": message, "caused_by": causes[0].finding}
        return finding.model_copy(update={**update, "remedies": [], "untreated": ""})

    def _finding(self, check: Check[[]], outcome: Finding | Exception | None) -> Finding:
        if isinstance(outcome, Finding) and outcome.status is Status.OK:
            return outcome
        if down := self._missing(check):
            cause = self._down[down[0]]
            message = f"Not measured: {cause.why(down[0])}"
            skipped = _finding(Status.SKIPPED, message, caused_by=cause.finding)
            return check.described(self.target, skipped)
        if isinstance(outcome, Finding):
            return self._without_a_second_alarm(outcome)
        return check.described(self.target, _failed(check, outcome))


class _Attempt:
    """One check, running in its own thread.

    A daemon thread, because a check may hang in a call that nothing can interrupt, and the kernel
    must still be able to end.
    """

    def __init__(self, check: Check[[]], target: Target) -> None:
        self.check = check
        self._target = target
        self._result: Finding | Exception | None = None
        # A connection and a call may take as long as the target allows.
        self._limit_s = max(check.limit_s, 2 * target.time_limit_s + 1)
        self._ends = time.monotonic() + self._limit_s
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def outcome(self) -> Finding | Exception:
        """Wait for the check within its time limit, and return its finding or its error."""
        self._thread.join(max(0.0, self._ends - time.monotonic()))
        if self._result is not None:
            return self._result
        return TimedOut(
            self.check.probes or "",
            f"{self.check.title} could not be measured within {self._limit_s:g} s.",
        )

    def _run(self) -> None:
        try:
            self._result = self.check(self._target)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong becomes a finding
            self._result = error


def _finding(status: Status, message: str, *, caused_by: str | None = None) -> Finding:
    return Finding(
        status=status,
        message=message,
        caused_by=caused_by,
        evidence=Evidence(coverage=Coverage.NONE),
    )


def _failed(check: Check[[]], error: Exception | None) -> Finding:
    """Return the finding for a check that raised `error`."""
    if isinstance(error, ServiceError):
        # Only the check that probes a system reports it as down; for other checks it is unknown. So
        # is a system that responded, was not contacted, or is configured wrongly.
        is_down = check.probes == error.system and isinstance(error, Unreachable | TimedOut)
        finding = _finding(Status.CRIT if is_down else Status.UNKNOWN, str(error))
    else:
        message = f"The check itself failed: {type(error).__name__}: {error}"
        finding = _finding(Status.UNKNOWN, message)
    return finding.model_copy(update={"failure": type(error).__name__})


def _explained(finding: Finding, check: Check[[]] | None, findings: Findings) -> Finding:
    """Return `finding`; as one alarm with that of another check, if that explains it."""
    if check is None or check.is_cause or not finding.is_alarm:
        return finding
    alarms = {one.name: one for one in findings if one.is_alarm}
    for by in check.explained_by:
        if by in alarms and check.is_explained(finding, alarms[by]):
            update = {"explained_by": by, "remedies": [], "untreated": f"see {by}"}
            return finding.model_copy(update=update)
    return finding


def _title(system: str) -> str:
    known = system_reported_as(system)
    return known.title if known else system


def _unreachable(target: Target, system: str, error: Unreachable) -> Finding:
    """Return the finding for a system that is down and that no check of this run probes."""
    name = _title(system)
    why = f"shows why {name} does not respond, and starts what is down"
    remedy = Remedy.of("incidents/service_down", why).on(target)
    return Finding(
        name=f"{system}{REACHABLE}",
        title=f"Connection to {name}",
        status=Status.CRIT,
        message=str(error),
        remedies=[remedy],
    )

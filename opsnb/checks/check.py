"""What makes a function a check: its name, what it depends on, its time limit.

A check takes the target first, measures one thing, and returns a Finding. It raises
ServiceError on failure, which the session turns into a finding. ::

    @check(needs=("redis",))
    def memory(target: Target) -> Finding:
        "Memory of Redis"
        ...
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec

from opsnb.checks import evidence
from opsnb.checks.causes import explains
from opsnb.config.systems import system_of
from opsnb.config.target import Target
from opsnb.errors import TimedOut, Unreachable
from opsnb.model import Finding, Remedy, Status, now
from opsnb.redaction import outside

P = ParamSpec("P")

Treats = Callable[[Target, Finding], list[Remedy]]
"""Returns the runbooks that treat what a finding reports, with their parameters filled in."""

Explained = Callable[[Finding, Finding], bool]
"""Says of an alarm whether another one explains it, so that both are one."""

_MOST_NEXT = 3
_HOW = frozenset({"process", "samples", "seconds", "wait_s"})
"""Parameters of checks that change how something is measured, not what."""


def _got_no_response(finding: Finding, other: Finding) -> bool:
    """Whether nothing responds, and the other check says why."""
    is_down = finding.failure in (Unreachable.__name__, TimedOut.__name__)
    return is_down and finding.status is other.status is Status.CRIT


@dataclass(frozen=True)
class Check(Generic[P]):
    """A named measurement of one target. Call it with the target to get its finding."""

    function: Callable[Concatenate[Target, P], Finding]
    name: str
    """`system.check`, after the module and the function."""
    title: str
    probes: str | None
    """The system whose reachability this check reports."""
    needs: tuple[str, ...]
    """The systems without which this check cannot measure."""
    limit_s: float
    """After this time the session stops waiting."""
    treated_by: Treats | str = ""
    """What treats a `warn` or `crit` without a remedy of its own: by default the runbook of its
    limit. A string says why nothing does."""
    is_cause: bool = False
    """Whether it checks for a cause, which its title names; ok then means that it is ruled out."""
    condition: str = ""
    """The name of the check that measures the same, where there is one."""
    explained_by: tuple[str, ...] = ()
    """The names of the checks that may explain it; of several, the first that does."""
    is_explained: Explained = _got_no_response
    """Whether the alarm of one of them does."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The arguments that `given` filled in and that say what is measured, in JSON."""

    def __call__(self, target: Target, *args: P.args, **kwargs: P.kwargs) -> Finding:
        """Measure `target` and return the finding. Raises ServiceError."""
        started, clock = now(), time.perf_counter()
        with outside.reading(target.secrets), evidence.collected() as gaps:
            finding = self.function(target, *args, **kwargs)
        finding = evidence.judged(finding, gaps)
        if not finding.settled:
            evidence.repeat(gaps)  # to a check that builds its own finding from this one
        seconds = time.perf_counter() - clock
        finding = finding.model_copy(update={"started": started, "seconds": seconds})
        return self.described(target, finding, self.arguments or self._measured(*args, **kwargs))

    def described(
        self, target: Target, finding: Finding, arguments: dict[str, Any] | None = None
    ) -> Finding:
        """Return `finding` with what the check declares, and with what treats it."""
        finding = finding.model_copy(
            update={
                "name": self.name,
                "title": self.title,
                "arguments": self.arguments if arguments is None else arguments,
                "condition": self.condition,
                "is_cause": self.is_cause,
            }
        )
        return finding.model_copy(update=self._treatment(target, finding))

    def given(self, *args: P.args, **kwargs: P.kwargs) -> Check[[]]:
        """Return this check with its arguments filled in, to be handed to `check_all`."""

        def bound(target: Target) -> Finding:
            return self.function(target, *args, **kwargs)

        arguments = self.arguments or self._measured(*args, **kwargs)
        return replace(self, function=bound, arguments=arguments)  # type: ignore[arg-type, return-value]

    def as_cause(
        self,
        title: str,
        share: float | None = None,
        treats: Treats | str = "",
        *,
        name: str = "",
    ) -> Check[P]:
        """Return this check as a cause of that title: a noun phrase that names the fault.

        Its alarm explains `share` of the symptom, and `treats` leads to what fixes that. With a
        `name` of its own, it is recorded under that name, as a measurement of the same condition.
        """

        @wraps(self.function)
        def measure(target: Target, /, *args: P.args, **kwargs: P.kwargs) -> Finding:
            return explains(self.function(target, *args, **kwargs), share)

        own: dict[str, Any] = {}
        if name:
            own = {"name": name, "condition": self.condition or self.name, "arguments": {}}
        return replace(
            self,
            function=measure,
            title=title,
            is_cause=True,
            treated_by=treats or self.treated_by,
            **own,
        )

    def _measured(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return by name the arguments that say what is measured, defaults too."""
        signature = inspect.signature(self.function)
        (_, *names) = signature.parameters
        if not names:
            return {}
        bound = signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        given: dict[str, Any] = {}
        for name in names:
            value = bound.arguments[name]
            if hasattr(value, "arguments"):  # a reading that several checks share
                given |= value.arguments
            elif name not in _HOW and isinstance(value, str | int | float | bool):
                given[name] = value
        return given

    def _treatment(self, target: Target, finding: Finding) -> dict[str, Any]:
        remedies, untreated = finding.remedies, ""
        if finding.status in (Status.WARN, Status.CRIT) and not remedies:
            untreated = finding.untreated
            if callable(self.treated_by):
                remedies = self.treated_by(target, finding)
            elif not (untreated := untreated or self.treated_by):
                remedies = _by_threshold(finding)
        of = {"target": target.name, "protected": target.protected}
        return {
            "remedies": [remedy.model_copy(update=of) for remedy in remedies],
            "untreated": "" if remedies else untreated,
        }


def _by_threshold(finding: Finding) -> list[Remedy]:
    """Return the runbook that the limit names."""
    limit = finding.threshold
    if limit is None or not limit.runbook:
        return []
    return [Remedy.of(limit.runbook, _uncapitalised(limit.action))]


def treated_by(runbook: str, why: str, *, apply: bool = False, **parameters: Any) -> Treats:
    """Return what leads to one runbook, for a check whose findings it treats.

    A parameter `queue="{queue}"` is filled in from the check's arguments.
    """

    def remedies(_: Target, finding: Finding) -> list[Remedy]:
        given = {}
        for name, value in parameters.items():
            # An argument that was left to the target's limit is left to it there, too.
            with suppress(KeyError):
                is_text = isinstance(value, str)
                given[name] = value.format(**finding.arguments) if is_text else value
        return [Remedy.of(runbook, why, apply=apply, **given)]

    return remedies


def treated_rows(
    runbook: str,
    why: str,
    *,
    metric: str = "",
    column: str = "",
    **parameters: str,
) -> Treats:
    """Return what leads to a runbook for each of the first rows of a finding.

    With `metric`, only for rows whose `column` is past its limit. `parameters` name the columns
    that fill them in.
    """

    def remedies(target: Target, finding: Finding) -> list[Remedy]:
        rows = finding.rows
        if metric:
            limit = target.threshold(metric)
            rows = [row for row in rows if limit.judge(row[column] or 0) is not Status.OK]
            rows = sorted(rows, key=lambda row: -float(row[column])) or finding.rows[:1]
        return [
            Remedy.of(runbook, why, **{name: row[of] for name, of in parameters.items()})
            for row in rows[:_MOST_NEXT]
        ]

    return remedies


def name_of(function: Callable[..., object]) -> str:
    """Return `system.function`; outside of the packages of systems, `module.function`.

    `RECORDED_AS` in a module that was renamed is its former name.
    """
    package, _, module = function.__module__.rpartition(".")
    names: dict[str, Any] = getattr(function, "__globals__", {})
    head = names.get("RECORDED_AS") or system_of(package) or module
    return f"{head}.{function.__name__}"


def title_of(function: Callable[..., object]) -> str:
    """Return the first line of a function's docstring, which is the title that people read."""
    return (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")


def check(  # noqa: PLR0913 - all that a check declares
    *,
    probes: str | None = None,
    needs: tuple[str, ...] = (),
    limit_s: float = 10.0,
    treated_by: Treats | str = "",
    is_cause: bool = False,
    condition: str = "",
    explained_by: tuple[str, ...] = (),
    is_explained: Explained = _got_no_response,
    recorded_as: str = "",
) -> Callable[[Callable[Concatenate[Target, P], Finding]], Check[P]]:
    """Make a function a check. The first line of its docstring is the title that people read.

    A check that can fail says in `treated_by` which runbook treats it, or why none does; a
    finding's own remedies come first. A check that `is_cause` has the fault as its title.
    `recorded_as` is its name in records, if the function was renamed.
    """

    def wrap(function: Callable[Concatenate[Target, P], Finding]) -> Check[P]:
        title = title_of(function)
        return Check(
            function,
            recorded_as or name_of(function),
            title,
            probes,
            needs,
            limit_s,
            treated_by,
            is_cause,
            condition,
            explained_by,
            is_explained,
        )

    return wrap


def _uncapitalised(sentence: str) -> str:
    """Return a sentence for use after a comma; a command in capitals keeps them."""
    first = sentence.partition(" ")[0]
    if first.isupper() and len(first) > 1:
        return sentence
    return sentence[:1].lower() + sentence[1:]

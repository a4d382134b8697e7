"""The summary of a run on several targets: a record whose findings are the runs on each.

Each member is one finding, so lists, pages and `rebuild` need no special case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from opsnb.errors import ExitCode
from opsnb.model import Finding, Remedy, RunResult, Status, now, worst
from opsnb.records import written
from opsnb.view import findings as view

_PREFIX = "fleet."
# The worst last. A run that did not start leaves its target unknown, which is better than crit.
_EXIT_CODES = (
    ExitCode.OK,
    ExitCode.WARN,
    ExitCode.UNKNOWN,
    ExitCode.UNUSABLE,
    ExitCode.LOCKED,
    ExitCode.REFUSED,
    ExitCode.CRIT,
    ExitCode.TIMED_OUT,
    ExitCode.BROKE,
    ExitCode.INTERRUPTED,
)


@dataclass(frozen=True)
class Member:
    """One target of a run on several: how its run ended, or why there was none."""

    target: str
    status: Status
    exit_code: int
    sentence: str
    run_id: str | None = None
    """Of its record; None when it has none."""
    started: datetime = field(default_factory=now)
    seconds: float = 0.0
    remedies: tuple[Remedy, ...] = ()
    """What fixes the problem in its sentence, the best first."""

    @property
    def failed(self) -> bool:
        """Whether it did not end with exit code 0."""
        return self.exit_code != 0

    @cached_property
    def shown(self) -> dict[str, Any]:
        """What the summary shows of this member, by MIME type."""
        return view.finding_data(self.finding)

    @cached_property
    def finding(self) -> Finding:
        """The finding of the summary for this member."""
        return Finding(
            name=f"{_PREFIX}{self.target}",
            title=self.target,
            status=self.status,
            message=self.sentence,
            rows=[{"exit_code": self.exit_code, "run": self.run_id}],
            remedies=list(self.remedies),
            started=self.started,
            seconds=self.seconds,
        )


def members(summary: RunResult) -> list[Member]:
    """Return the members of `summary`, in its order."""
    return [_member(finding) for finding in summary.findings if finding.name.startswith(_PREFIX)]


def _member(finding: Finding) -> Member:
    row = finding.rows[0] if finding.rows else {}
    exit_code, run_id = row.get("exit_code"), row.get("run")
    return Member(
        target=finding.name.removeprefix(_PREFIX),
        status=finding.status,
        exit_code=exit_code if isinstance(exit_code, int) else ExitCode.BROKE,
        sentence=finding.message,
        run_id=run_id if isinstance(run_id, str) else None,
        started=finding.started,
        seconds=finding.seconds,
        remedies=tuple(finding.remedies),
    )


def worst_first(ended: Iterable[Member]) -> list[Member]:
    """Return the members, the worst first, then by target."""
    return sorted(
        ended,
        key=lambda member: (-member.status.severity, -_rank(member.exit_code), member.target),
    )


def worst_exit_code(ended: Iterable[Member]) -> int:
    """Return the worst of the members' exit codes, in the order of `_EXIT_CODES`."""
    return max((member.exit_code for member in ended), key=_rank)


def _rank(code: int) -> int:
    return _EXIT_CODES.index(code if code in _EXIT_CODES else ExitCode.BROKE)


def notebook(opening: RunResult, ended: Iterable[Member]) -> dict[str, Any]:
    """Return the notebook of the summary, with the members that have `ended`, the worst first."""
    ranked = worst_first(ended)
    findings = [member.finding for member in ranked]
    status = worst(finding.status for finding in findings)
    words = view.summary(findings) or "No run has ended."
    headline = {"text/html": view.headline_html(status, words), "text/plain": words}
    return written.notebook(
        _introduction(opening),
        "Each target has its own run and record.",
        [headline, *(member.shown for member in ranked)],
    )


def _introduction(opening: RunResult) -> str:
    parameters = "".join(f"- `{name} = {value!r}`\n" for name, value in opening.parameters.items())
    return (
        f"# {opening.title} on `{opening.target}`\n\n"
        f"The runs of `{opening.runbook}` on several targets.\n\n{parameters}"
    )

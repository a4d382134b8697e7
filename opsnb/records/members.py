"""The summary of a run of several targets: a record whose findings are its members.

Each member is one finding, so that lists, pages and `rebuild` need to know nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opsnb.errors import ExitCode
from opsnb.model import Finding, Remedy, RunResult, Status, now, worst
from opsnb.records import written
from opsnb.view import findings as view

_PREFIX = "fleet."
# The worst last. A run that was not begun leaves its target unknown, which is better than critical.
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
    """One target of a run of several: how its run ended, or why there was none."""

    target: str
    status: Status
    exit_code: int
    sentence: str
    run_id: str | None = None
    """Of its record; None when there is none."""
    started: datetime = field(default_factory=now)
    seconds: float = 0.0
    remedies: tuple[Remedy, ...] = ()
    """What to do about what its sentence says, the best first."""

    @property
    def failed(self) -> bool:
        """Whether it did not end with exit code 0."""
        return self.exit_code != 0

    @property
    def finding(self) -> Finding:
        """The finding by which the summary tells of this member."""
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
    """Return the members that `summary` tells of, in its order."""
    return [_member(finding) for finding in summary.findings if finding.name.startswith(_PREFIX)]


def _member(finding: Finding) -> Member:
    told = finding.rows[0] if finding.rows else {}
    exit_code, run_id = told.get("exit_code"), told.get("run")
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


def worst_first(found: Iterable[Member]) -> list[Member]:
    """Return the members with the worst on top, then by their targets' names."""
    return sorted(
        found,
        key=lambda member: (-member.status.severity, -_rank(member.exit_code), member.target),
    )


def worst_exit_code(found: Iterable[Member]) -> int:
    """Return the worst of the members' exit codes, in the order of `_EXIT_CODES`."""
    return max((member.exit_code for member in found), key=_rank)


def _rank(code: int) -> int:
    return _EXIT_CODES.index(code if code in _EXIT_CODES else ExitCode.BROKE)


def notebook(opening: RunResult, found: Iterable[Member]) -> dict[str, Any]:
    """Return the notebook of the summary, which tells of the members `found`, the worst on top."""
    findings = [member.finding for member in worst_first(found)]
    status = worst(finding.status for finding in findings)
    words = view.summary(findings) or "No run has ended."
    headline = {"text/html": view.headline_html(status, words), "text/plain": words}
    return written.notebook(
        _introduction(opening),
        "Every target has a run and a record of its own.",
        [headline, *map(view.finding_data, findings)],
    )


def _introduction(opening: RunResult) -> str:
    parameters = "".join(f"- `{name} = {value!r}`\n" for name, value in opening.parameters.items())
    return (
        f"# {opening.title} on `{opening.target}`\n\n"
        f"The runs of `{opening.runbook}` on several targets.\n\n{parameters}"
    )
